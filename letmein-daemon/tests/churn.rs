//! Leases that come and go as fast as they can. Needs root.

use letmein_common::{ResourceId, UserId};
use letmein_daemon::{
    config::Config,
    firewall::Firewall,
    leases::{LeaseError, Leases},
};
use nix::sched::{CloneFlags, unshare};
use std::{
    fs,
    net::Ipv4Addr,
    os::unix::fs::PermissionsExt as _,
    thread,
    time::{Duration, Instant},
};
use tempfile::TempDir;

const LIMIT: u32 = 20_000;
const LEASE: Duration = Duration::from_secs(1);

/// The kernel counts what has run out until it collects it, and gives up collecting whenever nftables changes. Here it
/// changes all the time, and as many leases live as may: still nobody is told that the set is full.
#[test]
fn leases_that_have_run_out_never_make_the_set_look_full() {
    unshare(CloneFlags::CLONE_NEWNET).unwrap();
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("letmeind.toml");
    let key = folder.path().join("alice.key");
    fs::write(&key, "5a".repeat(32)).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    let text = format!(
        "[gate]\nxdp = \"off\"\n[firewall]\nmax-leases = {LIMIT}\n\
         [resources.ssh]\nid = \"1\"\nports = [\"tcp/22\"]\n\
         [users.alice]\nid = \"1\"\nkey-file = \"alice.key\"\nresources = [\"ssh\"]\n"
    );
    fs::write(&file, text).unwrap();
    let config = Config::load(&file).unwrap();
    let user = config.user(UserId(1)).unwrap();
    let resource = config.resource(ResourceId(1)).unwrap();
    let firewall = Firewall::install(&config.firewall_plan()).unwrap();
    let mut leases = Leases::take_over(firewall, &config).unwrap();
    let mut number = 0x0A00_0000;
    let begun = Instant::now();
    while begun.elapsed() < 8 * LEASE {
        match leases.open(user, resource, Ipv4Addr::from_bits(number).into(), LEASE) {
            Ok(()) => number += 1,
            // As many live as may; this one has to wait until one of them has run out.
            Err(LeaseError::TooMany { .. }) => thread::sleep(Duration::from_micros(200)),
            Err(error) => panic!("{number:x}: {error}"),
        }
    }
    assert!(number - 0x0A00_0000 > 3 * LIMIT, "{number:x}");
}
