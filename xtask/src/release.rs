//! Building what is shipped, so that who builds the same source with the same compilers gets the same bytes, wherever
//! the source, the crates and the target folder are, and whenever it is. `cargo xtask reproduce` tries that out.
//!
//! What would differ are paths, in messages of panics and in debugging information: the compiler is told to write others.

use crate::{build_ebpf, paths, sh};
use anyhow::Context as _;
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// A program that is shipped.
#[derive(Clone, Copy)]
pub struct Program {
    pub package: &'static str,
    pub name: &'static str,
    /// What the compiler is told besides.
    compiled_with: &'static [&'static str],
}

pub const CLIENT: Program = Program {
    package: "letmein-client",
    name: "letmein",
    // The C library inside: it starts in two thirds of the time, and one file runs on every Linux.
    compiled_with: &["-C", "target-feature=+crt-static"],
};
pub const SERVER: Program = Program {
    package: "letmein-daemon",
    name: "letmeind",
    compiled_with: &[],
};

/// What to do if the linker finds no library to put inside.
const NO_LIBRARY: &str =
    "if the linker does not find -lc: it is in Debian's libc6-dev, in Fedora's glibc-static";

/// Builds a program as it is shipped, but for the paths in it, in cargo's usual place: there it takes seconds.
pub fn for_measuring(program: Program) -> anyhow::Result<()> {
    let mut cargo = Command::new("cargo");
    cargo
        .current_dir(paths::workspace())
        .args(["rustc", "--release", "--package", program.package])
        .args(["--bin", program.name, "--"])
        .args(program.compiled_with);
    sh::run(&mut cargo).context(NO_LIBRARY)
}

#[derive(clap::Args)]
pub struct Options {
    /// Install what is missing without asking.
    #[arg(long)]
    yes: bool,
}

/// Builds all of it, and prints the lines that `sha256sum` would.
pub fn run(options: &Options) -> anyhow::Result<()> {
    let release = Release::here();
    let object = release.object(options.yes)?;
    let client = release.program(CLIENT, &object)?;
    let server = release.program(SERVER, &object)?;
    for path in [&object, &client, &server] {
        println!("{}  {}", checksum(path)?, path.display());
    }
    Ok(())
}

/// SHA-256, as hexadecimal digits.
pub fn checksum(path: &Path) -> anyhow::Result<String> {
    let told = sh::output(Command::new("sha256sum").arg(path));
    let sum = told.as_deref().and_then(|told| told.split_whitespace().next());
    Ok(sum
        .with_context(|| format!("sha256sum says nothing of {}", path.display()))?
        .to_owned())
}

/// Where to build.
pub struct Release {
    /// The top of the source.
    pub workspace: PathBuf,
    /// Cargo's target folder.
    pub target: PathBuf,
}

impl Release {
    /// This source, in a folder of its own below its target folder: other flags would have everything built anew.
    pub fn here() -> Self {
        Self {
            workspace: paths::workspace(),
            target: paths::target().join("shipped"),
        }
    }

    /// Compiles the XDP program, and tells where it is.
    pub fn object(&self, yes: bool) -> anyhow::Result<PathBuf> {
        self.fetch()?;
        let folder = self.target.join("ebpf");
        let options = build_ebpf::Options {
            yes,
            debug_log: false,
        };
        build_ebpf::compile(&options, &self.workspace, &folder, self.renamed()?)?;
        Ok(folder.join("letmein.bpf.o"))
    }

    /// Builds a program, and tells where it is. The server has this object inside.
    pub fn program(&self, program: Program, object: &Path) -> anyhow::Result<PathBuf> {
        let mut cargo = self.cargo();
        cargo
            .env("CARGO_ENCODED_RUSTFLAGS", self.renamed()?.join("\u{1f}"))
            .env("LETMEIN_EBPF_OBJECT", object)
            .args(["rustc", "--locked", "--release", "--package", program.package])
            .args(["--bin", program.name, "--target-dir"])
            .arg(&self.target)
            .arg("--")
            .args(program.compiled_with);
        sh::run(&mut cargo).context(NO_LIBRARY)?;
        Ok(self.target.join("release").join(program.name))
    }

    /// Crates are in folders that [`Self::renamed`] can find once they have been downloaded.
    fn fetch(&self) -> anyhow::Result<()> {
        sh::run(self.cargo().args(["fetch", "--locked", "--quiet"]))
    }

    /// Without what cargo and rustup set for this process, `RUSTFLAGS` and settings of profiles included.
    fn cargo(&self) -> Command {
        let mut cargo = Command::new("cargo");
        sh::without_cargo_environment(&mut cargo);
        cargo.current_dir(&self.workspace);
        cargo
    }

    /// Options that rename folders. Of several that are the beginning of a path, the last one holds.
    fn renamed(&self) -> anyhow::Result<Vec<String>> {
        let mut folders = vec![
            (self.workspace.clone(), "/letmein"),
            (self.target.clone(), "/target"),
        ];
        // One for each registry, called after it; a mirror of crates.io has a name of its own.
        let registries = cargo_home()?.join("registry/src");
        let cannot_read = || format!("cannot read {}", registries.display());
        for registry in fs::read_dir(&registries).with_context(cannot_read)? {
            folders.push((registry.with_context(cannot_read)?.path(), "/crates"));
        }
        let option =
            |(folder, name): (PathBuf, &str)| format!("--remap-path-prefix={}={name}", folder.display());
        Ok(folders.into_iter().map(option).collect())
    }
}

/// Where cargo keeps what it has downloaded.
fn cargo_home() -> anyhow::Result<PathBuf> {
    if let Some(home) = std::env::var_os("CARGO_HOME") {
        return Ok(home.into());
    }
    let home = std::env::home_dir().context("where cargo keeps its crates is unknown: set CARGO_HOME")?;
    Ok(home.join(".cargo"))
}
