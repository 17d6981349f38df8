//! Finds the XDP object that `cargo xtask build-ebpf` made, for `xdp::object` to embed. Without one the daemon
//! still builds, with nothing but stable Rust, and says at run time what it lacks.

use std::{env, fs, io, path::PathBuf};

fn main() -> io::Result<()> {
    let manifest = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| manifest.join("../target"), PathBuf::from);
    let object =
        env::var_os("LETMEIN_EBPF_OBJECT").map_or_else(|| target.join("ebpf/letmein.bpf.o"), PathBuf::from);
    println!("cargo::rerun-if-env-changed=LETMEIN_EBPF_OBJECT");
    println!("cargo::rerun-if-env-changed=CARGO_TARGET_DIR");
    println!("cargo::rerun-if-changed={}", object.display());
    let embedded = match object.canonicalize() {
        Ok(object) => object,
        Err(_absent) => {
            let empty = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default()).join("empty.o");
            fs::write(&empty, [])?;
            empty
        }
    };
    println!("cargo::rustc-env=LETMEIN_BPF_OBJECT={}", embedded.display());
    Ok(())
}
