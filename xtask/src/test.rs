//! Running every test.

use crate::{build_ebpf, install, install::Package, neighbours, paths, peers, sh};
use anyhow::bail;
use std::process::{Command, Stdio};

const PACKAGES: &[Package] = &[
    Package {
        name: "iproute2",
        purpose: "`ip netns`: the tests make their own hosts",
    },
    Package {
        name: "nftables",
        purpose: "`nft`: the firewall that the daemon programs",
    },
    Package {
        name: "util-linux",
        purpose: "`setpriv`: letmein 12's server runs as a user of its own, ours without this or that capability",
    },
    Package {
        name: "mount",
        purpose: "`mount`: users, folders and missing programs for one mount namespace only",
    },
    Package {
        name: "systemd",
        purpose: "`systemd`, `systemd-analyze`: the units are examined, and booted in namespaces",
    },
    Package {
        name: "netbase",
        purpose: "/etc/protocols, from which `nft` has the names of protocols",
    },
    Package {
        name: "openssh-server",
        purpose: "`sshd`: a service behind the gate (Debian starts one on this machine, too)",
    },
    Package {
        name: "openssh-client",
        purpose: "`ssh`, `ssh-keyscan`, `ssh-keygen`: who wants to reach that service",
    },
    Package {
        name: "groff-base",
        purpose: "`groff`: whether the manual page is well-formed",
    },
    Package {
        name: "zsh",
        purpose: "a shell that completes command lines, besides bash",
    },
    Package {
        name: "fish",
        purpose: "another one",
    },
    Package {
        name: "faketime",
        purpose: "`faketime`: clocks that are wrong, of single programs",
    },
    Package {
        name: "strace",
        purpose: "`strace`: kills letmeind at each step of what it does",
    },
    Package {
        name: "nmap",
        purpose: "`nmap`: what a port scan sees of the gate",
    },
    Package {
        name: "iptables",
        purpose: "`iptables-nft`: ufw calls it, and Docker's rules are written by it",
    },
    Package {
        name: "procps",
        purpose: "`sysctl`: packets are passed on to a container; ufw calls it as well",
    },
    Package {
        name: "ethtool",
        purpose: "`ethtool`: the documents have administrators type it",
    },
    Package {
        name: "python3",
        purpose: "ufw and firewalld are written in it",
    },
    Package {
        name: "python3-dbus",
        purpose: "its D-Bus, for firewalld",
    },
    Package {
        name: "python3-gi",
        purpose: "its GLib, for firewalld",
    },
    Package {
        name: "dbus-daemon",
        purpose: "`dbus-daemon`: a bus for firewalld alone",
    },
];

#[derive(clap::Args)]
pub struct Options {
    /// Install what is missing without asking.
    #[arg(long)]
    yes: bool,
    /// What `cargo test` is given besides.
    #[arg(last = true)]
    arguments: Vec<String>,
}

pub fn run(options: &Options) -> anyhow::Result<()> {
    if sh::output(Command::new("id").arg("-u")).as_deref() != Some("0\n") {
        bail!("the tests make network namespaces and load XDP programs: run them as root");
    }
    install::packages(PACKAGES, options.yes)?;
    peers::install(options.yes)?;
    neighbours::unpack(options.yes)?;
    neighbours::unpack_monitoring(options.yes)?;
    for debug_log in [false, true] {
        build_ebpf::run(&build_ebpf::Options {
            yes: options.yes,
            debug_log,
        })?;
    }
    let cargo = || {
        let mut cargo = Command::new("cargo");
        cargo.current_dir(paths::workspace()).stdin(Stdio::null());
        cargo
    };
    sh::run(cargo().arg("build"))?;
    sh::run(
        cargo()
            .args([
                "test",
                "--workspace",
                "--exclude",
                "letmein-ebpf",
                "--no-fail-fast",
            ])
            .args(&options.arguments),
    )
}
