//! The challenge messages and MACs of an independent reference: `vectors/make_vectors.py`.

#![expect(
    clippy::unwrap_used,
    reason = "what a test cannot do without, it must fail without"
)]

use letmein_common::{
    ResourceId, UserId,
    hmac::KeyedStates,
    wire::challenge::{Message, Operation},
};
use serde::Deserialize;

#[derive(Deserialize)]
struct Vectors {
    challenge: Vec<Challenge>,
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

fn bytes<const N: usize>(hex: &str) -> [u8; N] {
    assert_eq!(hex.len(), 2 * N);
    std::array::from_fn(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap())
}

#[test]
fn every_challenge_vector() {
    let vectors: Vectors = serde_json::from_str(include_str!("vectors/vectors.json")).unwrap();
    assert_eq!(vectors.challenge.len(), 24);
    for vector in vectors.challenge {
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
