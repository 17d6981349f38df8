//! Leases that come and go as fast as they can. Needs root.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test serves nobody, and what it cannot do without, it must fail without"
)]

use letmein_common::{ResourceId, UserId};
use letmein_daemon::{
    config::Config,
    firewall::{Firewall, LeaseKey, Protocol},
    leases::{LeaseError, Leases},
};
use nix::sched::{CloneFlags, unshare};
use std::{
    fs,
    io::Write as _,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    os::unix::fs::PermissionsExt as _,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};
use tempfile::TempDir;

const LIMIT: u32 = 20_000;
const LEASE: Duration = Duration::from_secs(1);

/// A configuration with this many leases, and what its firewall does.
struct Scene {
    config: Config,
    leases: Leases,
    _folder: TempDir,
}

impl Scene {
    /// In a network namespace of this thread's own.
    fn new(limit: u32) -> Self {
        unshare(CloneFlags::CLONE_NEWNET).unwrap();
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("letmeind.toml");
        let key = folder.path().join("alice.key");
        fs::write(&key, "5a".repeat(32)).unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
        let text = format!(
            "[gate]\nxdp = \"off\"\n[firewall]\nmax-leases = {limit}\n\
             [resources.ssh]\nid = \"1\"\nports = [\"tcp/22\"]\n\
             [users.alice]\nid = \"1\"\nkey-file = \"alice.key\"\nresources = [\"ssh\"]\n"
        );
        fs::write(&file, text).unwrap();
        let config = Config::load(&file).unwrap();
        let firewall = Firewall::install(&config.firewall_plan()).unwrap();
        let leases = Leases::take_over(firewall, &config).unwrap();
        Self {
            config,
            leases,
            _folder: folder,
        }
    }

    fn open(&mut self, address: impl Into<IpAddr>, lease: Duration) -> Result<(), LeaseError> {
        let user = self.config.user(UserId(1)).unwrap();
        let resource = self.config.resource(ResourceId(1)).unwrap();
        self.leases.open(user, resource, address.into(), lease)
    }
}

/// The kernel counts what has run out until it collects it, and gives up collecting whenever nftables changes. Here it
/// changes all the time, and as many leases live as may: still nobody is told that the set is full.
#[test]
fn leases_that_have_run_out_never_make_the_set_look_full() {
    let mut scene = Scene::new(LIMIT);
    let mut number = 0x0A00_0000;
    while number - 0x0A00_0000 < 4 * LIMIT {
        match scene.open(Ipv4Addr::from_bits(number), LEASE) {
            Ok(()) => number += 1,
            // As many live as may; this one has to wait until one of them has run out.
            Err(LeaseError::TooMany { .. }) => thread::sleep(Duration::from_micros(200)),
            Err(error) => panic!("{number:x}: {error}"),
        }
    }
}

/// Without waiting for the kernel to collect it: nobody else could be served meanwhile.
#[test]
fn a_set_full_of_what_has_run_out_has_room_at_once() {
    const CAPACITY: u32 = 16_384;
    const HOUR: Duration = Duration::from_hours(1);
    let mut scene = Scene::new(8);
    let guest = Ipv4Addr::new(192, 0, 2, 1);
    scene.open(guest, HOUR).unwrap();
    let elements = (1..CAPACITY).map(|number| {
        let address = Ipv4Addr::from_bits(0x0A00_0000 + number);
        format!("{address} . tcp . 22 timeout 1s")
    });
    let elements = elements.collect::<Vec<_>>().join(",");
    nft(&format!("add element inet letmein leases4 {{ {elements} }}"));
    let begun = Instant::now();
    while begun.elapsed() < LEASE + LEASE / 5 {
        // Each transaction makes the kernel's collection start over.
        scene.open(Ipv6Addr::LOCALHOST, HOUR).unwrap();
    }
    let another = Ipv4Addr::new(192, 0, 2, 2);
    scene.open(another, HOUR).unwrap();
    let keys = [guest, another].map(|address| LeaseKey::new(address.into(), Protocol::Tcp, 22));
    let mut firewall = Firewall::install(&scene.config.firewall_plan()).unwrap();
    let living = firewall.look_up(&keys).unwrap();
    assert_eq!(living.len(), 2, "{living:?}");
    for lease in living {
        let left = lease.remaining;
        assert!(left > Duration::from_mins(59) && left <= HOUR, "{left:?}");
    }
}

fn nft(commands: &str) {
    let mut nft = Command::new("nft")
        .args(["--file", "-"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    nft.stdin.take().unwrap().write_all(commands.as_bytes()).unwrap();
    assert!(nft.wait().unwrap().success());
}
