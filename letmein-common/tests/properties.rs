//! What holds for every key and message, checked against the `hmac` and `sha3` crates.

use hmac::{KeyInit as _, Mac as _, SimpleHmac};
use letmein_common::{
    ResourceId, UserId,
    hmac::KeyedStates,
    siphash::SipKey,
    source::Address,
    wire::{
        challenge::{LEN, Malformed, Message, NO_TOKEN, Operation},
        silent::{self, Keys, Request},
    },
};
use proptest::prelude::*;
use sha3::Sha3_256;
use siphasher::sip::SipHasher24;
use std::hash::Hasher as _;

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

    #[test]
    fn mac_is_hmac_sha3_256(key: [u8; 32], data in prop::collection::vec(any::<u8>(), 0..400)) {
        let mut mac = SimpleHmac::<Sha3_256>::new_from_slice(&key).unwrap();
        mac.update(&data);
        prop_assert_eq!(&KeyedStates::new(&key).mac(&data)[..], &mac.finalize().into_bytes()[..]);
    }

    #[test]
    fn hash_is_siphash_2_4(key: [u8; 16], data in prop::collection::vec(any::<u8>(), 0..100)) {
        let mut hasher = SipHasher24::new_with_key(&key);
        hasher.write(&data);
        prop_assert_eq!(SipKey::new(&key).hash(&data), hasher.finish());
    }

    #[test]
    fn a_silent_knock_is_understood_and_any_flipped_bit_is_refused(
        key: [u8; 32], tag: u64, nonce: [u8; 16], request in request(), bit in 0..silent::LEN * 8,
    ) {
        let keys = Keys::derive(&KeyedStates::new(&key));
        let mut wire = keys.seal(tag, nonce, &request);
        let knock = silent::View::of(&wire);
        prop_assert!(knock.checks(&keys.check) && knock.proves(&keys.mac));
        prop_assert_eq!(keys.open(&knock), Ok(request));
        wire[bit / 8] ^= 1 << (bit % 8);
        let knock = silent::View::of(&wire);
        let found = knock.tag() == tag;
        prop_assert!(!(found && knock.checks(&keys.check) && knock.proves(&keys.mac)));
        // CHECK alone sees to all but the MAC itself.
        prop_assert!(!knock.checks(&keys.check) || bit / 8 >= silent::AUTHENTICATED_LEN);
    }

    #[test]
    fn tags_differ_by_epoch_gate_user_and_resource(
        key: [u8; 32], epoch: u64, gate: u32, user: u32, resource: u32,
    ) {
        let keys = Keys::derive(&KeyedStates::new(&key));
        let tag = |epoch, gate, user, resource| keys.tag(epoch, gate, UserId(user), ResourceId(resource));
        let mut tags = vec![
            tag(epoch, gate, user, resource),
            tag(epoch ^ 1, gate, user, resource),
            tag(epoch, gate ^ 1, user, resource),
            tag(epoch, gate, user ^ 1, resource),
            tag(epoch, gate, user, resource ^ 1),
        ];
        tags.sort_unstable();
        tags.dedup();
        prop_assert_eq!(tags.len(), 5);
    }

    /// The same request of the same user, in another epoch: nothing to tell that it is the same.
    #[test]
    fn no_two_silent_knocks_share_a_byte_pattern(
        key: [u8; 32], epoch: u64, nonces in prop::array::uniform2(any::<[u8; 16]>()), request in request(),
    ) {
        prop_assume!(nonces[0].windows(4).all(|four| nonces[1].windows(4).all(|other| four != other)));
        let keys = Keys::derive(&KeyedStates::new(&key));
        let [one, two] = [0, 1].map(|i| {
            let tag = keys.tag(epoch ^ i, 0, UserId(1), ResourceId(1));
            keys.seal(tag, nonces[usize::from(i == 1)], &request)
        });
        // By chance, four bytes are equal somewhere once in 600,000 such pairs.
        let shared = one.windows(4).filter(|four| two.windows(4).any(|other| *four == other)).count();
        prop_assert!(shared < 2, "{:02x?} {:02x?}", one, two);
    }
}

fn request() -> impl Strategy<Value = Request> {
    let operation = prop_oneof![Just(Operation::Knock), Just(Operation::Revoke)];
    (operation, any::<u32>(), any::<[u8; 16]>()).prop_map(|(operation, lease_seconds, address)| Request {
        operation,
        lease_seconds,
        address: (address != [0; 16]).then(|| Address::v6(address)),
    })
}
