//! The end-to-end tests on other kernels: Debian's, in an emulated machine that has nothing but what they need.

mod image;
mod machine;
mod root;
mod tests;

use crate::{build_ebpf, install, install::Package, paths, sh};
use anyhow::{Context as _, bail};
use clap::ValueEnum;
use serde_json::Value;
use std::{
    fs,
    path::PathBuf,
    process::{Command, Stdio},
    time::Duration,
};
use tests::Test;

const PACKAGES: &[Package] = &[
    Package {
        name: "qemu-system-x86",
        purpose: "the emulated machine",
    },
    Package {
        name: "busybox-static",
        purpose: "its shell",
    },
    Package {
        name: "cpio",
        purpose: "packs its file system",
    },
    Package {
        name: "xz-utils",
        purpose: "decompresses modules",
    },
    Package {
        name: "kmod",
        purpose: "lists the kernel's modules for it",
    },
    Package {
        name: "netbase",
        purpose: "the names of protocols",
    },
    Package {
        name: "iproute2",
        purpose: "`ip netns`: the tests make their own hosts",
    },
    Package {
        name: "debian-archive-keyring",
        purpose: "with which Debian's archive proves what it says",
    },
    Package {
        name: "nftables",
        purpose: "`nft`: the firewall that the daemon programs",
    },
];

/// Kernels to test on, from the oldest.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Version {
    /// Debian 11's.
    #[value(name = "5.10")]
    V5_10,
    /// Debian 12's.
    #[value(name = "6.1")]
    V6_1,
    /// Debian 13's.
    #[value(name = "6.12")]
    V6_12,
}

impl Version {
    /// Where Debian has the newest of them.
    const fn suite(self) -> &'static str {
        match self {
            Self::V5_10 => "bullseye-security",
            Self::V6_1 => "bookworm-security",
            Self::V6_12 => "trixie",
        }
    }

    /// What is tested there.
    const fn tests(self) -> &'static [Test] {
        match self {
            Self::V5_10 => tests::WITHOUT_XDP,
            Self::V6_1 => tests::ALL,
            Self::V6_12 => tests::FEW,
        }
    }
}

#[derive(clap::Args)]
pub struct Options {
    /// Only this kernel. May be repeated.
    #[arg(long)]
    kernel: Vec<Version>,
    /// Minutes that the tests may take on each.
    #[arg(long, default_value_t = 15)]
    minutes: u64,
    /// Install what is missing without asking.
    #[arg(long)]
    yes: bool,
}

pub fn run(options: &Options) -> anyhow::Result<()> {
    if std::env::consts::ARCH != "x86_64" {
        bail!("the emulated machine is an x86_64 one, which takes programs built for it");
    }
    install::packages(PACKAGES, options.yes)?;
    build_ebpf::run(&build_ebpf::Options {
        yes: options.yes,
        debug_log: false,
    })?;
    sh::run(Command::new("cargo").current_dir(paths::workspace()).arg("build"))?;
    let all = Version::value_variants();
    let versions = if options.kernel.is_empty() {
        all
    } else {
        &options.kernel
    };
    let mut failed = Vec::new();
    for version in versions {
        // Each is tried, whatever becomes of the others.
        match test_on(*version, options) {
            Ok(told) => eprintln!("{told}"),
            Err(error) => failed.push(format!("{error:#}")),
        }
    }
    if !failed.is_empty() {
        bail!("{}", failed.join("\n"));
    }
    Ok(())
}

/// Boots one kernel, runs the tests there, and tells what came of it.
fn test_on(version: Version, options: &Options) -> anyhow::Result<String> {
    let tests = version.tests().iter();
    let tests = tests
        .map(|test| Ok((test_program(test.package, test.name)?, test.only)))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let folder = paths::target().join("test-kernels");
    fs::create_dir_all(&folder)?;
    let kernel = image::fetch(version.suite(), &folder)?;
    let root = root::pack(&kernel, &tests, &folder)?;
    let seen = machine::boot(&kernel.image, &root, Duration::from_secs(options.minutes * 60))?;
    // Said by `/init`, once for each test program and once at the end.
    let passed = seen.matches(root::PASSED).count();
    if passed != tests.len() || !seen.contains(root::DONE) {
        bail!(
            "on Linux {}, {passed} of {} test programs passed; see above",
            kernel.release,
            tests.len()
        );
    }
    Ok(format!(
        "Linux {}: all {passed} test programs passed",
        kernel.release
    ))
}

/// Builds a test of a package, and tells where cargo put it.
fn test_program(package: &str, name: &str) -> anyhow::Result<PathBuf> {
    let mut cargo = Command::new("cargo");
    cargo
        .current_dir(paths::workspace())
        .args([
            "test",
            "--no-run",
            "--message-format=json",
            "--package",
            package,
            "--test",
            name,
        ])
        .stdin(Stdio::null())
        .stderr(Stdio::inherit());
    let output = cargo.output().context("cannot start cargo")?;
    if !output.status.success() {
        bail!("test {name} of {package} does not build");
    }
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message["target"]["name"] == name)
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
        .with_context(|| format!("cargo does not say where test {name} is"))
}
