//! The configurations that the XDP program is loaded with.

use letmein_common::{ResourceId, UserId, bucket::Limit, wire::silent::Keys};
use letmein_daemon::{config::Config, silent::tags::Change};
use std::path::Path;

/// A configuration by its name.
pub struct Scene {
    pub name: &'static str,
    /// What is in it besides resources and users.
    options: &'static str,
}

pub const SCENES: &[Scene] = &[
    Scene {
        name: "both",
        options: "[gate]\nsilent = true\n[firewall]\nshield = \"off\"\n",
    },
    Scene {
        name: "strangers",
        options: "[gate]\nerror-policy = \"always\"\nsource-prefix-ipv4 = 24\nsource-prefix-ipv6 = 48\n",
    },
    Scene {
        name: "silent",
        options: "[gate]\nsilent = true\nchallenge = false\nsource-prefix-ipv4 = 8\n",
    },
];

/// What frames meet that are not only read, but sent.
pub const LIVE: Scene = Scene {
    name: "live",
    options: "[gate]\nsilent = true\n",
};

/// Users that exist. The second one may open the first resource only.
pub const USERS: [UserId; 2] = [UserId(1), UserId(0x0200_0002)];
pub const RESOURCES: [ResourceId; 2] = [ResourceId(1), ResourceId(0xFFFF_FFFE)];
pub const KEYS: [[u8; 32]; 2] = [[0x11; 32], [0x22; 32]];
/// UDP ports that have a shield and share their leases, and a TCP port.
pub const SHIELDED: [u16; 3] = [51820, 22, 51829];

/// So long that no token comes back while a history is played.
const INTERVAL: u64 = 1 << 50;
const BURST: u64 = 4;
/// HMACs for strangers in one history.
const BUDGET: u64 = 5;

/// When a tag is taken: now, no more, not yet.
const TIMES: [(u64, u64); 3] = [(0, u64::MAX), (0, 1), (u64::MAX - 1, u64::MAX)];

impl Scene {
    /// Checked as any other.
    #[expect(clippy::expect_used, reason = "it is written above")]
    pub fn config(&self) -> Config {
        let [one, two] = KEYS.map(|[byte, ..]| format!("{byte:02x}").repeat(32));
        let (gate, firewall) = self
            .options
            .split_once("[firewall]")
            .unwrap_or((self.options, ""));
        let text = format!(
            "{gate}interfaces = [\"eth0\"]\nseen-salts = 1024\npending-challenges = 1024\n[firewall]\n{firewall}\n\
             [resources.vpn]\nid = \"1\"\nports = [\"udp/51820-51829\"]\nipv6-prefix = 64\n{}\
             [resources.ssh]\nid = \"fffffffe\"\nports = [\"tcp/22\"]\n\
             [users.alice]\nid = \"1\"\nkey = \"{one}\"\nresources = [\"*\"]\n\
             [users.bob]\nid = \"02000002\"\nkey = \"{two}\"\nresources = [\"vpn\"]\n",
            if firewall.is_empty() {
                "shield-udp = true\n"
            } else {
                ""
            }
        );
        let mut config = Config::parse(&text, Path::new(self.name), Path::new("/")).expect("a good scene");
        let limit = |burst| Limit {
            interval: INTERVAL,
            tolerance: INTERVAL * (burst - 1),
        };
        config.gate.limit = limit(BURST);
        config.gate.budget = limit(BUDGET);
        config
    }
}

/// The TAG of a silent knock in one of the epochs that there are tags for.
pub fn tag(keys: &Keys, epoch: u64, user: UserId, resource: ResourceId) -> u64 {
    keys.tag(epoch, 0, user, resource)
}

/// The tags of the epochs 0, 1 and 2: taken, no more, and not yet.
pub fn tags(config: &Config) -> Vec<Change> {
    let mut changes = Vec::new();
    for permit in config.permits() {
        let user = config.user(permit.user);
        let Some(keys) = user.and_then(|user| user.silent.as_deref()) else {
            continue;
        };
        for (epoch, (from, until)) in (0..).zip(TIMES) {
            let entry = letmein_common::maps::Tag {
                check: keys.check.clone(),
                from,
                until,
                user: permit.user,
                resource: permit.resource,
            };
            changes.push(Change::Set(tag(keys, epoch, permit.user, permit.resource), entry));
        }
    }
    changes
}
