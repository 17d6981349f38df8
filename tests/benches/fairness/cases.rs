//! Who attacks what, and who wants to get in meanwhile. [`super::reload`] is one more.

use super::{
    attackers::{Attack, Sources, crowd, forged_knocks, silent_knocks, tcp_knocks},
    gates::{Stage, USERS},
    guests::{By, From, Guests, OWN},
    measure::Effort,
};
use std::time::Duration;

/// One of them.
pub struct Case {
    pub name: &'static str,
    /// Lines for these sections of our gate's configuration.
    pub gate: &'static str,
    pub firewall: &'static str,
    pub guests: Guests,
    pub attack: fn(&Stage, Effort) -> anyhow::Result<Attack>,
    /// What the attacker needs until it does harm.
    pub head_start: Duration,
    /// Whether letmein 12 has what is attacked.
    pub theirs_has_it: bool,
    /// Whether the leases that there are in the end tell how far the attacker got.
    pub counts_leases: bool,
}

/// Forged packets a second in a guest's name.
const FORGED: u64 = 10_000;
/// More leases than this are not given in `greedy_user_leases`.
const FEW_LEASES: &str = "max-leases = 1000\nmax-opens-per-second = 2000";
/// Sources for which the greedy user wants one.
const WANTED: u64 = 4000;

/// All of them, in the order of the documents.
pub fn all() -> Vec<Case> {
    vec![
        Case {
            guests: in_whose_name(&[By::Udp]),
            attack: |stage, _| forged_knocks(stage, FORGED, Sources::One(OWN)),
            theirs_has_it: true,
            ..case("spoofed_challenge")
        },
        Case {
            guests: in_whose_name(&[By::Silent]),
            attack: |stage, _| forged_knocks(stage, FORGED, Sources::One(OWN)),
            ..case("spoofed_silent")
        },
        Case {
            guests: others(&[By::Udp, By::Tcp]),
            attack: |_, effort| Ok(tcp_knocks(300 / effort.slower)),
            // What may be done at once after a pause is used up.
            head_start: Duration::from_secs(4),
            theirs_has_it: true,
            ..case("greedy_user_tcp")
        },
        Case {
            guests: others(&[By::Silent]),
            attack: |_, effort| Ok(silent_knocks(2000 / effort.slower, u64::from(u16::MAX))),
            head_start: Duration::from_secs(2),
            counts_leases: true,
            ..case("greedy_user_silent")
        },
        Case {
            firewall: FEW_LEASES,
            guests: others(&[By::Silent, By::Udp]),
            attack: |_, effort| Ok(silent_knocks(1000 / effort.slower, WANTED)),
            head_start: Duration::from_secs(3),
            counts_leases: true,
            ..case("greedy_user_leases")
        },
        Case {
            guests: others(&[By::Tcp]),
            attack: |_, effort| Ok(crowd(1500 / effort.slower)),
            head_start: Duration::from_secs(1),
            theirs_has_it: true,
            ..case("tcp_slash48")
        },
    ]
}

fn case(name: &'static str) -> Case {
    Case {
        name,
        gate: "",
        firewall: "",
        guests: others(&[By::Udp]),
        attack: |_, _| anyhow::bail!("there is no attacker"),
        head_start: Duration::from_millis(500),
        theirs_has_it: false,
        counts_leases: false,
    }
}

/// One user at one address, whose rate suffices for what it does.
fn in_whose_name(by: &'static [By]) -> Guests {
    Guests {
        users: 1,
        by,
        from: From::Own,
        pause: Duration::from_millis(100),
        beside_the_flood: true,
    }
}

/// Several users, each time at another address.
fn others(by: &'static [By]) -> Guests {
    Guests {
        users: USERS.into(),
        by,
        from: From::Fresh,
        pause: Duration::from_millis(50),
        beside_the_flood: false,
    }
}
