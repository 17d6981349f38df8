//! The gate's pipeline on tables in memory: what costs an HMAC, and on whose account.

use letmein_common::{
    ResourceId, UserId,
    gate::{Budgets, Spender, Tables, check_challenge, check_silent},
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
        let left = self.tokens.get();
        self.tokens.set(left.saturating_sub(1));
        left > 0
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
    fn is_acquainted(&self) -> bool {
        self.acquainted.get()
    }
    fn acquaint(&self) {
        self.acquainted.set(true);
    }
    fn salt_seen(&self, key: &SaltKey) -> bool {
        self.salts.borrow().contains(key)
    }
    fn record_salt(&self, key: &SaltKey) -> bool {
        self.salts.borrow_mut().insert(*key)
    }
    fn pending(&self, _: UserId, _: ResourceId) -> Option<&Auth> {
        Some(&TOKEN)
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
        self.nonces.borrow_mut().insert(*key)
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

fn forged(mut message: [u8; LEN]) -> [u8; LEN] {
    message[LEN - 1] ^= 1;
    message
}

#[test]
fn forged_knocks_cost_no_more_hmacs_than_the_budget() {
    let tables = Memory::new([3, 3, 3]);
    let verdicts: Vec<_> = (0..5)
        .map(|salt| check_challenge(&tables, &forged(tables.knock(salt))))
        .collect();
    let (auth, budget) = (Err(Reason::Auth), Err(Reason::Budget));
    assert_eq!(verdicts, [auth, auth, auth, budget, budget]);
    assert_eq!(tables.computed.get(), 3);
    assert_eq!(tables.budgets.take(), [0, 3, 3]);
}

#[test]
fn what_strangers_use_up_is_not_missing_for_anybody_else() {
    let tables = Memory::new([0, 2, 1]);
    assert_eq!(check_challenge(&tables, &tables.knock(1)), Err(Reason::Budget));
    let response = tables.message(Operation::Response, 2, &TOKEN);
    assert_eq!(check_challenge(&tables, &response), Ok(()));
    assert_eq!(
        check_silent(&tables, &tables.silent_knock(1)),
        Ok((USER, RESOURCE))
    );
    tables.acquainted.set(true);
    assert_eq!(check_challenge(&tables, &tables.knock(3)), Ok(()));
    assert_eq!(tables.budgets.take(), [0, 0, 0]);
}

#[test]
fn every_account_has_an_end() {
    let tables = Memory::new([0, 1, 1]);
    tables.acquainted.set(true);
    let response = tables.message(Operation::Response, 1, &TOKEN);
    assert_eq!(check_challenge(&tables, &forged(response)), Err(Reason::Auth));
    assert_eq!(check_challenge(&tables, &response), Err(Reason::Budget));
    assert_eq!(check_challenge(&tables, &tables.knock(2)), Err(Reason::Budget));
    let mut knock = tables.silent_knock(1);
    knock[silent::LEN - 1] ^= 1;
    assert_eq!(check_silent(&tables, &knock), Err(Reason::Auth));
    assert_eq!(
        check_silent(&tables, &tables.silent_knock(1)),
        Err(Reason::Budget)
    );
    assert_eq!(tables.computed.get(), 2);
}

#[test]
fn a_source_that_sends_too_much_takes_nothing_from_the_budget() {
    let tables = Memory::new([1, 1, 1]);
    tables.tokens.set(0);
    assert_eq!(check_challenge(&tables, &tables.knock(1)), Err(Reason::RateLimit));
    assert_eq!(
        check_silent(&tables, &tables.silent_knock(1)),
        Err(Reason::RateLimit)
    );
    assert_eq!(tables.budgets.take(), [1, 1, 1]);
}

#[test]
fn a_replay_costs_no_hmac_and_only_a_genuine_knock_acquaints() {
    let tables = Memory::new([9, 9, 9]);
    let knock = tables.knock(1);
    assert_eq!(check_challenge(&tables, &forged(knock)), Err(Reason::Auth));
    assert!(!tables.acquainted.get());
    assert_eq!(check_challenge(&tables, &knock), Ok(()));
    assert!(tables.acquainted.get());
    assert_eq!(check_challenge(&tables, &knock), Err(Reason::Replay));
    assert_eq!(check_challenge(&tables, &forged(knock)), Err(Reason::Replay));
    let silent = tables.silent_knock(1);
    assert_eq!(check_silent(&tables, &silent), Ok((USER, RESOURCE)));
    assert_eq!(check_silent(&tables, &silent), Err(Reason::Replay));
    assert_eq!(tables.computed.get(), 3);
}
