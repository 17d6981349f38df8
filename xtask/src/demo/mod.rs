//! The demonstration: a server, a client and a scanner as network namespaces of their own, and the life of a lease
//! between them. Every observation is checked; the first that is not as it should be ends it.

mod counters;
mod forge;
mod interrupt;
mod keep;
mod letmeind;
mod scan;
mod screen;
mod service;
mod stage;
mod story;

use crate::{
    build_ebpf,
    install::{self, Package},
    paths, sh,
};
use anyhow::{Context as _, bail};
use interrupt::Interrupts;
use screen::Screen;
use stage::Stage;
use std::process::Command;

const PACKAGES: &[Package] = &[
    Package {
        name: "iproute2",
        purpose: "`ip netns`: the server, client and scanner of the demonstration",
    },
    Package {
        name: "nftables",
        purpose: "`nft`: the firewall that letmeind programs",
    },
];

/// Builds all and shows it. With `keep` it stays up until Enter, Ctrl-C or SIGTERM.
pub fn run(yes: bool, keep: bool) -> anyhow::Result<()> {
    sh::require_root("the demonstration makes network namespaces and loads an XDP program")?;
    install::packages(PACKAGES, yes)?;
    build_ebpf::run(&build_ebpf::Options {
        yes,
        debug_log: false,
    })?;
    // As the tests build them: nothing here depends on how fast they are, but a newcomer waits for the compiler.
    sh::run(Command::new("cargo").current_dir(paths::workspace()).args([
        "build",
        "--package",
        "letmein-daemon",
        "--package",
        "letmein-client",
    ]))?;
    // From here on a signal does not end this process: what was made is removed first.
    let interrupts = Interrupts::catch()?;
    let mut screen = Screen::new();
    let shown = show(&mut screen, &interrupts, keep);
    let left = stage::namespaces()?;
    if !left.is_empty() {
        bail!(
            "these network namespaces could not be removed: {}; `ip netns del NAME` removes one",
            left.join(" ")
        );
    }
    if interrupts.seen() && !matches!(shown, Ok(End::Kept)) {
        bail!("interrupted; the namespaces and all that ran in them are removed");
    }
    match shown? {
        End::Kept => screen.note("Removed: the namespaces and all that ran in them."),
        End::Told => screen.end(),
    }
}

/// How the demonstration ended.
enum End {
    Told,
    Kept,
}

fn show(screen: &mut Screen, interrupts: &Interrupts, keep: bool) -> anyhow::Result<End> {
    let mut stage = Stage::new().context("cannot set up the demonstration")?;
    let told = story::tell(&mut stage, screen, interrupts);
    if told.is_err() && !interrupts.seen() {
        // Whatever went wrong, letmeind's side of it may help. The first error counts, not one about the log.
        let _reported = screen.log(&stage.log());
    }
    told?;
    if keep {
        keep::keep(&mut stage, screen, interrupts)?;
        return Ok(End::Kept);
    }
    Ok(End::Told)
}
