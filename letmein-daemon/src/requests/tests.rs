//! What is said is understood, and nothing else is taken for it.

use super::*;

fn requests() -> [Request; 3] {
    let (user, resource) = (UserId(0x0A0B_0C0D), ResourceId(7));
    let address = "192.0.2.7".parse().unwrap();
    [
        Action::Open {
            user,
            resource,
            address,
            lease: Duration::from_millis(1500),
        },
        Action::Close {
            user,
            resource,
            address: "2001:db8::1".parse().unwrap(),
        },
        Action::Expect(
            PendingKey::new(&address.into(), 65_535, user, resource),
            Challenge {
                token: [9; 32],
                expires: u64::MAX,
            },
        ),
    ]
    .map(|action| Request { number: 3, action })
}

#[test]
fn what_is_said_is_understood() {
    let mut counters = Counters {
        genuine: 5,
        ..Counters::default()
    };
    counters.refuse(Reason::Shield);
    let others = [
        FromGatekeeper::Configured(1),
        FromGatekeeper::Counters(2, counters),
    ];
    for message in requests().map(FromGatekeeper::Request).into_iter().chain(others) {
        let bytes = message.to_bytes();
        assert!(bytes.len() <= LONGEST);
        assert_eq!(FromGatekeeper::parse(&bytes), Ok(message));
    }
    for message in [
        ToGatekeeper::Outcome(1, Outcome::Done),
        ToGatekeeper::Outcome(u64::MAX, Outcome::Refused),
        ToGatekeeper::Policy(1 << 20),
        ToGatekeeper::Udp,
        ToGatekeeper::Tcp,
        ToGatekeeper::Ring(65_536),
        ToGatekeeper::Apply(7),
        ToGatekeeper::Count(8),
        ToGatekeeper::Clock(-1),
    ] {
        assert_eq!(ToGatekeeper::parse(&message.to_bytes()), Ok(message));
    }
}

/// There is one way to say a thing: a byte that means nothing is zero.
#[test]
fn no_byte_of_a_request_is_passed_over() {
    for request in requests() {
        let bytes = request.to_bytes();
        for at in 0..bytes.len() {
            let mut other = bytes;
            other[at] ^= 0x80;
            assert_ne!(
                FromGatekeeper::parse(&other),
                Ok(FromGatekeeper::Request(request)),
                "{at}"
            );
        }
        assert_eq!(FromGatekeeper::parse(&bytes[1..]), Err(Garbage));
        assert_eq!(FromGatekeeper::parse(&[&bytes[..], &[0]].concat()), Err(Garbage));
    }
    assert_eq!(FromGatekeeper::parse(&[]), Err(Garbage));
}
