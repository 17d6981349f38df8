//! What the time that a check of a MAC takes tells an attacker who guesses: nothing. Measuring that on a busy machine
//! would show nothing either way, so the XDP program's own instructions are run one by one, and all wrong guesses have
//! to run the same ones on the same addresses, however much of them is right.

use crate::{
    bpf::{Machine, Run},
    frames::Random,
};
use letmein_common::{
    hmac::KeyedStates,
    wire::{challenge::Operation, silent::Keys},
};
use letmein_tests::{figures::object, gate::KEY, knocker, silent};

const MAC: usize = 32;

/// Every wrong MAC of a message with its right one at the end that is wrong in one bit, and some that are wrong in most.
fn guesses(message: &[u8]) -> Vec<Vec<u8>> {
    let at = message.len() - MAC;
    let near = (0..MAC * 8).map(|bit| {
        let mut guess = message.to_vec();
        guess[at + bit / 8] ^= 1 << (bit % 8);
        guess
    });
    let mut random = Random(17);
    let far = (0..16).map(|_| [&message[..at], &random.bytes(MAC)].concat());
    near.chain(far).collect()
}

fn bytes(key: &KeyedStates) -> Vec<u8> {
    key.lanes().iter().flat_map(|lane| lane.to_ne_bytes()).collect()
}

/// `check` runs the check of a message by one of the keys. The first made the message.
fn all_guesses_run_alike(message: &[u8], keys: [KeyedStates; 2], mut check: impl FnMut(&[u8], &[u8]) -> Run) {
    let keys = keys.map(|key| bytes(&key));
    assert_eq!(check(&keys[0], message).result, 1);
    // So that there is something to tell apart: it really computes the MAC.
    let wrong = check(&keys[1], message);
    assert_eq!(wrong.result, 0);
    assert!(wrong.instructions > 10_000, "{wrong:?}");
    for guess in guesses(message) {
        for key in &keys {
            assert_eq!(check(key, &guess), wrong, "{guess:02x?}");
        }
    }
}

#[test]
fn of_a_challenge_knock_tells_nothing_about_a_guess() {
    let mut machine = Machine::new(&object("letmein.bpf.o").unwrap());
    let keys = || [KeyedStates::new(&KEY), KeyedStates::new(&[1; 32])];
    let knock = knocker::Draft::default().sign();
    let mut check = |key: &[u8], message: &[u8]| machine.call("authenticate", [key, message, &[]]);
    all_guesses_run_alike(&knock, keys(), &mut check);
    let token = [0x77; 32];
    let response = knocker::Draft {
        operation: Operation::Response,
        token,
        ..knocker::Draft::default()
    };
    all_guesses_run_alike(&response.sign(), keys(), |key, message| {
        machine.call("authenticate", [key, message, &token])
    });
}

#[test]
fn of_a_silent_knock_tells_nothing_about_a_guess() {
    let mut machine = Machine::new(&object("letmein.bpf.o").unwrap());
    let keys = [KEY, [1; 32]].map(|key| Keys::derive(&KeyedStates::new(&key)).mac.clone());
    all_guesses_run_alike(&silent::Draft::default().seal(), keys, |key, knock| {
        machine.call("authenticate_silent", [key, knock, &[]])
    });
}
