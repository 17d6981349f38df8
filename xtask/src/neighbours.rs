//! Other firewalls, beside which the tests run letmeind, and other gates, which measurements compare with. Their packages
//! are unpacked and not installed: installed, they would be firewalls and gates of this machine, and some start at once.

use crate::{install, install::Package, paths, sh};
use anyhow::{Context as _, bail};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

const FIREWALLS: &[Package] = &[
    Package {
        name: "ufw",
        purpose: "a firewall that letmeind has to get along with",
    },
    Package {
        name: "firewalld",
        purpose: "another one",
    },
    Package {
        name: "python3-firewall",
        purpose: "the greater part of it",
    },
    Package {
        name: "python3-nftables",
        purpose: "what it programs nftables by",
    },
];

const GATES: &[Package] = &[
    Package {
        name: "fwknop-server",
        purpose: "`fwknopd`: another gate, with single packets",
    },
    Package {
        name: "fwknop-client",
        purpose: "`fwknop`: its client",
    },
    Package {
        name: "libfko3",
        purpose: "the library of both",
    },
    Package {
        name: "libgpgme11",
        purpose: "a library that it takes",
    },
    Package {
        name: "libassuan0",
        purpose: "a library that this one takes",
    },
    Package {
        name: "knockd",
        purpose: "`knockd` and `knock`: another gate, with sequences of ports",
    },
];

const MONITORING: &[Package] = &[Package {
    name: "prometheus",
    purpose: "`promtool`: whether metrics and alerts are what Prometheus understands",
}];

/// What reads metrics, for the tests.
pub fn unpack_monitoring(yes: bool) -> anyhow::Result<()> {
    let what = "The tests check metrics by a tool of this Debian package, which is missing:";
    unpack_all(MONITORING, "monitoring", what, yes)
}

/// The firewalls, for the tests.
pub fn unpack(yes: bool) -> anyhow::Result<()> {
    let what = "The tests run letmeind beside other firewalls, of which these Debian packages are missing:";
    unpack_all(FIREWALLS, "neighbours", what, yes)
}

/// The gates, for measurements.
pub fn unpack_gates(yes: bool) -> anyhow::Result<()> {
    let what = "letmeind is measured beside other gates, of which these Debian packages are missing:";
    unpack_all(GATES, "gates", what, yes)
}

/// Unpacks those that are not there below the target folder: nothing else on the machine sees them.
fn unpack_all(packages: &[Package], folder: &str, what: &str, yes: bool) -> anyhow::Result<()> {
    let root = paths::target().join(folder);
    let missing: Vec<_> = packages
        .iter()
        .filter(|package| !root.join(package.name).exists())
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    eprintln!("{what}");
    for package in &missing {
        eprintln!("  {:<26} {}", package.name, package.purpose);
    }
    let question = format!("Download and unpack them, in {} only?", root.display());
    install::confirm(&question, yes)?;
    if sh::run(Command::new("apt-get").args(["update", "-qq"])).is_err() {
        eprintln!("apt-get update failed; trying with the package lists that are there");
    }
    missing
        .iter()
        .try_for_each(|package| unpack_one(package.name, &root))
}

fn unpack_one(name: &str, root: &Path) -> anyhow::Result<()> {
    let folder = root.join("unfinished");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    // apt's own user does not get there.
    let as_root = ["-qq", "-o", "APT::Sandbox::User=root", "download"];
    sh::run(
        Command::new("apt-get")
            .args(as_root)
            .arg(name)
            .current_dir(&folder),
    )?;
    let archive = archive(&folder)?;
    let contents = folder.join("contents");
    sh::run(
        Command::new("dpkg-deb")
            .arg("--extract")
            .arg(archive)
            .arg(&contents),
    )?;
    fs::rename(contents, root.join(name))?;
    Ok(fs::remove_dir_all(folder)?)
}

fn archive(folder: &Path) -> anyhow::Result<PathBuf> {
    let entry = fs::read_dir(folder)?.next();
    let path = entry
        .context("apt-get says that it has downloaded a package, which is not there")??
        .path();
    if path.extension().is_none_or(|extension| extension != "deb") {
        bail!("{} is no package", path.display());
    }
    Ok(path)
}
