//! Compiling the XDP program for the kernel.
//!
//! Two toolchains can. Debian packages a compiler with a precompiled `core` for the kernel's target; rustup's
//! nightly compiles `core` itself. Whichever is complete is taken; on a Debian machine that has neither, the
//! packages are installed.

use crate::{install, install::Package, paths, sh};
use anyhow::{Context as _, bail};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

const TARGET: &str = "bpfel-unknown-none";
const DEBIAN_CARGO: &str = "/usr/bin/cargo";
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const LLVM_PREFIX: &str = "/usr/lib/llvm-22";
/// Programs of the crate, and the object that each becomes.
const OBJECTS: [(&str, &str); 2] = [("letmein-ebpf", "letmein.bpf.o"), ("bare", "bare.bpf.o")];

const DEBIAN_PACKAGES: &[Package] = &[
    Package {
        name: "ca-certificates",
        purpose: "with which cargo trusts crates.io",
    },
    Package {
        name: "rustc-web",
        purpose: "the compiler that knows the kernel's target",
    },
    Package {
        name: "cargo-web",
        purpose: "its cargo",
    },
    Package {
        name: "libstd-rust-web-dev-bpf",
        purpose: "Rust's core library, compiled for the kernel",
    },
    Package {
        name: "llvm-22-dev",
        purpose: "LLVM, which bpf-linker is built on",
    },
    Package {
        name: "libpolly-22-dev",
        purpose: "a part of LLVM that bpf-linker links",
    },
    Package {
        name: "zlib1g-dev",
        purpose: "a library that LLVM links",
    },
    Package {
        name: "libzstd-dev",
        purpose: "a library that LLVM links",
    },
];

#[derive(clap::Args, Default)]
pub struct Options {
    /// Install what is missing without asking.
    #[arg(long)]
    pub yes: bool,
    /// Compile log messages into the packet path, for debugging: `cargo xtask run --debug-log` runs that.
    #[arg(long)]
    pub debug_log: bool,
}

enum Toolchain {
    Debian,
    Nightly,
}

/// Where the objects are. The build for debugging has a folder of its own: nothing takes it by accident.
pub fn folder(debug_log: bool) -> PathBuf {
    paths::target().join(if debug_log { "ebpf-log" } else { "ebpf" })
}

pub fn run(options: &Options) -> anyhow::Result<()> {
    compile(
        options,
        &paths::workspace(),
        &folder(options.debug_log),
        Vec::new(),
    )
}

/// Compiles the program of a workspace into a folder. The compiler gets these options besides.
pub fn compile(
    options: &Options,
    workspace: &Path,
    objects: &Path,
    more_flags: Vec<String>,
) -> anyhow::Result<()> {
    let toolchain = toolchain(options.yes)?;
    let mut flags = flags();
    flags.extend(more_flags);
    let build_dir = objects.join("build");
    let mut cargo = match toolchain {
        Toolchain::Debian => {
            let mut cargo = Command::new(DEBIAN_CARGO);
            sh::without_cargo_environment(&mut cargo);
            // The packaged compiler is a stable release; its `core` is there, so this only unlocks the target.
            cargo
                .env("RUSTC", DEBIAN_RUSTC)
                .env("RUSTC_BOOTSTRAP", "1")
                .args(["build"]);
            cargo
        }
        Toolchain::Nightly => {
            let mut cargo = Command::new("cargo");
            sh::without_cargo_environment(&mut cargo);
            cargo.args(["+nightly", "build", "-Z", "build-std=core"]);
            cargo
        }
    };
    cargo
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"))
        .current_dir(workspace)
        .args([
            "--package",
            "letmein-ebpf",
            "--profile",
            "ebpf",
            "--target",
            TARGET,
            "--target-dir",
        ])
        .arg(&build_dir);
    if options.debug_log {
        cargo.args(["--features", "log"]);
    }
    sh::run(&mut cargo)?;
    for (program, object) in OBJECTS {
        copy_if_changed(
            &build_dir.join(TARGET).join("ebpf").join(program),
            &objects.join(object),
        )?;
    }
    Ok(())
}

/// What the compiler and the linker are told.
fn flags() -> Vec<String> {
    let mut flags = vec![
        format!("--cfg=bpf_target_arch=\"{}\"", std::env::consts::ARCH),
        "-Cdebuginfo=2".to_owned(),
        "-Clink-arg=--btf".to_owned(),
    ];
    // LLVM 22 knows it. Without it every field of a packet is put together from bytes.
    let feature = "allows-misaligned-mem-access";
    let unaligned = ["x86_64", "aarch64"].contains(&std::env::consts::ARCH);
    if unaligned && linker_help().is_some_and(|help| help.contains(feature)) {
        flags.push(format!("-Clink-arg=--cpu-features=+{feature}"));
    }
    flags
}

fn linker_help() -> Option<String> {
    sh::output(Command::new("bpf-linker").arg("--help"))
}

fn toolchain(yes: bool) -> anyhow::Result<Toolchain> {
    let linker = linker().is_some();
    if linker && debian_core() {
        return Ok(Toolchain::Debian);
    }
    if linker && nightly_source() {
        return Ok(Toolchain::Nightly);
    }
    if !Path::new("/etc/debian_version").exists() {
        bail!(
            "compiling for the kernel takes rustup's nightly with rust-src (`rustup toolchain install nightly \
             --component rust-src`) and bpf-linker (`cargo install bpf-linker`) on the PATH"
        );
    }
    install::packages(DEBIAN_PACKAGES, yes)
        .context("if apt does not know rustc-web, enable Debian's security and updates sources")?;
    if !linker {
        install_linker(yes)?;
    }
    Ok(Toolchain::Debian)
}

fn install_linker(yes: bool) -> anyhow::Result<()> {
    eprintln!("bpf-linker is missing: it turns LLVM bitcode into the object that the kernel loads.");
    install::confirm("Install it with cargo?", yes)?;
    let mut cargo = Command::new("cargo");
    sh::without_cargo_environment(&mut cargo);
    cargo.env("LLVM_PREFIX", LLVM_PREFIX).args([
        "install",
        "bpf-linker",
        "--version",
        "0.13.0",
        "--locked",
        "--no-default-features",
        "--features",
        "llvm-22",
    ]);
    sh::run(&mut cargo)
}

/// The version of bpf-linker, if it is on the PATH.
pub fn linker() -> Option<String> {
    sh::output(Command::new("bpf-linker").arg("--version"))
}

/// Whether the packaged compiler has `core` for the target.
pub fn debian_core() -> bool {
    let mut rustc = Command::new(DEBIAN_RUSTC);
    sh::without_cargo_environment(&mut rustc);
    Path::new(DEBIAN_CARGO).exists()
        && sh::output(rustc.args(["--print", "target-libdir", "--target", TARGET]))
            .is_some_and(|directory| Path::new(directory.trim()).exists())
}

/// Whether rustup's nightly has the sources of `core`.
pub fn nightly_source() -> bool {
    let mut rustc = Command::new("rustc");
    sh::without_cargo_environment(&mut rustc);
    sh::output(rustc.args(["+nightly", "--print", "sysroot"])).is_some_and(|sysroot| {
        Path::new(sysroot.trim())
            .join("lib/rustlib/src/rust/library/core/Cargo.toml")
            .exists()
    })
}

/// Leaves an unchanged object untouched, so that nothing that embeds it is built again.
fn copy_if_changed(from: &Path, to: &Path) -> anyhow::Result<()> {
    let new = fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
    if fs::read(to).is_ok_and(|old| old == new) {
        return Ok(());
    }
    fs::write(to, new).with_context(|| format!("cannot write {}", to.display()))
}
