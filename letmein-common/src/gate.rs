//! The gate: is this control datagram genuine?
//!
//! One pipeline for kernel and userspace, cheapest check first. What it needs to remember it asks of
//! [`Tables`], which is BPF maps in the XDP program and hash maps in a daemon that runs without XDP.
//!
//! A challenge knock:
//!
//! 1. length, magic, operation: is it a knock at all?
//! 2. USER is known: one look-up.
//! 3. KNOCK, REVOKE: this CPU's budget is not used up. Only looked at, so that a source that sends too much takes nothing
//!    from it. First of all, as it is what most packets of a flood end at that nothing else ends.
//! 4. RESPONSE: a challenge is pending. KNOCK, REVOKE: SALT was not accepted before. One look-up, so that guesses and
//!    replays end before the expensive step.
//! 5. The source's token bucket, and then the budget: step 6 cannot be used to burn CPU.
//! 6. AUTH, two Keccak permutations.
//! 7. KNOCK, REVOKE: SALT is recorded, and the source as one that has proved a key. Only now: who has no key can fill no
//!    table.
//! 8. USER may open RESOURCE. Asked last, so that a genuine user who may not is told apart from a stranger.
//!
//! A silent knock:
//!
//! 1. TAG is that of a user who may open the resource, at this time: one look-up.
//! 2. CHECK, one SipHash: who has sniffed a TAG comes no further.
//! 3. NONCE was not accepted before: a replay costs a look-up.
//! 4. The source's token bucket, and a budget of its own: who holds a genuine knock back could send it with many a wrong
//!    MAC, from many a source.
//! 5. MAC, two Keccak permutations.
//! 6. NONCE is recorded.

use crate::{
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
    /// Challenge knocks from anywhere: all that a forger can reach.
    Stranger,
    /// Challenge knocks of a source that has proved a key lately, and answers to a challenge.
    Acquainted,
    /// Silent knocks whose CHECK is right.
    Silent,
}

/// The token buckets of one CPU, by [`Spender`].
pub type Budgets = [u64; 3];

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
    /// Whether the sender's source has proved a key lately.
    fn is_acquainted(&self) -> bool;
    /// Remembers that it has.
    fn acquaint(&self);
    /// Whether this salt was recorded.
    fn salt_seen(&self, key: &SaltKey) -> bool;
    /// Remembers a salt; `false` when it was there already.
    fn record_salt(&self, key: &SaltKey) -> bool;
    /// The token of the challenge that the sender was sent as `user` about `resource`, unless it has lapsed.
    fn pending(&self, user: UserId, resource: ResourceId) -> Option<&Auth>;
    /// What this TAG stands for now.
    fn tag(&self, tag: u64) -> Option<&Tag>;
    /// The keyed states that verify the silent knocks of `user`.
    fn silent_key(&self, user: UserId) -> Option<&KeyedStates>;
    /// Whether this nonce was recorded.
    fn nonce_seen(&self, key: &NonceKey) -> bool;
    /// Remembers a nonce; `false` when it was there already, as when two CPUs see one knock twice.
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
    let (token, spender) = if operation == Operation::Response {
        let token = tables.pending(user, resource).ok_or(Reason::NoChallenge)?;
        (Some(token), Spender::Acquainted)
    } else {
        let spender = if tables.has_budget(Spender::Stranger) {
            Spender::Stranger
        } else if tables.is_acquainted() {
            Spender::Acquainted
        } else {
            return Err(Reason::Budget);
        };
        if tables.salt_seen(&salt) {
            return Err(Reason::Replay);
        }
        (None, spender)
    };
    if !tables.take_token() {
        return Err(Reason::RateLimit);
    }
    if !tables.take_budget(spender) {
        return Err(Reason::Budget);
    }
    if !tables.proves(&message, key, token) {
        return Err(Reason::Auth);
    }
    if token.is_none() {
        // Two CPUs may have seen one knock twice.
        if !tables.record_salt(&salt) {
            return Err(Reason::Replay);
        }
        tables.acquaint();
    }
    if tables.permits(&PermitKey { user, resource }) {
        Ok(())
    } else {
        Err(Reason::NotPermitted)
    }
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
    if !tables.take_token() {
        return Err(Reason::RateLimit);
    }
    if !tables.take_budget(Spender::Silent) {
        return Err(Reason::Budget);
    }
    if !tables.proves_silently(&knock, key) {
        return Err(Reason::Auth);
    }
    if !tables.record_nonce(&nonce) {
        return Err(Reason::Replay);
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
        Reason::Magic | Reason::Operation | Reason::UnknownUser | Reason::NoChallenge => {
            answer_strangers && tables.take_token()
        }
        // Has paid its token already.
        Reason::Auth => answer_strangers,
        // The daemon would take a replay for the genuine one and challenge its sender; to the others, an answer would be
        // longer than the question, or a lesser evil than the flood it answers.
        Reason::Replay
        | Reason::UnknownTag
        | Reason::Check
        | Reason::Overrun
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
