//! Who has opened a lease, as a comment of its set element: the kernel's record, which outlives letmeind, and which `nft
//! list` shows.

use letmein_common::UserId;

use crate::leases::Opener;

/// `NFTNL_UDATA_SET_ELEM_COMMENT` of libnftnl
const COMMENT: u8 = 0;

/// What the comment says; nothing if nobody knows.
pub(super) fn text(opener: Opener) -> Option<String> {
    match opener {
        Opener::Unknown => None,
        Opener::User(user) => Some(format!("user {user}")),
        Opener::Operator(number) => Some(format!("operator {number}")),
    }
}

/// The comment as nft stores it: type, length, text, and a zero.
pub(super) fn to_bytes(opener: Opener) -> Option<Vec<u8>> {
    let text = text(opener)?;
    let length = u8::try_from(text.len() + 1).ok()?;
    let mut bytes = vec![COMMENT, length];
    bytes.extend_from_slice(text.as_bytes());
    bytes.push(0);
    Some(bytes)
}

/// Reads what is stored with an element. What somebody else has written there says nothing.
pub(super) fn from_bytes(bytes: &[u8]) -> Opener {
    parse(bytes).unwrap_or_default()
}

fn parse(bytes: &[u8]) -> Option<Opener> {
    let [COMMENT, length, text @ .., 0] = bytes else {
        return None;
    };
    (usize::from(*length) == text.len() + 1).then_some(())?;
    let (kind, number) = str::from_utf8(text).ok()?.split_once(' ')?;
    let opener = match kind {
        "user" => Opener::User(number.parse::<UserId>().ok()?),
        "operator" => Opener::Operator(number.parse().ok()?),
        _ => return None,
    };
    // What is written in another way was not written by us.
    (to_bytes(opener).as_deref() == Some(bytes)).then_some(opener)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn openers_come_back_as_they_went() {
        for opener in [
            Opener::User(UserId(0)),
            Opener::User(UserId(u32::MAX)),
            Opener::Operator(1000),
            Opener::Operator(u32::MAX),
        ] {
            assert_eq!(from_bytes(&to_bytes(opener).unwrap()), opener);
        }
        assert_eq!(to_bytes(Opener::Unknown), None);
        assert_eq!(
            to_bytes(Opener::User(UserId(0x1A))).unwrap(),
            b"\0\x0euser 0000001A\0"
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
        ] {
            assert_eq!(from_bytes(bytes), Opener::Unknown, "{bytes:?}");
        }
    }
}
