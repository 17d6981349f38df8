//! What has to become of a frame.

use super::{
    reading::{Datagram, Reading, Segment, read},
    userspace::Userspace,
};
use letmein_common::{
    maps::SilentKnock,
    reason::{Counters, Reason},
    shield,
    wire::{challenge, silent},
};
use letmein_daemon::{config::Config, userspace_gate::Verdict};
use std::net::{IpAddr, SocketAddr};

/// What became of a frame, all that can be seen of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It went on, and nobody counted it.
    Passed,
    /// A genuine challenge knock, which went on.
    Genuine,
    /// Refused, and went on all the same, for an answer.
    HandedOver(Reason),
    Refused(Reason),
    /// A genuine silent knock, which was delivered.
    Delivered(Knock),
}

/// [`SilentKnock`], to be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Knock {
    source: [u8; 16],
    destination: [u8; 16],
    ids: [u32; 2],
    message: [u8; silent::LEN],
}

impl From<&SilentKnock> for Knock {
    fn from(knock: &SilentKnock) -> Self {
        Self {
            source: knock.source.bytes(),
            destination: knock.destination.bytes(),
            ids: [knock.user.0, knock.resource.0],
            message: knock.message,
        }
    }
}

impl Outcome {
    /// A number for each kind of outcome, below 64.
    pub fn number(&self) -> usize {
        match self {
            Self::Passed => 0,
            Self::Genuine => 1,
            Self::Delivered(_) => 2,
            Self::Refused(reason) => 8 + *reason as usize,
            Self::HandedOver(reason) => 32 + *reason as usize,
        }
    }

    /// Every kind that packets can bring about by themselves: for an overrun, letmeind has to be slow, and beyond a user's
    /// share there are more packets than in any input.
    pub fn all() -> Vec<Self> {
        let knock = Knock {
            source: [0; 16],
            destination: [0; 16],
            ids: [0; 2],
            message: [0; silent::LEN],
        };
        let mut all = vec![Self::Passed, Self::Genuine, Self::Delivered(knock)];
        let reasons = Reason::ALL
            .iter()
            .filter(|reason| ![Reason::Overrun, Reason::Quota].contains(reason));
        for reason in reasons {
            use Reason::{Auth, Magic, NoChallenge, NotPermitted, Operation, UnknownUser};
            if matches!(
                reason,
                Auth | Magic | NoChallenge | NotPermitted | Operation | UnknownUser
            ) {
                all.push(Self::HandedOver(*reason));
            }
            if *reason != NotPermitted {
                all.push(Self::Refused(*reason));
            }
        }
        all
    }
}

/// By what was counted, whether the packet passed, and what was delivered. None if these do not fit together.
pub fn outcome(before: &Counters, now: &Counters, passed: bool, delivered: &[Knock]) -> Option<Outcome> {
    let moved = |reason: &&Reason| before.of(**reason) != now.of(**reason);
    let reasons: Vec<_> = Reason::ALL.iter().filter(moved).copied().collect();
    let mut sum = *before;
    let outcome = match (
        reasons.as_slice(),
        delivered,
        now.genuine - before.genuine,
        passed,
    ) {
        ([], [], 0, true) => Outcome::Passed,
        ([], [], 1, true) => Outcome::Genuine,
        ([], [knock], 1, false) => Outcome::Delivered(*knock),
        ([reason], [], 0, passed) => {
            sum.refuse(*reason);
            if passed {
                Outcome::HandedOver(*reason)
            } else {
                Outcome::Refused(*reason)
            }
        }
        _ => return None,
    };
    sum.genuine = now.genuine;
    (sum == *now).then_some(outcome)
}

/// What userspace does with the same frame.
pub fn of(config: &Config, userspace: &mut Userspace, frame: &[u8]) -> Outcome {
    let settings = config.settings();
    match read(frame) {
        Reading::TcpHeaderChain | Reading::TcpTruncated if settings.shield_tcp == 0 => Outcome::Passed,
        Reading::Other => Outcome::Passed,
        Reading::HeaderChain | Reading::TcpHeaderChain => Outcome::Refused(Reason::HeaderChain),
        Reading::Truncated | Reading::TcpTruncated => Outcome::Refused(Reason::Truncated),
        Reading::Udp(datagram) if u32::from(datagram.port) == settings.control_port => {
            control(config, userspace, &datagram)
        }
        Reading::Udp(datagram) => userspace.shield(datagram.source, shield::Segment::Udp, datagram.port),
        Reading::Tcp(segment) => tcp(userspace, &segment),
    }
}

fn tcp(userspace: &Userspace, segment: &Segment) -> Outcome {
    let unseen = if segment.fragment {
        Reason::Fragment
    } else {
        Reason::Truncated
    };
    let flags = segment.flags.ok_or(unseen);
    userspace.shield(segment.source, shield::Segment::Tcp(flags), segment.port)
}

/// An address that nobody on a network has.
fn is_martian(source: IpAddr) -> bool {
    match source {
        IpAddr::V4(v4) => {
            let [first, ..] = v4.octets();
            first == 0 || v4.is_loopback() || v4.is_multicast() || first >= 240
        }
        IpAddr::V6(v6) => v6.is_multicast() || v6.to_ipv4_mapped().is_some() || v6.segments()[..6] == [0; 6],
    }
}

fn control(config: &Config, userspace: &mut Userspace, datagram: &Datagram<'_>) -> Outcome {
    if datagram.fragment {
        return Outcome::Refused(Reason::Fragment);
    }
    if is_martian(datagram.source) {
        return Outcome::Refused(Reason::Martian);
    }
    let Some(payload) = datagram.payload else {
        // No socket would get it. Which of both reasons it is depends on the length that the UDP header names.
        let knocks = [
            (config.gate.udp, challenge::LEN),
            (config.gate.silent, silent::LEN),
        ];
        let as_long = |(on, length): &(bool, usize)| *on && datagram.lengths[0] == 8 + length;
        return Outcome::Refused(if knocks.iter().any(as_long) {
            Reason::Truncated
        } else {
            Reason::Length
        });
    };
    let before = userspace.gate.counters();
    let source = SocketAddr::new(datagram.source, datagram.source_port);
    let verdict = userspace
        .gate
        .judge(&userspace.policy, &userspace.exchanges, source, payload);
    let (passed, delivered) = match verdict {
        Verdict::Pass => (true, None),
        Verdict::Drop => (false, None),
        Verdict::Silent(mut knock) => {
            // Which a socket does not tell.
            knock.destination = datagram.destination.into();
            (false, Some(Knock::from(&knock)))
        }
    };
    let outcome = outcome(&before, &userspace.gate.counters(), passed, delivered.as_slice());
    outcome.unwrap_or_else(|| unreachable!("userspace contradicts itself about {datagram:02x?}"))
}
