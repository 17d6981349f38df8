//! nftables and conntrack, tried without changing a thing: `nft --check` has the kernel prepare a ruleset and drop it.

use super::{Finding, is_root};
use crate::sh;
use std::{
    io::Write as _,
    process::{Command, Stdio},
};

const NFT: &str = "nftables";
const CONNTRACK: &str = "conntrack";

/// What the leases need.
const SETS: &str = "table inet letmein-doctor {\n\
                    set leases { type ipv4_addr . inet_proto . inet_service; size 1; flags timeout; }\n\
                    chain input { type filter hook input priority -10; \
                    ip saddr . meta l4proto . th dport @leases accept; }\n}\n";
/// What keeps open connections open when their lease is over.
const STATES: &str = "table inet letmein-doctor {\n\
                      chain input { type filter hook input priority -10; ct state established,related accept; }\n}\n";

pub(super) fn check() -> Vec<Finding> {
    let Some(version) = sh::output(Command::new("nft").arg("--version")) else {
        return vec![Finding::fail(
            NFT,
            "no `nft`, which letmeind sets its rules up with: apt-get install nftables",
        )];
    };
    let version = version.split_whitespace().nth(1).unwrap_or("of unknown version");
    if !is_root() {
        return vec![Finding::warn(
            NFT,
            format!("nft {version}; the kernel's side was not tried: run as root"),
        )];
    }
    if let Err(error) = nft(&["--json", "list", "tables"], "") {
        return vec![Finding::fail(
            NFT,
            format!(
                "nft {version}: `nft --json list tables` fails ({error}): modprobe nf_tables, or take an nft that was \
                 built with JSON"
            ),
        )];
    }
    let sets = match dry_run(SETS) {
        Ok(()) => Finding::ok(NFT, format!("nft {version}; sets with timeouts are usable")),
        Err(error) => Finding::fail(
            NFT,
            format!(
                "nft {version}; sets with timeouts are not usable ({error}): take a kernel with CONFIG_NF_TABLES_INET"
            ),
        ),
    };
    let states = match dry_run(STATES) {
        Ok(()) => Finding::ok(CONNTRACK, "connection states are usable"),
        Err(error) => Finding::fail(
            CONNTRACK,
            format!(
                "connection states are not usable ({error}): modprobe nft_ct, or take a kernel with CONFIG_NFT_CT"
            ),
        ),
    };
    vec![sets, states]
}

/// Has the kernel prepare `ruleset`, and drop it.
fn dry_run(ruleset: &str) -> Result<(), String> {
    nft(&["--check", "--file", "-"], ruleset)
}

/// Runs nft; fails with the first line of what it says.
fn nft(arguments: &[&str], input: &str) -> Result<(), String> {
    let run = || {
        let mut nft = Command::new("nft")
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        if let Some(mut stdin) = nft.stdin.take() {
            stdin.write_all(input.as_bytes())?;
        }
        nft.wait_with_output()
    };
    let output = run().map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(said.lines().next().unwrap_or("no reason given").trim().to_owned())
}
