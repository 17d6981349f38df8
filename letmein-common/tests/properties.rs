//! What holds for every key and message, checked against the `hmac` and `sha3` crates.

use hmac::{KeyInit as _, Mac as _, SimpleHmac};
use letmein_common::{
    ResourceId, UserId,
    hmac::KeyedStates,
    wire::challenge::{LEN, Malformed, Message, NO_TOKEN, Operation},
};
use proptest::prelude::*;
use sha3::Sha3_256;

fn knock(key: &KeyedStates, user: u32, resource: u32, salt: [u8; 8], token: &[u8; 32]) -> Message {
    Message::authenticated(
        Operation::Response,
        UserId(user),
        ResourceId(resource),
        salt,
        key,
        token,
    )
}

proptest! {
    #[test]
    fn auth_is_hmac_sha3_256(
        key: [u8; 32], user: u32, resource: u32, salt: [u8; 8], token: [u8; 32],
    ) {
        let wire = knock(&KeyedStates::new(&key), user, resource, salt, &token).to_bytes();
        let mut mac = SimpleHmac::<Sha3_256>::new_from_slice(&key).unwrap();
        mac.update(&wire[4..24]);
        mac.update(&token);
        prop_assert_eq!(&wire[24..], &mac.finalize().into_bytes()[..]);
    }

    #[test]
    fn any_flipped_bit_is_refused(
        key: [u8; 32], user: u32, resource: u32, salt: [u8; 8], bit in 0..LEN * 8,
    ) {
        let key = KeyedStates::new(&key);
        let mut wire = knock(&key, user, resource, salt, &NO_TOKEN).to_bytes();
        wire[bit / 8] ^= 1 << (bit % 8);
        let accepted = Message::parse(&wire).is_ok_and(|message| message.proves(&key, &NO_TOKEN));
        prop_assert!(!accepted);
    }

    #[test]
    fn another_key_or_token_proves_nothing(
        key: [u8; 32], other: [u8; 32], salt: [u8; 8], token: [u8; 32],
    ) {
        prop_assume!(key != other && token != NO_TOKEN);
        let states = KeyedStates::new(&key);
        let message = knock(&states, 1, 2, salt, &token);
        prop_assert!(!message.proves(&KeyedStates::new(&other), &token));
        prop_assert!(!message.proves(&states, &NO_TOKEN));
    }

    #[test]
    fn no_bytes_confuse_the_parser(bytes in prop::collection::vec(any::<u8>(), 0..120)) {
        match Message::parse(&bytes) {
            Ok(message) => prop_assert_eq!(&message.to_bytes()[..], &bytes[..]),
            Err(Malformed::Length) => prop_assert_ne!(bytes.len(), LEN),
            Err(_) => prop_assert_eq!(bytes.len(), LEN),
        }
    }
}
