//! Properties of the enrolment line: it says the same to both sides, and nothing else is one.

use letmein_common::{ResourceId, UserId};
use letmein_enrolment::line::{Enrolment, LineError, Resource};
use proptest::prelude::*;
use zeroize::Zeroizing;

fn example() -> Enrolment {
    Enrolment {
        name: "home".to_owned(),
        host: "gate.example.org".to_owned(),
        port: 5800,
        silent: false,
        gate_number: 0,
        tcp: false,
        user: UserId(0x1A),
        key: Zeroizing::new([0x5A; 32]),
        resources: vec![Resource {
            name: "ssh".to_owned(),
            id: ResourceId(1),
            port: Some(22),
        }],
    }
}

fn key() -> String {
    "5a".repeat(32)
}

#[test]
fn it_is_as_documented() {
    let line = format!(
        "letmein://gate.example.org/home?v=1&user=0000001A&key={}&resource=ssh:00000001:22",
        key()
    );
    assert_eq!(**example().to_line().unwrap(), *line);
    let full = Enrolment {
        name: "a b/ü".to_owned(),
        host: "2001:db8::1".to_owned(),
        port: 5801,
        silent: true,
        gate_number: 7,
        resources: vec![Resource {
            name: "v:p&n".to_owned(),
            id: ResourceId(0xB),
            port: None,
        }],
        ..example()
    };
    let line = format!(
        "letmein://[2001:db8::1]:5801/a%20b%2F%C3%BC?v=1&user=0000001A&key={}&mode=silent&gate-number=7\
         &resource=v%3Ap%26n:0000000B",
        key()
    );
    assert_eq!(**full.to_line().unwrap(), *line);
    assert_eq!(line.parse(), Ok(full));
}

#[test]
fn nothing_is_written_in_two_ways() {
    let line = example().to_line().unwrap().to_string();
    assert_eq!(line.parse(), Ok(example()));
    let upper = key().to_uppercase();
    for (from, to, expected) in [
        ("letmein://", "https://", LineError::NotALine),
        ("letmein://", "LETMEIN://", LineError::NotALine),
        ("v=1", "v=2", LineError::Version),
        ("v=1", "v=01", LineError::Version),
        ("v=1&", "", LineError::Part("the version")),
        ("gate.example.org", "", LineError::Part("the host")),
        ("gate.example.org", "-o", LineError::Part("the host")),
        ("gate.example.org", "a b", LineError::Part("the host")),
        ("gate.example.org", "me@gate", LineError::Part("the host")),
        ("gate.example.org", "[192.0.2.1]", LineError::Part("the host")),
        ("example.org", "example.org:5800", LineError::Part("some value")),
        ("example.org", "example.org:", LineError::Part("some value")),
        ("example.org", "example.org:0", LineError::Part("the port")),
        ("example.org", "example.org:65536", LineError::Part("the host")),
        ("/home", "", LineError::Part("the host")),
        ("/home", "/", LineError::Part("the server's name")),
        ("/home", "/ho%6De", LineError::Part("some value")),
        ("/home", "/h%0Ame", LineError::Part("the server's name")),
        ("/home", "/h%FFme", LineError::Part("the server's name")),
        ("/home", "/home%", LineError::Part("the server's name")),
        ("0000001A", "1A", LineError::Part("some value")),
        ("0000001A", "+000001A", LineError::Part("some value")),
        ("user=0000001A&", "", LineError::Part("the user")),
        (&key(), &key()[2..], LineError::Part("the key")),
        (&key(), &upper, LineError::Part("some value")),
        (&key(), &"0".repeat(64), LineError::Part("the key")),
        (
            "&resource",
            "&mode=challenge&resource",
            LineError::Part("some value"),
        ),
        (
            "&resource",
            "&gate-number=0&resource",
            LineError::Part("some value"),
        ),
        (
            "&resource",
            "&gate-number=4294967296&resource",
            LineError::Part("the gate's number"),
        ),
        (
            "&resource",
            "&mode=silent&transport=tcp&resource",
            LineError::Part("the transport"),
        ),
        (
            "&resource",
            "&colour=red&resource",
            LineError::Part("the resources"),
        ),
        ("&resource=ssh:00000001:22", "", LineError::Part("the resources")),
        ("ssh:00000001:22", "ssh", LineError::Part("the resources")),
        (
            "ssh:00000001:22",
            "ssh:00000001:0",
            LineError::Part("the resources"),
        ),
        (
            "ssh:00000001:22",
            "ssh:00000001:22:1",
            LineError::Part("the resources"),
        ),
        (
            "ssh:00000001:22",
            "ssh:00000001&resource=ssh:00000002",
            LineError::Part("the resources"),
        ),
        (":22", ":22#", LineError::Part("the resources")),
        (":22", ":22&", LineError::Part("the resources")),
    ] {
        let changed = line.replacen(from, to, 1);
        assert_ne!(changed, line, "{from}");
        let error = changed.parse::<Enrolment>().unwrap_err();
        assert_eq!(error, expected, "{changed}");
        assert!(!error.to_string().contains("5a5a"), "{error}");
    }
}

#[test]
fn what_is_too_long_is_refused() {
    let mut many = example();
    for number in 0..64 {
        many.resources.push(Resource {
            name: format!("r{number}"),
            ..many.resources[0].clone()
        });
    }
    assert_eq!(many.to_line().unwrap_err(), LineError::TooLong);
    many.resources.truncate(64);
    many.to_line().unwrap();
    let line = format!(
        "{}{}",
        *example().to_line().unwrap(),
        "&resource=a:00000001".repeat(100)
    );
    assert_eq!(line.parse::<Enrolment>(), Err(LineError::TooLong));
}

#[test]
fn no_key_is_shown() {
    assert!(!format!("{:?}", example()).contains("90"), "{:?}", example());
}

fn name() -> impl Strategy<Value = String> {
    "[^\\p{Cc}]{1,16}".prop_filter("it stands for everything", |name| name != "*" && name.len() <= 64)
}

fn host() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z0-9_][a-z0-9_-]{0,20}(\\.[a-z0-9][a-z0-9-]{0,10}){0,3}",
        any::<std::net::Ipv6Addr>().prop_map(|address| address.to_string()),
        any::<std::net::Ipv4Addr>().prop_map(|address| address.to_string()),
    ]
}

prop_compose! {
    fn enrolment()(
        name in name(),
        host in host(),
        port in 1_u16..,
        (silent, tcp) in prop_oneof![Just((false, false)), Just((true, false)), Just((false, true))],
        gate_number: u32,
        user: u32,
        key in any::<[u8; 32]>().prop_filter("no key", |key| *key != [0; 32]),
        resources in proptest::collection::btree_map(name(), (any::<u32>(), proptest::option::of(1_u16..)), 1..8),
    ) -> Enrolment {
        let resources = resources.into_iter().map(|(name, (id, port))| Resource { name, id: ResourceId(id), port });
        Enrolment {
            name, host, port, silent, gate_number, tcp,
            user: UserId(user),
            key: Zeroizing::new(key),
            resources: resources.collect(),
        }
    }
}

proptest! {
    #[test]
    fn what_is_written_is_what_is_read(enrolment in enrolment()) {
        let line = enrolment.to_line().unwrap();
        prop_assert!(line.bytes().all(|byte| byte.is_ascii_graphic()), "{}", *line);
        prop_assert_eq!(line.parse(), Ok(enrolment));
    }

    #[test]
    fn no_text_confuses_the_parser(text in ".{0,200}") {
        prop_assert!(text.parse::<Enrolment>().is_err());
        let line = format!("letmein://{text}");
        prop_assert!(line.parse::<Enrolment>().is_err());
    }

    #[test]
    fn a_changed_line_is_another_one_or_none(enrolment in enrolment(), at: prop::sample::Index, byte in 0x20_u8..0x7F) {
        let line = enrolment.to_line().unwrap();
        let mut bytes = line.as_bytes().to_vec();
        let at = at.index(bytes.len());
        prop_assume!(bytes[at] != byte);
        bytes[at] = byte;
        let changed = String::from_utf8(bytes).unwrap();
        if let Ok(other) = changed.parse::<Enrolment>() {
            prop_assert_ne!(&other, &enrolment);
            prop_assert_eq!(&**other.to_line().unwrap(), &*changed);
        }
    }
}
