//! Leases in nftables and their copy in the shield, against the real kernel. Each test in a network namespace of its
//! own. Needs root, and the XDP program in this crate.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "what a test cannot do without, it must fail without"
)]

use aya::programs::{TestRun as _, TestRunOptions};
use letmein_common::{ResourceId, UserId};
use letmein_daemon::{
    config::Config,
    firewall::{Firewall, LeaseKey, Protocol},
    leases::{LeaseError, Leases, Opener},
    silent::tags::Change,
    xdp::{Framing, KernelGate, Object, Plan, ShieldPlan},
};
use nix::sched::{CloneFlags, unshare};
use std::{
    net::{IpAddr, Ipv4Addr},
    path::Path,
    thread::{self, sleep},
    time::Duration,
};

const HOUR: Duration = Duration::from_hours(1);
const GUEST: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 7);
const ANOTHER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 8);

/// All that a lease takes, but for sockets and an interface.
struct Gate {
    config: Config,
    kernel: KernelGate,
    leases: Leases,
}

impl Gate {
    /// With a shield that knows no more than so many leases.
    fn new(room: u32) -> Self {
        let config = config();
        let firewall = Firewall::install(&config.firewall_plan()).unwrap();
        let mut leases = Leases::take_over(firewall, &config).unwrap();
        let mut kernel = kernel(&config, room);
        leases.stand_behind(kernel.shield().unwrap()).unwrap();
        Self {
            config,
            kernel,
            leases,
        }
    }

    fn open(&mut self, address: Ipv4Addr, lease: Duration) -> Result<(), LeaseError> {
        let user = self.config.user(UserId(1)).unwrap();
        let resource = self.config.resource(ResourceId(1)).unwrap();
        self.leases.open(user, resource, address.into(), lease)
    }

    fn close(&mut self, address: Ipv4Addr) {
        let user = self.config.user(UserId(1)).unwrap();
        let resource = self.config.resource(ResourceId(1)).unwrap();
        self.leases.close(user, resource, address.into()).unwrap();
    }

    /// Whether the XDP program passes a SYN from this address.
    fn lets_in(&self, address: Ipv4Addr) -> bool {
        const XDP_PASS: u32 = 2;
        let mut frame = vec![2; 12];
        frame.extend([0x08, 0x00, 0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0]);
        frame.extend(address.octets());
        frame.extend([
            192, 0, 2, 1, 0x9C, 0x40, 0, 22, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 0x02,
        ]);
        frame.resize(60, 0);
        let options = TestRunOptions {
            data_in: Some(&frame),
            ..TestRunOptions::default()
        };
        self.kernel
            .program()
            .unwrap()
            .test_run(options)
            .unwrap()
            .return_value
            == XDP_PASS
    }

    /// Who holds a lease for `tcp/22` in nftables.
    fn guests(&self) -> Vec<IpAddr> {
        let mut firewall = Firewall::install(&self.config.firewall_plan()).unwrap();
        let leases = firewall.leases().unwrap().into_iter();
        let mut guests: Vec<_> = leases
            .map(|lease| lease.key)
            .filter(|key| key.port() == Some((Protocol::Tcp, 22)))
            .map(|key| key.address)
            .collect();
        guests.sort();
        guests
    }
}

fn config() -> Config {
    let key = "5a".repeat(32);
    let text = format!(
        "[gate]\ninterfaces = [\"eth0\"]\n[resources.ssh]\nid = \"1\"\nports = [\"tcp/22\", \"udp/22\"]\n\
         [users.alice]\nid = \"1\"\nkey = \"{key}\"\nresources = [\"ssh\"]\n"
    );
    Config::parse(&text, Path::new("f.toml"), Path::new("/nonexistent")).unwrap()
}

/// The XDP program, whose shield knows no more than so many leases.
fn kernel(config: &Config, room: u32) -> KernelGate {
    let plan = Plan {
        settings: config.settings(),
        users: Vec::new(),
        permits: Vec::new(),
        seen_salts: 1,
        pending_challenges: 1,
        silent: None,
        shield: Some(ShieldPlan {
            rules: config.port_rules(),
            leases: room,
        }),
        framings: vec![Framing::Ethernet],
        pins: None,
    };
    KernelGate::load(Object::embedded().unwrap(), &plan).unwrap()
}

fn in_namespace(test: impl FnOnce() + Send + 'static) {
    let outcome = thread::spawn(|| {
        unshare(CloneFlags::CLONE_NEWNET).expect("a network namespace: run these tests as root");
        test();
    })
    .join();
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic);
    }
}

#[test]
fn the_shield_follows_the_firewall() {
    in_namespace(|| {
        let mut gate = Gate::new(8);
        assert!(!gate.lets_in(GUEST));
        gate.open(GUEST, HOUR).unwrap();
        assert!(gate.lets_in(GUEST) && !gate.lets_in(ANOTHER));
        gate.close(GUEST);
        assert!(!gate.lets_in(GUEST));
        assert_eq!(gate.guests(), Vec::<IpAddr>::new());
        gate.open(GUEST, Duration::from_secs(1)).unwrap();
        assert!(gate.lets_in(GUEST));
        sleep(Duration::from_millis(1100));
        assert!(!gate.lets_in(GUEST));
    });
}

/// A guest whom nftables lets in and the shield does not would knock in vain: the knock fails, and nothing stays open.
#[test]
fn a_lease_that_the_shield_cannot_take_is_none() {
    in_namespace(|| {
        let mut gate = Gate::new(1);
        gate.open(GUEST, HOUR).unwrap();
        let outcome = gate.open(ANOTHER, HOUR);
        assert!(matches!(outcome, Err(LeaseError::Shield(_))), "{outcome:?}");
        assert_eq!(gate.guests(), [IpAddr::from(GUEST)]);
        assert!(gate.lets_in(GUEST) && !gate.lets_in(ANOTHER));
        gate.close(GUEST);
        gate.open(ANOTHER, HOUR).unwrap();
        assert_eq!(gate.guests(), [IpAddr::from(ANOTHER)]);
        assert!(gate.lets_in(ANOTHER));
    });
}

/// Without anybody else's knock.
#[test]
fn ended_leases_are_swept_out_of_the_shield() {
    in_namespace(|| {
        let mut gate = Gate::new(1);
        gate.open(GUEST, Duration::from_secs(1)).unwrap();
        gate.leases.sweep();
        assert!(
            gate.open(ANOTHER, HOUR).is_err(),
            "a lease that lives was swept out"
        );
        sleep(Duration::from_millis(1200));
        gate.leases.sweep();
        gate.open(ANOTHER, HOUR).unwrap();
    });
}

#[test]
fn leases_of_an_earlier_run_are_in_the_shield_from_the_start() {
    in_namespace(|| {
        let mut first = Gate::new(8);
        first.open(GUEST, HOUR).unwrap();
        drop(first);
        let second = Gate::new(8);
        assert!(second.lets_in(GUEST) && !second.lets_in(ANOTHER));
    });
}

/// More users behind one address than the comment of an element has room for.
#[test]
fn a_reload_keeps_grants_that_are_not_recorded_and_a_crash_the_longest() {
    const USERS: u32 = 20;
    in_namespace(|| {
        let mut text =
            "[gate]\ninterfaces = [\"eth0\"]\n[resources.ssh]\nid = \"1\"\nports = [\"tcp/22\"]\n".to_owned();
        for number in 1..=USERS {
            let key = format!("{number:02x}").repeat(32);
            let user =
                format!("[users.u{number}]\nid = \"{number:x}\"\nkey = \"{key}\"\nresources = [\"ssh\"]\n");
            text.push_str(&user);
        }
        let config = Config::parse(&text, Path::new("f.toml"), Path::new("/nonexistent")).unwrap();
        let install = || Firewall::install(&config.firewall_plan()).unwrap();
        let resource = config.resource(ResourceId(1)).unwrap();
        let mut leases = Leases::take_over(install(), &config).unwrap();
        for number in 1..=USERS {
            let user = config.user(UserId(number)).unwrap();
            let lease = Duration::from_secs(100 + 10 * u64::from(number));
            leases.open(user, resource, GUEST.into(), lease).unwrap();
        }
        assert_eq!((leases.count(), leases.keys().len()), (20, 1));
        let (mut reloaded, settlement) = Leases::survey(install(), &config, None, Some(&leases)).unwrap();
        reloaded.settle(&settlement).unwrap();
        assert_eq!((reloaded.count(), reloaded.keys().len()), (20, 1));
        drop(reloaded);
        let mut crashed = Leases::take_over(install(), &config).unwrap();
        let holders = |leases: &Leases| {
            leases
                .page(None, 100)
                .iter()
                .map(|living| living.grant.opener)
                .collect::<Vec<_>>()
        };
        let longest: Vec<_> = (12..=USERS).map(|number| Opener::User(UserId(number))).collect();
        assert_eq!(holders(&crashed), longest);
        // As the longest go, the others take their places in the record.
        for number in (12..=USERS).rev() {
            let user = config.user(UserId(number)).unwrap();
            leases.close(user, resource, GUEST.into()).unwrap();
        }
        crashed = Leases::take_over(install(), &config).unwrap();
        let longest: Vec<_> = (3..12).map(|number| Opener::User(UserId(number))).collect();
        assert_eq!(holders(&crashed), longest);
    });
}

/// A REVOKE without a lease is ordinary, and no reason for a warning.
#[test]
fn closing_what_is_not_open_fails_nowhere() {
    in_namespace(|| {
        let mut kernel = kernel(&config(), 8);
        let mut shield = kernel.shield().unwrap();
        let lease = LeaseKey::new(GUEST.into(), Protocol::Tcp, 22);
        shield.shut_out(&lease).unwrap();
        shield.admit(&lease, u64::MAX).unwrap();
        shield.shut_out(&lease).unwrap();
        shield.shut_out(&lease).unwrap();
        kernel.change_tag(&Change::Remove(7)).unwrap();
    });
}
