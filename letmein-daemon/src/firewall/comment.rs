//! Who has opened a lease, as a comment of its set element: the kernel's record, which outlives letmeind, and which `nft
//! list` shows.
//!
//! `user 00000001` holds the grant that ends with the element. Others follow with how many seconds sooner theirs end:
//! `user 00000001, 00000002 -3540, operator 1000 -5`. Such a difference stays true while the kernel's clock runs, so
//! there is no second clock to keep. nft takes comments of up to 128 characters: where that is too little for all grants,
//! the longest are recorded.

use std::time::Duration;

use letmein_common::UserId;

use crate::leases::Opener;

use super::lease::Lease;

/// `NFTNL_UDATA_SET_ELEM_COMMENT` of libnftnl
const COMMENT: u8 = 0;
/// `NFTNL_UDATA_COMMENT_MAXLEN` of libnftnl: nft refuses to read a longer one back from its own listing.
const LONGEST: usize = 128;
const UNKNOWN: &str = "unknown";
const USER: &str = "user ";
const OPERATOR: &str = "operator ";

/// What an element says of its grants.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Comment {
    pub opener: Opener,
    pub others: Vec<(Opener, Duration)>,
}

/// What the comment says; nothing if nobody knows.
pub(super) fn text(lease: &Lease) -> Option<String> {
    write(lease.opener, &lease.others)
}

fn write(opener: Opener, others: &[(Opener, Duration)]) -> Option<String> {
    let mut text = match opener {
        Opener::Unknown if others.is_empty() => return None,
        Opener::Unknown => UNKNOWN.to_owned(),
        Opener::User(user) => format!("{USER}{user}"),
        Opener::Operator(number) => format!("{OPERATOR}{number}"),
    };
    for (other, sooner) in others {
        // Rounded up: no grant gets longer by being recorded.
        let seconds = sooner.as_nanos().div_ceil(1_000_000_000);
        let other = match other {
            Opener::Unknown => format!(", {UNKNOWN} -{seconds}"),
            Opener::User(user) => format!(", {user} -{seconds}"),
            Opener::Operator(number) => format!(", {OPERATOR}{number} -{seconds}"),
        };
        if text.len() + other.len() > LONGEST {
            break;
        }
        text += &other;
    }
    Some(text)
}

/// The comment as nft stores it: type, length, text, and a zero. Empty if there is none.
pub(super) fn to_bytes(lease: &Lease) -> Vec<u8> {
    text(lease).and_then(|text| bytes_of(&text)).unwrap_or_default()
}

fn bytes_of(text: &str) -> Option<Vec<u8>> {
    let length = u8::try_from(text.len() + 1).ok()?;
    let mut bytes = vec![COMMENT, length];
    bytes.extend_from_slice(text.as_bytes());
    bytes.push(0);
    Some(bytes)
}

/// Reads what is stored with an element. What somebody else has written there says nothing.
pub(super) fn from_bytes(bytes: &[u8]) -> Comment {
    parse(bytes).unwrap_or_default()
}

fn parse(bytes: &[u8]) -> Option<Comment> {
    let [COMMENT, length, text @ .., 0] = bytes else {
        return None;
    };
    (usize::from(*length) == text.len() + 1).then_some(())?;
    let text = str::from_utf8(text).ok()?;
    let mut grants = text.split(", ");
    let first = grants.next()?;
    let opener = match first.strip_prefix(USER) {
        Some(user) => Opener::User(user.parse::<UserId>().ok()?),
        None => not_a_user(first)?,
    };
    let others = grants.map(|grant| {
        let (other, seconds) = grant.rsplit_once(" -")?;
        let opener = not_a_user(other).or_else(|| Some(Opener::User(other.parse().ok()?)))?;
        Some((opener, Duration::from_secs(seconds.parse().ok()?)))
    });
    let others = others.collect::<Option<Vec<_>>>()?;
    // What is written in another way was not written by us.
    (write(opener, &others)? == text).then_some(Comment { opener, others })
}

fn not_a_user(text: &str) -> Option<Opener> {
    if text == UNKNOWN {
        return Some(Opener::Unknown);
    }
    Some(Opener::Operator(text.strip_prefix(OPERATOR)?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(opener: Opener, others: &[(Opener, Duration)]) -> Vec<u8> {
        bytes_of(&write(opener, others).unwrap()).unwrap()
    }

    #[test]
    fn openers_come_back_as_they_went() {
        for opener in [
            Opener::User(UserId(0)),
            Opener::User(UserId(u32::MAX)),
            Opener::Operator(1000),
            Opener::Operator(u32::MAX),
        ] {
            let others = Vec::new();
            assert_eq!(from_bytes(&stored(opener, &others)), Comment { opener, others });
        }
        assert_eq!(write(Opener::Unknown, &[]), None);
        // As earlier versions wrote it, which know no others.
        assert_eq!(stored(Opener::User(UserId(0x1A)), &[]), b"\0\x0euser 0000001A\0");
    }

    #[test]
    fn others_come_back_and_no_grant_gets_longer() {
        let seconds = Duration::from_secs;
        let others = [
            (Opener::Operator(1000), Duration::from_millis(4001)),
            (Opener::User(UserId(2)), seconds(3540)),
            (Opener::Unknown, seconds(0)),
        ];
        let text = write(Opener::User(UserId(1)), &others).unwrap();
        assert_eq!(
            text,
            "user 00000001, operator 1000 -5, 00000002 -3540, unknown -0"
        );
        let read = from_bytes(&bytes_of(&text).unwrap());
        assert_eq!(read.opener, Opener::User(UserId(1)));
        let [(_, operators), user, unknown] = read.others[..] else {
            panic!("{read:?}");
        };
        assert_eq!((operators, user, unknown), (seconds(5), others[1], others[2]));
        for opener in [Opener::Unknown, Opener::Operator(7)] {
            let read = from_bytes(&stored(opener, &others[1..]));
            assert_eq!((read.opener, &read.others[..]), (opener, &others[1..]));
        }
    }

    #[test]
    fn the_longest_of_too_many_are_recorded() {
        let year = Duration::from_hours(365 * 24);
        let others: Vec<_> = (0..1000).map(|id| (Opener::User(UserId(id)), year)).collect();
        let bytes = stored(Opener::User(UserId(u32::MAX)), &others);
        assert!(bytes.len() <= LONGEST + 3, "{}", bytes.len());
        assert_eq!(from_bytes(&bytes).others, others[..5]);
        let hour: Vec<_> = others
            .iter()
            .map(|(user, _)| (*user, Duration::from_hours(1)))
            .collect();
        assert_eq!(
            from_bytes(&stored(Opener::User(UserId(1)), &hour)).others,
            hour[..7]
        );
    }

    #[test]
    fn what_somebody_else_has_written_says_nothing() {
        for bytes in [
            &b""[..],
            b"\0",
            b"\0\x01\0",
            b"\0\x05mine\0",
            b"\0\x07user 1\0",
            b"\x01\x0euser 0000001A\0",
            b"\0\x0duser 0000001A\0",
            b"\0\x0euser 0000001A",
            b"\0\x0foperator +1000\0",
            b"\0\x08unknown\0",
            b"\0\x1auser 0000001A, 0000002B 5\0",
            b"\0\x1cuser 0000001A, 0000002B -05\0",
            b"\0\x1buser 0000001A,0000002B -15\0",
        ] {
            assert_eq!(from_bytes(bytes), Comment::default(), "{bytes:?}");
        }
    }
}
