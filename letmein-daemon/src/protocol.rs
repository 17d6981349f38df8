//! What the messages of a challenge knock mean, whatever carries them.

use crate::{
    config::{ErrorPolicy, User},
    gatekeeper::{
        Gatekeeper,
        policy::{Policy, Resource},
    },
    logging::refusals,
    requests::Action,
};
use letmein_common::{
    ResourceId, UserId,
    hmac::Auth,
    wire::challenge::{LEN, Message, NO_TOKEN, Operation, SALT_LEN},
};
use std::net::IpAddr;
use tracing::{error, warn};

/// How far a sender has proved itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Not at all.
    Stranger,
    /// By a first message with the right AUTH, which could be a replay.
    BasicAuth,
    /// By the answer to a challenge.
    FullAuth,
}

/// A refusal, and who asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// What the sender had proved by then.
    pub stage: Stage,
    /// As named in the refused message.
    pub user: UserId,
    /// As named in the refused message.
    pub resource: ResourceId,
}

impl Refused {
    /// A refusal of what is no message at all, and so names nobody.
    pub const MALFORMED: Self = Self {
        stage: Stage::Stranger,
        user: UserId(0),
        resource: ResourceId(0),
    };

    /// A refusal of `message`.
    #[must_use]
    pub const fn at(stage: Stage, message: &Message) -> Self {
        Self {
            stage,
            user: message.user,
            resource: message.resource,
        }
    }

    /// The GOAWAY, if the error policy has one for this sender.
    #[must_use]
    pub fn answer(&self, policy: ErrorPolicy) -> Option<[u8; LEN]> {
        let least = match policy {
            ErrorPolicy::Always => Stage::Stranger,
            ErrorPolicy::BasicAuth => Stage::BasicAuth,
            ErrorPolicy::FullAuth => Stage::FullAuth,
        };
        (self.stage >= least).then(|| plain(Operation::GoAway, self.user, self.resource, NO_TOKEN))
    }
}

/// Checks the first message of an exchange, KNOCK or REVOKE: known user, right AUTH, permitted resource.
pub fn check_first<'a>(
    policy: &'a Policy,
    message: &Message,
    from: IpAddr,
) -> Result<(&'a User, &'a Resource), Refused> {
    if !matches!(message.operation, Operation::Knock | Operation::Revoke) {
        return Err(Refused::at(Stage::Stranger, message));
    }
    let user = policy
        .user(message.user)
        .filter(|user| message.proves(&user.key, &NO_TOKEN));
    let user = user.ok_or(Refused::at(Stage::Stranger, message))?;
    let resource = policy
        .resource(message.resource)
        .filter(|_| user.permits(message.resource));
    let Some(resource) = resource else {
        if let Some(untold) = refusals::count("the user may not open the resource", Some(user)) {
            warn!(
                event = "refused",
                user = user.name,
                resource = %message.resource,
                address = %from,
                "{} may not open resource {} (from {from}){untold}",
                user.name, message.resource
            );
        }
        return Err(Refused::at(Stage::BasicAuth, message));
    };
    Ok((user, resource))
}

/// Begins an exchange with a first message that was [checked](check_first): if it is no replay, and the user does not
/// knock too often.
pub fn begin(gatekeeper: &Gatekeeper, user: &User, message: &Message, from: IpAddr) -> Result<(), Refused> {
    // A replay is not the user's doing, and must not count as one of the user's knocks.
    if !gatekeeper.is_fresh(message) {
        return Err(Refused::at(Stage::Stranger, message));
    }
    if gatekeeper.charge(user, from) {
        Ok(())
    } else {
        Err(Refused::at(Stage::BasicAuth, message))
    }
}

/// Checks a RESPONSE against the challenge.
pub fn check_response<'a>(
    policy: &'a Policy,
    token: &Auth,
    response: &Message,
) -> Result<(&'a User, &'a Resource), Refused> {
    let user = policy.user(response.user);
    let proved =
        user.filter(|user| response.operation == Operation::Response && response.proves(&user.key, token));
    proved
        .zip(policy.resource(response.resource))
        .ok_or(Refused::at(Stage::BasicAuth, response))
}

/// What a RESPONSE asks for that proves the key for this challenge. `begun_with` is what the exchange began with.
pub fn decide(
    policy: &Policy,
    begun_with: Operation,
    token: &Auth,
    response: &Message,
    from: IpAddr,
) -> Result<Action, Refused> {
    let (_, resource) = check_response(policy, token, response)?;
    Ok(match begun_with {
        Operation::Revoke => Action::Close {
            user: response.user,
            resource: response.resource,
            address: from,
        },
        _ => Action::Open {
            user: response.user,
            resource: response.resource,
            address: from,
            lease: resource.lease,
        },
    })
}

/// The CHALLENGE with this token.
#[must_use]
pub fn challenge(knock: &Message, token: &Auth) -> [u8; LEN] {
    plain(Operation::Challenge, knock.user, knock.resource, *token)
}

/// The COMEIN that answers this RESPONSE.
#[must_use]
pub fn come_in(response: &Message) -> [u8; LEN] {
    plain(Operation::ComeIn, response.user, response.resource, NO_TOKEN)
}

/// A token nobody can predict; `None` when the system has no randomness, and then nobody is challenged.
#[must_use]
pub fn fresh_token() -> Option<Auth> {
    let mut token = NO_TOKEN;
    match getrandom::fill(&mut token) {
        Ok(()) => Some(token),
        Err(error) => {
            error!("no random numbers for a challenge: {error}");
            None
        }
    }
}

/// A message of the server's: nothing in it proves anything.
fn plain(operation: Operation, user: UserId, resource: ResourceId, auth: Auth) -> [u8; LEN] {
    Message {
        operation,
        user,
        resource,
        salt: [0; SALT_LEN],
        auth,
    }
    .to_bytes()
}
