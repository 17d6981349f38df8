//! What libFuzzer drives: it makes up inputs for the target that the environment names.

#![no_main]

use letmein_fuzz::TARGETS;
use libfuzzer_sys::fuzz_target;
use std::{env, sync::LazyLock};

static TARGET: LazyLock<fn(&[u8])> = LazyLock::new(|| {
    let name = env::var("LETMEIN_FUZZ_TARGET").unwrap_or_default();
    let found = TARGETS.iter().find(|target| target.name == name);
    found.map_or_else(
        || {
            eprintln!("LETMEIN_FUZZ_TARGET names no target: {name:?}");
            std::process::exit(2)
        },
        |target| target.run,
    )
});

fuzz_target!(|bytes: &[u8]| TARGET(bytes));
