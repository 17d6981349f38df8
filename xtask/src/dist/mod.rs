//! `cargo xtask dist`: packages for Debian, rpm packages and tarballs of server and client, with their checksums.

mod check;
mod check_rpm;
mod deb;
mod roff;
mod rpm;
mod tree;

use crate::{
    install,
    install::Package,
    paths,
    release::{CLIENT, Release, SERVER},
    sh,
};
use anyhow::Context as _;
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};
use tree::Tree;

const VERSION: &str = env!("CARGO_PKG_VERSION");

const PACKAGES: &[Package] = &[
    Package {
        name: "dpkg-dev",
        purpose: "`dpkg-shlibdeps`: which libraries of Debian the server needs",
    },
    Package {
        name: "rpm",
        purpose: "`rpmbuild`: the rpm packages",
    },
    Package {
        name: "groff-base",
        purpose: "`groff`: whether the manual pages are well-formed",
    },
];

#[derive(clap::Args)]
pub struct Options {
    /// Then install the packages on a Debian that boots in namespaces, and use, upgrade and remove them. Needs root.
    #[arg(long)]
    check: bool,
    /// Install what is missing without asking.
    #[arg(long)]
    yes: bool,
}

/// The two packages, each as a tree of files.
struct Trees {
    server: Tree,
    client: Tree,
}

impl Trees {
    fn both(&self) -> [&Tree; 2] {
        [&self.server, &self.client]
    }
}

pub fn run(options: &Options) -> anyhow::Result<()> {
    if options.check {
        sh::require_root("a machine boots in network namespaces")?;
    }
    install::packages(PACKAGES, options.yes)?;
    let release = Release::here();
    let object = release.object(options.yes)?;
    let server = release.program(SERVER, &object)?;
    let client = release.program(CLIENT, &object)?;

    let folder = paths::target().join("dist");
    let trees = Trees {
        server: tree::server(&folder.join("trees/letmeind"), &server)?,
        client: tree::client(&folder.join("trees/letmein"), &client)?,
    };
    let finished = folder.join("packages");
    anew(&finished)?;
    for tree in trees.both() {
        deb::build(tree, VERSION, &finished)?;
        tarball(tree, &finished)?;
    }
    rpm::build(&trees.both(), VERSION, &folder, &finished)?;
    checksums(&finished)?;
    eprintln!("in {}:", finished.display());
    sh::run(Command::new("ls").arg("-l").arg(&finished))?;
    if options.check {
        check::run(&trees.server, &folder, &finished, options.yes)?;
    }
    Ok(())
}

/// The folder, with nothing in it.
fn anew(folder: &Path) -> anyhow::Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    Ok(fs::create_dir_all(folder)?)
}

/// When the source was last changed, for everything that has a date: a second build makes the same bytes.
fn source_date() -> String {
    let mut git = Command::new("git");
    let date = sh::output(
        git.current_dir(paths::workspace())
            .args(["log", "-1", "--format=%ct"]),
    );
    date.map_or_else(|| "0".to_owned(), |date| date.trim().to_owned())
}

fn tarball(tree: &Tree, finished: &Path) -> anyhow::Result<()> {
    let name = format!("{}-{VERSION}-{}-linux.tar.gz", tree.name, std::env::consts::ARCH);
    let mut tar = Command::new("tar");
    tar.args([
        "--create",
        "--sort=name",
        "--owner=0",
        "--group=0",
        "--numeric-owner",
    ])
    .arg(format!("--mtime=@{}", source_date()))
    .args(["--use-compress-program", "gzip -9n"])
    .arg("--file")
    .arg(finished.join(name))
    .arg("--directory")
    .arg(&tree.root)
    .arg(".");
    sh::run(&mut tar)
}

fn checksums(finished: &Path) -> anyhow::Result<()> {
    let names = names(finished)?;
    let sums = sh::output(Command::new("sha256sum").current_dir(finished).args(&names));
    Ok(fs::write(
        finished.join("SHA256SUMS"),
        sums.context("sha256sum failed")?,
    )?)
}

fn names(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name().into()));
    let mut names = entries.collect::<anyhow::Result<Vec<PathBuf>>>()?;
    names.sort();
    Ok(names)
}
