//! The warden, and a gatekeeper that somebody has taken over: this test plays it. Each in a network namespace of its own,
//! with the real nftables. Needs root.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "what a test cannot do without, it must fail without"
)]

use letmein_common::{ResourceId, UserId, maps::PendingKey};
use letmein_daemon::{
    channel::{self, Channel},
    clock,
    config::Config,
    firewall::Firewall,
    leases::Leases,
    requests::{Action, Challenge, Outcome, Request, TO_GATEKEEPER, ToGatekeeper},
    server::State,
    warden::{Doer, Gatekeeper},
};
use nix::sched::{CloneFlags, unshare};
use std::{
    net::{IpAddr, Ipv4Addr},
    os::fd::AsFd as _,
    path::Path,
    process::Command,
    rc::Rc,
    thread,
    time::Duration,
};
use tokio::task::LocalSet;

const GUEST: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));
const HOUR: Duration = Duration::from_hours(1);

/// The taken-over gatekeeper's end of the connection.
struct Attacker {
    channel: Channel,
    state: Rc<State>,
}

impl Attacker {
    async fn ask(&self, action: Action) -> Outcome {
        let request = Request { number: 7, action };
        self.channel.send(&request.to_bytes()).await.unwrap();
        let mut answer = [0; TO_GATEKEEPER];
        let length = self.channel.receive(&mut answer).await.unwrap().length;
        match ToGatekeeper::parse(&answer[..length]) {
            Ok(ToGatekeeper::Outcome(7, outcome)) => outcome,
            other => panic!("{other:?}"),
        }
    }

    fn open(&self) -> usize {
        self.state.leases.borrow().keys().len()
    }
}

fn open(user: u32, resource: u32, address: IpAddr, lease: Duration) -> Action {
    Action::Open {
        user: UserId(user),
        resource: ResourceId(resource),
        address,
        lease,
    }
}

/// Lets the attacker do this, and returns why the warden ends, if it does; and whether the process is gone then.
fn attack(attack: impl AsyncFnOnce(&Attacker) + Send + 'static) -> Option<String> {
    let test = thread::spawn(|| {
        unshare(CloneFlags::CLONE_NEWNET).expect("a network namespace: run these tests as root");
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        LocalSet::new().block_on(&runtime, async {
            let config = config();
            let firewall = Firewall::install(&config.firewall_plan()).unwrap();
            let leases = Leases::take_over(firewall, &config).unwrap();
            let state = Rc::new(State::new(config, leases));
            let (ours, theirs) = channel::pair().unwrap();
            let child = Command::new("sleep").arg("1000").spawn().unwrap();
            let process = child.id();
            let gatekeeper = Gatekeeper::with(child, ours).unwrap();
            let attacker = Attacker {
                channel: Channel::new(theirs).unwrap(),
                state: Rc::clone(&state),
            };
            let why = tokio::select! {
                biased;
                why = gatekeeper.listen(Doer::new(state, None)) => Some(format!("{why:#}")),
                () = attack(&attacker) => None,
            };
            drop(gatekeeper);
            assert!(!Path::new(&format!("/proc/{process}")).exists(), "it runs on");
            why
        })
    });
    match test.join() {
        Ok(why) => why,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

fn config() -> Config {
    let text = format!(
        "[gate]\nxdp = \"off\"\n[firewall]\nmax-opens-per-second = 2\n\
         [resources.ssh]\nid = \"1\"\nports = [\"tcp/22\"]\nlease = \"1h\"\n\
         [resources.admin]\nid = \"2\"\nports = [\"tcp/23\"]\n\
         [users.alice]\nid = \"1\"\nkey = \"{}\"\nresources = [\"ssh\"]\n\
         [users.mallory]\nid = \"7\"\nkey = \"{}\"\nresources = [\"ssh\"]\n",
        "5a".repeat(32),
        "5b".repeat(32)
    );
    Config::parse(&text, Path::new("f"), Path::new("/")).unwrap()
}

#[test]
fn what_the_configuration_allows_is_done() {
    let why = attack(async |attacker| {
        assert_eq!(attacker.ask(open(1, 1, GUEST, HOUR)).await, Outcome::Done);
        assert_eq!(attacker.open(), 1);
        let close = Action::Close {
            user: UserId(1),
            resource: ResourceId(1),
            address: GUEST,
        };
        assert_eq!(attacker.ask(close).await, Outcome::Done);
        assert_eq!(attacker.open(), 0);
    });
    assert_eq!(why, None);
}

#[test]
fn forged_requests_open_nothing() {
    let why = attack(async |attacker| {
        let nobody = [
            IpAddr::from([0; 4]),
            [224, 0, 0, 1].into(),
            [255; 4].into(),
            [0_u16; 8].into(),
        ];
        let to_nobody = nobody.map(|address| open(1, 1, address, HOUR));
        let forged = [
            open(2, 1, GUEST, HOUR),
            open(1, 2, GUEST, HOUR),
            open(1, 3, GUEST, HOUR),
            open(1, 1, GUEST, HOUR + Duration::from_nanos(1)),
            open(1, 1, GUEST, Duration::MAX),
            open(1, 1, GUEST, Duration::ZERO),
            Action::Close {
                user: UserId(1),
                resource: ResourceId(2),
                address: GUEST,
            },
            Action::Expect(
                PendingKey::new(&GUEST.into(), 7, UserId(1), ResourceId(1)),
                Challenge {
                    token: [1; 32],
                    expires: clock::monotonic() + 3600 * 1_000_000_000,
                },
            ),
        ];
        for action in forged.into_iter().chain(to_nobody) {
            assert_eq!(attacker.ask(action).await, Outcome::Refused, "{action:?}");
        }
        assert_eq!(attacker.open(), 0);
    });
    assert_eq!(why, None);
}

#[test]
fn no_more_is_opened_than_the_rate() {
    let why = attack(async |attacker| {
        let mut done = 0;
        for last in 0..100 {
            let guest = IpAddr::from([192, 0, 2, last]);
            if attacker.ask(open(1, 1, guest, HOUR)).await == Outcome::Done {
                done += 1;
            }
        }
        // A third of those of ten seconds, and some that came in meanwhile on a busy machine.
        assert!((7..60).contains(&done), "{done}");
        assert_eq!(attacker.open(), done);
    });
    assert_eq!(why, None);
}

/// As many users as there are ask for all they can get: no more is opened than by one who gets all of it.
#[test]
fn nor_more_by_all_users_together() {
    let why = attack(async |attacker| {
        let mut done = 0;
        for number in 0..100 {
            for user in [1, 7] {
                let guest = IpAddr::from([192, 0, 2, number]);
                if attacker.ask(open(user, 1, guest, HOUR)).await == Outcome::Done {
                    done += 1;
                }
            }
        }
        assert!((10..60).contains(&done), "{done}");
    });
    assert_eq!(why, None);
}

/// Nor does one user have to have been there first.
#[test]
fn a_greedy_user_leaves_the_others_their_share() {
    let why = attack(async |attacker| {
        for user in [7, 1] {
            let mut done = 0;
            for number in 0..100 {
                let guest = IpAddr::from([198, 51, 100, number]);
                if attacker.ask(open(user, 1, guest, HOUR)).await == Outcome::Done {
                    done += 1;
                }
                assert!(done > 0, "the first of user {user}");
            }
            assert!(done < 60, "{done} of user {user}");
        }
    });
    assert_eq!(why, None);
}

#[test]
fn garbage_ends_both() {
    let good = Request {
        number: 1,
        action: open(1, 1, GUEST, HOUR),
    };
    let bytes = good.to_bytes();
    let mut reserved = bytes;
    reserved[53] = 1;
    let garbage = [
        vec![1],
        bytes[..87].to_vec(),
        [&bytes[..], &[0]].concat(),
        vec![0; 88],
        vec![0xFF; 88],
        reserved.to_vec(),
        ToGatekeeper::Apply(1).to_bytes().to_vec(),
        vec![7; 4096],
    ];
    for bytes in garbage {
        let why = attack(async move |attacker| {
            attacker.channel.send(&bytes).await.unwrap();
            tokio::time::sleep(HOUR).await;
        });
        let why = why.expect("the warden goes on");
        assert!(
            why.contains("it is killed") || why.contains("and is killed"),
            "{why}"
        );
    }
}

/// Nothing is known that the warden would do with one.
#[test]
fn a_descriptor_ends_both() {
    let why = attack(async |attacker| {
        let request = Request {
            number: 1,
            action: open(1, 1, GUEST, HOUR),
        };
        let file = std::fs::File::open("/dev/null").unwrap();
        let bytes = request.to_bytes();
        let sent = attacker.channel.send_with(&bytes, Some(file.as_fd()));
        sent.await.unwrap();
        tokio::time::sleep(HOUR).await;
    });
    assert!(why.is_some_and(|why| why.contains("is killed")));
}
