//! The gate: is this control datagram genuine?
//!
//! One pipeline for kernel and userspace, cheapest check first. What it needs to remember it asks of
//! [`Tables`], which is BPF maps in the XDP program and hash maps in a daemon that runs without XDP.
//!
//! A KNOCK or REVOKE:
//!
//! 1. Length, magic, operation: is it a knock at all?
//! 2. USER is known: one look-up.
//! 3. This CPU's budget for strangers is not used up, or the user has answered a challenge from this network lately.
//!    Checked this early because most packets of a large flood end here. Nothing is taken from the budget yet.
//! 4. SALT was not accepted before: a replay costs one look-up.
//! 5. The source's token bucket, then a budget of HMACs. The bucket decides who waits, not who gets in: a source whose
//!    bucket is empty is checked as well, from a smaller budget that all such sources share. So forged packets in the name
//!    of an address do not lock that address out.
//! 6. AUTH: two Keccak permutations.
//! 7. The user's share of genuine knocks, then SALT is recorded. This comes after AUTH, so whoever has no key can fill no
//!    table, and before the record, so one user cannot push out what is recorded of others.
//! 8. USER may open RESOURCE. Checked last, so that a genuine user who may not is told apart from a stranger.
//!
//! A RESPONSE:
//!
//! 1. and 2. as above.
//! 3. A challenge is pending for its source, port, user and resource: one look-up. It pays from the challenge's own bucket.
//!    If that is empty, because somebody who saw the challenge forges answers to it, it is still checked, from the smaller
//!    budget.
//! 4. AUTH.
//! 5. The challenge was not answered too often: copies of a genuine RESPONSE are not handed over without end.
//! 6. The user is acquainted with this network. Not before: a KNOCK proves the key, but not the address.
//! 7. USER may open RESOURCE.
//!
//! A silent knock:
//!
//! 1. TAG belongs to a user who may open the resource, at this time: one look-up.
//! 2. CHECK, one SipHash: whoever has only sniffed a TAG gets no further.
//! 3. NONCE was not accepted before: a replay costs one look-up.
//! 4. The user's bucket of tries, then a budget of HMACs: the larger one, or once the bucket is empty the smaller one. Only
//!    somebody with the key, or somebody who holds a genuine knock back and varies its MAC, gets this far. The source
//!    address is not asked: it may be forged, so whatever others send in its name must not count.
//! 5. MAC, two Keccak permutations.
//! 6. The user's share of genuine knocks, then NONCE is recorded. The record has room for all shares, so no nonce is ever
//!    pushed out while its knock could be replayed. Without room, the knock is refused.

use crate::{
    account::Purse,
    bucket::Limit,
    hmac::{Auth, KeyedStates},
    ids::{ResourceId, UserId},
    maps::{NonceKey, PendingKey, PermitKey, SaltKey, Tag},
    reason::Reason,
    source::Address,
    wire::{
        challenge::{Malformed, NO_TOKEN, Operation, View},
        silent,
    },
};

/// On whose account an HMAC is computed. Each has a budget of its own on each CPU, so that a flood at the expense of one
/// takes nothing from the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spender {
    /// Challenge knocks from anywhere: all that a forger can reach with new source addresses.
    Stranger,
    /// Challenge knocks from a network where their user has answered a challenge lately, and answers to a challenge.
    Acquainted,
    /// Silent knocks whose CHECK is right.
    Silent,
    /// As [`Stranger`](Self::Stranger), from sources whose token bucket is empty.
    DrainedStranger,
    /// As [`Acquainted`](Self::Acquainted), from sources whose token bucket is empty, and answers to a challenge that has got
    /// many.
    DrainedAcquainted,
    /// As [`Silent`](Self::Silent), of users whose bucket of tries is empty.
    DrainedSilent,
}

impl Spender {
    /// Whether it has the smaller budget.
    #[inline(always)]
    #[must_use]
    pub const fn is_drained(self) -> bool {
        matches!(
            self,
            Self::DrainedStranger | Self::DrainedAcquainted | Self::DrainedSilent
        )
    }
}

/// The token buckets of one CPU, by [`Spender`].
pub type Budgets = [u64; 6];

/// How many RESPONSEs to one challenge are checked before others come first, and how many right ones are handed over.
pub const ANSWERS: Limit = Limit::new(4, 8);

/// Splits what a CPU may spend on strangers, on acquaintances and on silent knocks, each: three quarters for those whose
/// buckets have tokens, and one quarter for the drained.
#[must_use]
pub const fn budgets(total: Limit) -> (Limit, Limit) {
    (total.share(3, 4), total.share(1, 4))
}

/// What the gate knows and remembers, for one datagram and its sender.
pub trait Tables {
    /// The keyed states of `user`, if there is such a user.
    fn key(&self, user: UserId) -> Option<&KeyedStates>;
    /// Whether the user may open the resource.
    fn permits(&self, key: &PermitKey) -> bool;
    /// Takes a token from the sender's bucket; `false` when it is empty.
    fn take_token(&self) -> bool;
    /// Whether this CPU has something left in a budget.
    fn has_budget(&self, spender: Spender) -> bool;
    /// Takes one HMAC from a budget of this CPU; `false` when it is used up.
    fn take_budget(&self, spender: Spender) -> bool;
    /// Takes a token from one of the user's buckets; `false` when it is empty.
    fn take_from(&self, user: UserId, purse: Purse) -> bool;
    /// Whether the user has answered a challenge from the sender's network lately.
    fn is_acquainted(&self, user: UserId) -> bool;
    /// Remembers that the user has.
    fn acquaint(&self, user: UserId);
    /// Whether this salt was recorded.
    fn salt_seen(&self, key: &SaltKey) -> bool;
    /// Remembers a salt; `false` when it was there already.
    fn record_salt(&self, key: &SaltKey) -> bool;
    /// The token of the challenge that the sender was sent as `user` about `resource`, unless it has lapsed. Takes a token
    /// from the challenge's bucket of tries, and tells whether there was one.
    fn pending(&self, user: UserId, resource: ResourceId) -> Option<(&Auth, bool)>;
    /// Notes that this challenge was answered; `false` if it was answered very often.
    fn answered(&self, user: UserId, resource: ResourceId) -> bool;
    /// What this TAG stands for now.
    fn tag(&self, tag: u64) -> Option<&Tag>;
    /// The keyed states that verify the silent knocks of `user`.
    fn silent_key(&self, user: UserId) -> Option<&KeyedStates>;
    /// Whether this nonce was recorded.
    fn nonce_seen(&self, key: &NonceKey) -> bool;
    /// Remembers a nonce; `false` when it was there already, as when two CPUs see one knock twice, or when there is no room.
    fn record_nonce(&self, key: &NonceKey) -> bool;
    /// Whether the knock proves the key. The kernel has its own way to call the same code.
    #[inline(always)]
    fn proves_silently(&self, knock: &silent::View<'_>, key: &KeyedStates) -> bool {
        knock.proves(key)
    }

    /// Whether the message proves the key, for the challenge with this token if it answers one. The kernel has
    /// its own way to call the same code.
    #[inline(always)]
    fn proves(&self, message: &View<'_>, key: &KeyedStates, token: Option<&Auth>) -> bool {
        message.proves(key, token.unwrap_or(&NO_TOKEN))
    }
}

/// Judges a challenge knock: `Ok` when its sender proved a key and may open what it asks for.
#[inline(always)]
pub fn check_challenge<T: Tables>(tables: &T, datagram: &[u8]) -> Result<(), Reason> {
    let message = View::of(datagram)?;
    let operation = message.operation()?;
    if !operation.is_request() {
        return Err(Reason::Operation);
    }
    let user = message.user();
    let resource = message.resource();
    let key = tables.key(user).ok_or(Reason::UnknownUser)?;
    let salt = SaltKey::new(user, message.salt());
    let token = if operation == Operation::Response {
        let (token, patient) = tables.pending(user, resource).ok_or(Reason::NoChallenge)?;
        let spender = if patient {
            Spender::Acquainted
        } else {
            Spender::DrainedAcquainted
        };
        if !tables.take_budget(spender) {
            return Err(Reason::Budget);
        }
        Some(token)
    } else {
        let from_strangers = tables.has_budget(Spender::Stranger);
        if !from_strangers && !tables.is_acquainted(user) {
            return Err(Reason::Budget);
        }
        if tables.salt_seen(&salt) {
            return Err(Reason::Replay);
        }
        pay(tables, user, from_strangers)?;
        None
    };
    if !tables.proves(&message, key, token) {
        return Err(Reason::Auth);
    }
    if token.is_some() {
        if !tables.answered(user, resource) {
            return Err(Reason::Replay);
        }
        tables.acquaint(user);
    } else {
        if !tables.take_from(user, Purse::Knocks) {
            return Err(Reason::Quota);
        }
        // Two CPUs may have seen one knock twice.
        if !tables.record_salt(&salt) {
            return Err(Reason::Replay);
        }
    }
    if tables.permits(&PermitKey { user, resource }) {
        Ok(())
    } else {
        Err(Reason::NotPermitted)
    }
}

/// Pays for the HMAC of a KNOCK or REVOKE: as a stranger, or if there is nothing left for strangers as an acquaintance.
#[inline(always)]
fn pay<T: Tables>(tables: &T, user: UserId, from_strangers: bool) -> Result<(), Reason> {
    if tables.take_token() {
        let spender = if from_strangers {
            Spender::Stranger
        } else {
            Spender::Acquainted
        };
        return tables.take_budget(spender).then_some(()).ok_or(Reason::Budget);
    }
    // Strangers are not even here if the others have used up what there is for strangers.
    let paid = (from_strangers && tables.take_budget(Spender::DrainedStranger))
        || (tables.is_acquainted(user) && tables.take_budget(Spender::DrainedAcquainted));
    paid.then_some(()).ok_or(Reason::RateLimit)
}

/// Judges a silent knock: who proved a key for what.
#[inline(always)]
pub fn check_silent<T: Tables>(
    tables: &T,
    datagram: &[u8; silent::LEN],
) -> Result<(UserId, ResourceId), Reason> {
    let knock = silent::View::of(datagram);
    let tag = tables.tag(knock.tag()).ok_or(Reason::UnknownTag)?;
    if !knock.checks(&tag.check) {
        return Err(Reason::Check);
    }
    let (user, resource) = (tag.user, tag.resource);
    let nonce = NonceKey::new(user, knock.nonce());
    if tables.nonce_seen(&nonce) {
        return Err(Reason::Replay);
    }
    let key = tables.silent_key(user).ok_or(Reason::UnknownUser)?;
    let spender = if tables.take_from(user, Purse::SilentTries) {
        Spender::Silent
    } else {
        Spender::DrainedSilent
    };
    if !tables.take_budget(spender) {
        return Err(Reason::Budget);
    }
    if !tables.proves_silently(&knock, key) {
        return Err(Reason::Auth);
    }
    if !tables.take_from(user, Purse::SilentKnocks) {
        return Err(Reason::Quota);
    }
    if !tables.record_nonce(&nonce) {
        // Another CPU was faster with the same knock, or there is no room.
        return Err(if tables.nonce_seen(&nonce) {
            Reason::Replay
        } else {
            Reason::Overrun
        });
    }
    Ok((user, resource))
}

/// Whether the daemon gets to see a refused challenge knock, to log or to answer it.
///
/// A genuine user who asked for something not permitted always is: the log names the user, and the error
/// policy decides about an answer. Anybody else only under the policy that answers strangers
/// (`answer_strangers`), and then at the rate of the source's token bucket.
#[inline(always)]
pub fn hand_over<T: Tables>(tables: &T, reason: Reason, answer_strangers: bool) -> bool {
    match reason {
        Reason::NotPermitted => true,
        // Each answer takes a token, so that no address is sent more of them than its bucket allows, whoever forges its
        // packets.
        Reason::Magic | Reason::Operation | Reason::UnknownUser | Reason::NoChallenge | Reason::Auth => {
            answer_strangers && tables.take_token()
        }
        // The daemon would take a replay for the genuine one and challenge its sender; to the others, an answer would be
        // longer than the question, or a lesser evil than the flood it answers.
        Reason::Replay
        | Reason::UnknownTag
        | Reason::Check
        | Reason::Overrun
        | Reason::Quota
        | Reason::Length
        | Reason::Truncated
        | Reason::Fragment
        | Reason::HeaderChain
        | Reason::RateLimit
        | Reason::Budget
        // Nobody could get the answer.
        | Reason::Martian
        // Not for the gate.
        | Reason::Shield => false,
    }
}

impl From<Malformed> for Reason {
    #[inline(always)]
    fn from(malformed: Malformed) -> Self {
        match malformed {
            Malformed::Length => Self::Length,
            Malformed::Magic => Self::Magic,
            Malformed::Operation => Self::Operation,
        }
    }
}

impl PendingKey {
    /// The exchange of `user` about `resource`, from UDP port `port` of `address`.
    #[inline(always)]
    #[must_use]
    pub fn new(address: &Address, port: u16, user: UserId, resource: ResourceId) -> Self {
        Self {
            address: *address,
            port: u32::from(port),
            user,
            resource,
            reserved: 0,
        }
    }
}
