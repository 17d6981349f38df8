//! Messages that fail, and who is told.

use letmein_common::wire::challenge::{LEN, Message, Operation};
use letmein_tests::knocker::Draft;

/// What a sender has proved by a message that fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Proved {
    Nothing,
    Key,
    Challenge,
}

/// What a sender has to have proved to be told of a failure, if the policy tells; `None` when it never does.
pub type Told = Option<Proved>;

const ANYBODY: Told = Some(Proved::Nothing);
const KEY_HOLDER: Told = Some(Proved::Key);
const NOBODY: Told = None;

/// A message that fails.
pub struct Bad<M> {
    pub name: &'static str,
    pub message: M,
    pub udp: Told,
    pub tcp: Told,
}

const fn bad<M>(name: &'static str, message: M, udp: Told, tcp: Told) -> Bad<M> {
    Bad {
        name,
        message,
        udp,
        tcp,
    }
}

fn with(operation: Operation) -> Vec<u8> {
    let draft = Draft::default();
    Draft { operation, ..draft }.sign().to_vec()
}

fn about(resource: u32) -> Vec<u8> {
    let draft = Draft::default();
    Draft { resource, ..draft }.sign().to_vec()
}

/// Messages that fail as the first of an exchange.
pub fn first() -> Vec<Bad<Vec<u8>>> {
    let good = Draft::default();
    let knock = good.sign();
    let mut magic = knock;
    magic[3] ^= 1;
    let mut operation = knock;
    operation[7] = 6;
    let wrong_key = Draft { key: [1; 32], ..good };
    let revoke = Draft {
        operation: Operation::Revoke,
        ..wrong_key
    };
    let stranger = Draft { user: 7, ..good };
    vec![
        // An answer would be longer than the question.
        bad("nothing", vec![], NOBODY, NOBODY),
        bad("one byte", knock[..1].to_vec(), NOBODY, NOBODY),
        bad("a byte less", knock[..LEN - 1].to_vec(), NOBODY, NOBODY),
        bad("magic", magic.to_vec(), ANYBODY, ANYBODY),
        bad("operation", operation.to_vec(), ANYBODY, ANYBODY),
        // Two gates that answered these over UDP would never cease to answer each other.
        bad("CHALLENGE", with(Operation::Challenge), NOBODY, ANYBODY),
        bad("COMEIN", with(Operation::ComeIn), NOBODY, ANYBODY),
        bad("GOAWAY", with(Operation::GoAway), NOBODY, ANYBODY),
        bad("unasked RESPONSE", with(Operation::Response), ANYBODY, ANYBODY),
        bad("unknown user", stranger.sign().to_vec(), ANYBODY, ANYBODY),
        bad("wrong key", wrong_key.sign().to_vec(), ANYBODY, ANYBODY),
        bad("REVOKE, wrong key", revoke.sign().to_vec(), ANYBODY, ANYBODY),
        bad("not permitted", about(2), KEY_HOLDER, KEY_HOLDER),
        bad("unknown resource", about(99), KEY_HOLDER, KEY_HOLDER),
    ]
}

/// An answer to a challenge.
pub type Response = fn(&Message) -> Draft;

/// Wrong answers to the challenge of [`Draft::default`]. Over UDP the XDP program drops them.
pub fn responses() -> Vec<Bad<Response>> {
    vec![
        bad(
            "another key",
            |challenge| Draft {
                key: [1; 32],
                ..Draft::default().response(challenge)
            },
            ANYBODY,
            KEY_HOLDER,
        ),
        bad(
            "another challenge",
            |challenge| Draft {
                token: [1; 32],
                ..Draft::default().response(challenge)
            },
            ANYBODY,
            KEY_HOLDER,
        ),
        bad(
            "another resource",
            |challenge| Draft {
                resource: 2,
                ..Draft::default().response(challenge)
            },
            ANYBODY,
            KEY_HOLDER,
        ),
    ]
}
