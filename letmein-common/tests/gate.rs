//! The gate's pipeline on tables in memory: what costs an HMAC, and on whose account.

use letmein_common::{
    ResourceId, UserId,
    account::Purse,
    gate::{Budgets, Spender, Tables, check_challenge, check_silent, hand_over},
    hmac::{Auth, KeyedStates},
    maps::{NonceKey, PermitKey, SaltKey, Tag},
    reason::Reason,
    wire::{
        challenge::{LEN, Message, NO_TOKEN, Operation, View},
        silent::{self, Keys, Request},
    },
};
use std::{
    cell::{Cell, RefCell},
    collections::HashSet,
};

const USER: UserId = UserId(1);
const RESOURCE: ResourceId = ResourceId(2);
const TOKEN: Auth = [7; 32];
const TAG: u64 = 9;

/// Tables for one user. Each budget is a number of HMACs that never comes back.
struct Memory {
    key: KeyedStates,
    silent: Keys,
    tag: Tag,
    budgets: RefCell<Budgets>,
    tokens: Cell<u32>,
    purses: RefCell<[u32; 3]>,
    /// How many answers to the challenge are still checked before others come first, and are handed over.
    tries: Cell<u32>,
    answers: Cell<u32>,
    room: Cell<bool>,
    acquainted: Cell<bool>,
    salts: RefCell<HashSet<SaltKey>>,
    nonces: RefCell<HashSet<NonceKey>>,
    computed: Cell<u32>,
}

impl Memory {
    fn new(budgets: Budgets) -> Self {
        let key = KeyedStates::new(&[1; 32]);
        let silent = Keys::derive(&key);
        let tag = Tag {
            check: silent.check.clone(),
            from: 0,
            until: u64::MAX,
            user: USER,
            resource: RESOURCE,
        };
        Self {
            key,
            silent,
            tag,
            budgets: budgets.into(),
            tokens: Cell::new(u32::MAX),
            purses: [u32::MAX; 3].into(),
            tries: Cell::new(u32::MAX),
            answers: Cell::new(u32::MAX),
            room: Cell::new(true),
            acquainted: Cell::new(false),
            salts: RefCell::default(),
            nonces: RefCell::default(),
            computed: Cell::new(0),
        }
    }

    fn message(&self, operation: Operation, salt: u8, token: &Auth) -> [u8; LEN] {
        Message::authenticated(operation, USER, RESOURCE, [salt; 8], &self.key, token).to_bytes()
    }

    fn knock(&self, salt: u8) -> [u8; LEN] {
        self.message(Operation::Knock, salt, &NO_TOKEN)
    }

    fn silent_knock(&self, nonce: u8) -> [u8; silent::LEN] {
        let request = Request {
            operation: Operation::Knock,
            lease_seconds: 0,
            address: None,
        };
        self.silent.seal(TAG, [nonce; silent::NONCE_LEN], &request)
    }
}

impl Tables for Memory {
    fn key(&self, user: UserId) -> Option<&KeyedStates> {
        (user == USER).then_some(&self.key)
    }
    fn permits(&self, key: &PermitKey) -> bool {
        key.resource == RESOURCE
    }
    fn take_token(&self) -> bool {
        take(&self.tokens)
    }
    fn take_from(&self, _: UserId, purse: Purse) -> bool {
        let left = &mut self.purses.borrow_mut()[purse as usize];
        let some = *left > 0;
        *left = left.saturating_sub(1);
        some
    }
    fn has_budget(&self, spender: Spender) -> bool {
        self.budgets.borrow()[spender as usize] > 0
    }
    fn take_budget(&self, spender: Spender) -> bool {
        let left = &mut self.budgets.borrow_mut()[spender as usize];
        let some = *left > 0;
        *left = left.saturating_sub(1);
        some
    }
    fn is_acquainted(&self, _: UserId) -> bool {
        self.acquainted.get()
    }
    fn acquaint(&self, _: UserId) {
        self.acquainted.set(true);
    }
    fn salt_seen(&self, key: &SaltKey) -> bool {
        self.salts.borrow().contains(key)
    }
    fn record_salt(&self, key: &SaltKey) -> bool {
        self.salts.borrow_mut().insert(*key)
    }
    fn pending(&self, _: UserId, _: ResourceId) -> Option<(&Auth, bool)> {
        Some((&TOKEN, take(&self.tries)))
    }
    fn answered(&self, _: UserId, _: ResourceId) -> bool {
        take(&self.answers)
    }
    fn tag(&self, tag: u64) -> Option<&Tag> {
        (tag == TAG).then_some(&self.tag)
    }
    fn silent_key(&self, _: UserId) -> Option<&KeyedStates> {
        Some(&self.silent.mac)
    }
    fn nonce_seen(&self, key: &NonceKey) -> bool {
        self.nonces.borrow().contains(key)
    }
    fn record_nonce(&self, key: &NonceKey) -> bool {
        self.room.get() && self.nonces.borrow_mut().insert(*key)
    }
    fn proves_silently(&self, knock: &silent::View<'_>, key: &KeyedStates) -> bool {
        self.computed.set(self.computed.get() + 1);
        knock.proves(key)
    }
    fn proves(&self, message: &View<'_>, key: &KeyedStates, token: Option<&Auth>) -> bool {
        self.computed.set(self.computed.get() + 1);
        message.proves(key, token.unwrap_or(&NO_TOKEN))
    }
}

fn take(left: &Cell<u32>) -> bool {
    let before = left.get();
    left.set(before.saturating_sub(1));
    before > 0
}

fn forged(mut message: [u8; LEN]) -> [u8; LEN] {
    message[LEN - 1] ^= 1;
    message
}

fn forged_silent(mut knock: [u8; silent::LEN]) -> [u8; silent::LEN] {
    knock[silent::LEN - 1] ^= 1;
    knock
}

const AUTH: Result<(), Reason> = Err(Reason::Auth);
const BUDGET: Result<(), Reason> = Err(Reason::Budget);

#[test]
fn forged_knocks_cost_no_more_hmacs_than_the_budget() {
    let tables = Memory::new([3; 6]);
    let verdicts: Vec<_> = (0..5)
        .map(|salt| check_challenge(&tables, &forged(tables.knock(salt))))
        .collect();
    assert_eq!(verdicts, [AUTH, AUTH, AUTH, BUDGET, BUDGET]);
    assert_eq!(tables.computed.get(), 3);
    assert_eq!(tables.budgets.take(), [0, 3, 3, 3, 3, 3]);
}

#[test]
fn what_strangers_use_up_is_not_missing_for_anybody_else() {
    let tables = Memory::new([0, 2, 1, 0, 0, 0]);
    assert_eq!(check_challenge(&tables, &tables.knock(1)), BUDGET);
    let response = tables.message(Operation::Response, 2, &TOKEN);
    assert_eq!(check_challenge(&tables, &response), Ok(()));
    assert_eq!(
        check_silent(&tables, &tables.silent_knock(1)),
        Ok((USER, RESOURCE))
    );
    assert_eq!(check_challenge(&tables, &tables.knock(3)), Ok(()));
    assert_eq!(tables.budgets.take(), [0; 6]);
}

#[test]
fn every_account_has_an_end() {
    let tables = Memory::new([0, 1, 1, 0, 0, 0]);
    tables.acquainted.set(true);
    let response = tables.message(Operation::Response, 1, &TOKEN);
    assert_eq!(check_challenge(&tables, &forged(response)), AUTH);
    assert_eq!(check_challenge(&tables, &response), BUDGET);
    assert_eq!(check_challenge(&tables, &tables.knock(2)), BUDGET);
    let knock = tables.silent_knock(1);
    assert_eq!(check_silent(&tables, &forged_silent(knock)), Err(Reason::Auth));
    assert_eq!(check_silent(&tables, &knock), Err(Reason::Budget));
    assert_eq!(tables.computed.get(), 2);
}

/// Whoever forges packets in the name of an address empties its bucket, and takes nothing but the share of such sources.
#[test]
fn a_source_whose_bucket_is_empty_is_still_checked() {
    let tables = Memory::new([2, 1, 1, 2, 1, 0]);
    tables.tokens.set(0);
    assert_eq!(check_challenge(&tables, &forged(tables.knock(1))), AUTH);
    assert_eq!(check_challenge(&tables, &tables.knock(2)), Ok(()));
    assert_eq!(tables.budgets.borrow()[..], [2, 1, 1, 0, 1, 0]);
    // Strangers have had their share. An acquaintance has another.
    let limited = Err(Reason::RateLimit);
    assert_eq!(check_challenge(&tables, &tables.knock(3)), limited);
    tables.acquainted.set(true);
    assert_eq!(check_challenge(&tables, &tables.knock(3)), Ok(()));
    assert_eq!(check_challenge(&tables, &tables.knock(4)), limited);
    // Neither silent knocks nor answers ask for the source's bucket.
    assert!(check_silent(&tables, &tables.silent_knock(1)).is_ok());
    let response = tables.message(Operation::Response, 5, &TOKEN);
    assert_eq!(check_challenge(&tables, &response), Ok(()));
    assert_eq!(tables.budgets.take(), [2, 0, 0, 0, 0, 0]);
}

/// Strangers with an empty bucket wait until there is something left for those with a full one.
#[test]
fn the_drained_come_after_the_others() {
    let tables = Memory::new([0, 1, 0, 1, 1, 0]);
    tables.tokens.set(0);
    assert_eq!(check_challenge(&tables, &tables.knock(1)), BUDGET);
    tables.acquainted.set(true);
    assert_eq!(check_challenge(&tables, &tables.knock(1)), Ok(()));
    assert_eq!(tables.budgets.take(), [0, 1, 0, 1, 0, 0]);
}

/// Whoever sees a challenge can forge answers to it: the genuine one is checked all the same.
#[test]
fn forged_answers_do_not_use_up_a_challenge() {
    let tables = Memory::new([0, 9, 0, 0, 3, 0]);
    tables.tries.set(2);
    let response = tables.message(Operation::Response, 1, &TOKEN);
    for _ in 0..4 {
        assert_eq!(check_challenge(&tables, &forged(response)), AUTH);
    }
    assert!(!tables.acquainted.get());
    assert_eq!(check_challenge(&tables, &response), Ok(()));
    assert!(tables.acquainted.get());
    assert_eq!(check_challenge(&tables, &response), BUDGET);
    assert_eq!(tables.budgets.take(), [0, 7, 0, 0, 0, 0]);
}

#[test]
fn a_genuine_answer_is_not_handed_over_without_end() {
    let tables = Memory::new([9; 6]);
    tables.answers.set(2);
    let response = tables.message(Operation::Response, 1, &TOKEN);
    let verdicts = [(); 3].map(|()| check_challenge(&tables, &response));
    assert_eq!(verdicts, [Ok(()), Ok(()), Err(Reason::Replay)]);
}

/// Wrong MACs of one user's silent knocks are paid by that user, and then by all users of whom there are too many.
#[test]
fn tries_of_silent_knocks_are_a_users_own() {
    let tables = Memory::new([0, 0, 3, 0, 0, 1]);
    tables.purses.borrow_mut()[Purse::SilentTries as usize] = 1;
    for nonce in 0..2 {
        let forged = forged_silent(tables.silent_knock(nonce));
        assert_eq!(check_silent(&tables, &forged), Err(Reason::Auth));
    }
    assert_eq!(
        check_silent(&tables, &tables.silent_knock(3)),
        Err(Reason::Budget)
    );
    assert_eq!(tables.budgets.take(), [0, 0, 2, 0, 0, 0]);
}

/// What is refused beyond a user's share is not recorded: it may come again later.
#[test]
fn genuine_knocks_have_a_share() {
    let tables = Memory::new([9; 6]);
    *tables.purses.borrow_mut() = [1, 1, 9];
    assert_eq!(check_challenge(&tables, &tables.knock(1)), Ok(()));
    assert_eq!(check_challenge(&tables, &tables.knock(2)), Err(Reason::Quota));
    assert!(check_silent(&tables, &tables.silent_knock(1)).is_ok());
    let second = tables.silent_knock(2);
    assert_eq!(check_silent(&tables, &second), Err(Reason::Quota));
    assert_eq!(
        (tables.salts.borrow().len(), tables.nonces.borrow().len()),
        (1, 1)
    );
    // Forged ones take nothing from it.
    *tables.purses.borrow_mut() = [1, 1, 9];
    assert_eq!(check_challenge(&tables, &forged(tables.knock(2))), AUTH);
    assert!(check_silent(&tables, &forged_silent(second)).is_err());
    assert_eq!(check_challenge(&tables, &tables.knock(2)), Ok(()));
    assert!(check_silent(&tables, &second).is_ok());
}

#[test]
fn without_room_for_its_nonce_a_silent_knock_is_refused() {
    let tables = Memory::new([9; 6]);
    tables.room.set(false);
    assert_eq!(
        check_silent(&tables, &tables.silent_knock(1)),
        Err(Reason::Overrun)
    );
}

/// No address is sent more answers than its bucket has tokens, also when its packets are checked without one.
#[test]
fn answers_to_strangers_take_tokens() {
    let tables = Memory::new([9; 6]);
    tables.tokens.set(1);
    for reason in [Reason::Auth, Reason::UnknownUser, Reason::NoChallenge] {
        tables.tokens.set(1);
        assert!(hand_over(&tables, reason, true), "{reason:?}");
        assert!(!hand_over(&tables, reason, true), "{reason:?}");
        tables.tokens.set(1);
        assert!(!hand_over(&tables, reason, false), "{reason:?}");
    }
}

#[test]
fn a_replay_costs_no_hmac_and_only_an_answer_acquaints() {
    let tables = Memory::new([9; 6]);
    let knock = tables.knock(1);
    assert_eq!(check_challenge(&tables, &forged(knock)), AUTH);
    assert_eq!(check_challenge(&tables, &knock), Ok(()));
    assert!(!tables.acquainted.get(), "a KNOCK proves no address");
    assert_eq!(check_challenge(&tables, &knock), Err(Reason::Replay));
    assert_eq!(check_challenge(&tables, &forged(knock)), Err(Reason::Replay));
    let silent = tables.silent_knock(1);
    assert_eq!(check_silent(&tables, &silent), Ok((USER, RESOURCE)));
    assert_eq!(check_silent(&tables, &silent), Err(Reason::Replay));
    assert_eq!(tables.computed.get(), 3);
    let response = tables.message(Operation::Response, 2, &TOKEN);
    assert_eq!(check_challenge(&tables, &response), Ok(()));
    assert!(tables.acquainted.get());
}
