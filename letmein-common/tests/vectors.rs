//! The messages, MACs and hashes of an independent reference: `vectors/make_vectors.py`.

#![expect(
    clippy::unwrap_used,
    reason = "what a test cannot do without, it must fail without"
)]

use letmein_common::{
    ResourceId, UserId,
    hmac::KeyedStates,
    siphash::SipKey,
    source::Address,
    wire::{
        challenge::{Message, Operation},
        silent::{self, Keys, Request},
    },
};
use serde::Deserialize;

#[derive(Deserialize)]
struct Vectors {
    challenge: Vec<Challenge>,
    silent: Vec<Silent>,
    siphash24: Vec<Hashed>,
    hmac_sha3_256: Vec<Authenticated>,
}

#[derive(Deserialize)]
struct Challenge {
    key: String,
    operation: u32,
    user: u32,
    resource: u32,
    salt: String,
    #[serde(rename = "challenge_token")]
    token: String,
    message: String,
}

#[derive(Deserialize)]
struct Silent {
    key: String,
    epoch: u64,
    gate: u32,
    user: u32,
    resource: u32,
    nonce: String,
    operation: u32,
    lease_seconds: u32,
    address: String,
    message: String,
}

#[derive(Deserialize)]
struct Hashed {
    key: String,
    data: String,
    hash: String,
}

#[derive(Deserialize)]
struct Authenticated {
    key: String,
    data: String,
    mac: String,
}

fn vectors() -> Vectors {
    serde_json::from_str(include_str!("vectors/vectors.json")).unwrap()
}

fn data(hex: &str) -> Vec<u8> {
    let digits = hex.as_bytes().chunks(2);
    digits
        .map(|two| u8::from_str_radix(std::str::from_utf8(two).unwrap(), 16).unwrap())
        .collect()
}

fn bytes<const N: usize>(hex: &str) -> [u8; N] {
    data(hex).try_into().unwrap()
}

#[test]
fn every_challenge_vector() {
    let vectors = vectors().challenge;
    assert_eq!(vectors.len(), 24);
    for vector in vectors {
        let key = KeyedStates::new(&bytes(&vector.key));
        let token = bytes(&vector.token);
        let message = Message::authenticated(
            Operation::from_wire(vector.operation).unwrap(),
            UserId(vector.user),
            ResourceId(vector.resource),
            bytes(&vector.salt),
            &key,
            &token,
        );
        let wire: [u8; 56] = bytes(&vector.message);
        assert_eq!(message.to_bytes(), wire);
        assert_eq!(Message::parse(&wire), Ok(message));
        assert!(message.proves(&key, &token));
    }
}

#[test]
fn every_silent_vector() {
    let vectors = vectors().silent;
    assert_eq!(vectors.len(), 24);
    for vector in vectors {
        let keys = Keys::derive(&KeyedStates::new(&bytes(&vector.key)));
        let address = bytes(&vector.address);
        let request = Request {
            operation: Operation::from_wire(vector.operation).unwrap(),
            lease_seconds: vector.lease_seconds,
            address: (address != [0; 16]).then(|| Address::v6(address)),
        };
        let (user, resource) = (UserId(vector.user), ResourceId(vector.resource));
        let tag = keys.tag(vector.epoch, vector.gate, user, resource);
        let wire: [u8; silent::LEN] = bytes(&vector.message);
        assert_eq!(keys.seal(tag, bytes(&vector.nonce), &request), wire);
        let knock = silent::View::of(&wire);
        assert_eq!(knock.tag(), tag);
        assert_eq!(knock.nonce(), &bytes(&vector.nonce));
        assert!(knock.checks(&keys.check) && knock.proves(&keys.mac));
        assert_eq!(keys.open(&knock), Ok(request));
    }
}

#[test]
fn every_siphash_vector() {
    let vectors = vectors().siphash24;
    assert_eq!(vectors.len(), 23);
    for vector in vectors {
        let key = SipKey::new(&bytes(&vector.key));
        let expected = u64::from_str_radix(&vector.hash, 16).unwrap();
        assert_eq!(key.hash(&data(&vector.data)), expected);
    }
}

#[test]
fn every_mac_vector() {
    let vectors = vectors().hmac_sha3_256;
    assert_eq!(vectors.len(), 9);
    for vector in vectors {
        let key = KeyedStates::new(&bytes(&vector.key));
        assert_eq!(key.mac(&data(&vector.data)), bytes(&vector.mac));
    }
}
