//! The parsers of both kinds of knock, and what goes to the daemon through the ring buffer.

use crate::input::Input;
use letmein_common::{
    ResourceId, UserId,
    hmac::{AUTH_LEN, KeyedStates},
    maps::SilentKnock,
    source::Address,
    wire::{
        challenge::{self, Malformed, Message, NO_TOKEN, Operation},
        silent::{self, Keys, Request},
    },
};
use std::net::IpAddr;

/// Any bytes as a challenge message: both readers agree, and what is read is written again byte by byte. A message with
/// the same ids and a right AUTH is told from this one.
pub fn challenge(bytes: &[u8]) {
    let message = Message::parse(bytes);
    let view = challenge::View::of(bytes);
    match message {
        Err(Malformed::Length) => assert_ne!(bytes.len(), challenge::LEN),
        Err(Malformed::Magic) => assert!(!bytes.starts_with(&challenge::MAGIC.to_be_bytes())),
        Err(Malformed::Operation) => assert!(bytes[4..7] != [0; 3] || bytes[7] > 5),
        Ok(message) => {
            assert_eq!(message.to_bytes().as_slice(), bytes);
            let view = view.unwrap_or_else(|error| unreachable!("only the owned reader takes it: {error:?}"));
            assert_eq!(view.bytes(), bytes);
            assert_eq!(view.operation(), Ok(message.operation));
            assert_eq!((view.user(), view.resource()), (message.user, message.resource));
            assert_eq!((view.salt(), *view.auth()), (message.salt, message.auth));
            authenticity(&message);
        }
    }
    if let Err(error) = view {
        assert_eq!(message, Err(error));
    }
}

fn authenticity(message: &Message) {
    let key = KeyedStates::new(&[0x5A; 32]);
    let token = if message.operation == Operation::Response {
        [0x77; AUTH_LEN]
    } else {
        NO_TOKEN
    };
    let genuine = Message::authenticated(
        message.operation,
        message.user,
        message.resource,
        message.salt,
        &key,
        &token,
    );
    assert!(genuine.proves(&key, &token));
    assert_eq!(message.proves(&key, &token), *message == genuine);
    let wire = genuine.to_bytes();
    let view = challenge::View::of(&wire);
    assert!(view.is_ok_and(|view| view.proves(&key, &token)));
}

/// Any bytes as a silent knock, and as a record of the ring buffer; then a knock made of the same bytes, which has to be
/// understood, and is not when a bit of it is another.
pub fn silent(bytes: &[u8]) {
    let keys = Keys::derive(&KeyedStates::new(&[0x5A; 32]));
    if let Some(knock) = bytes.first_chunk() {
        let view = silent::View::of(knock);
        assert_eq!(view.bytes(), knock);
        assert_eq!(view.tag().to_le_bytes(), knock[..8]);
        assert_eq!(view.nonce(), &knock[8..24]);
        // Nobody knows this key, but the corpus: opening has to do with any bytes.
        let genuine = view.checks(&keys.check) && view.proves(&keys.mac);
        if let Ok(request) = keys.open(&view) {
            let again = keys.seal(view.tag(), *view.nonce(), &request);
            assert_eq!(genuine, again == *knock);
        }
    }
    if let Some(record) = SilentKnock::from_bytes(bytes) {
        assert_eq!(bytes.len(), size_of::<SilentKnock>());
        assert_eq!(record.source.bytes(), bytes[..16]);
        assert_eq!(record.message, bytes[24..112]);
        assert_eq!(record.destination.bytes(), bytes[112..]);
        let address = IpAddr::from(record.source);
        assert_eq!(Address::from(address), record.source);
    } else {
        assert_ne!(bytes.len(), size_of::<SilentKnock>());
    }
    round_trip(&keys, &mut Input::new(bytes));
}

fn round_trip(keys: &Keys, input: &mut Input<'_>) {
    let operation = input.choose(&[Operation::Knock, Operation::Revoke]);
    let epoch = u64::from(input.word());
    let tag = keys.tag(
        epoch,
        input.word().into(),
        UserId(input.word().into()),
        ResourceId(input.word().into()),
    );
    let mut fill = |into: &mut [u8]| into.fill_with(|| input.byte());
    let (mut address, mut seconds, mut nonce) = ([0; 16], [0; 4], [0; silent::NONCE_LEN]);
    fill(&mut address);
    fill(&mut seconds);
    fill(&mut nonce);
    let request = Request {
        operation: operation.unwrap_or(Operation::Knock),
        lease_seconds: u32::from_be_bytes(seconds),
        address: (address != [0; 16]).then(|| Address::v6(address)),
    };
    let mut knock = keys.seal(tag, nonce, &request);
    let view = silent::View::of(&knock);
    assert!(view.checks(&keys.check) && view.proves(&keys.mac));
    assert_eq!((view.tag(), view.nonce()), (tag, &nonce));
    assert_eq!(keys.open(&view), Ok(request));

    let bit = usize::from(input.word()) % (silent::LEN * 8);
    knock[bit / 8] ^= 1 << (bit % 8);
    let view = silent::View::of(&knock);
    assert!(!view.checks(&keys.check) || bit / 8 >= silent::AUTHENTICATED_LEN);
    assert!(!view.proves(&keys.mac));
}
