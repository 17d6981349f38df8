//! Names that others have rules for: the kernel, nftables, our own protocol. Errors are texts with the remedy.

use crate::firewall::GUARD_TABLE;
use letmein_common::UserId;
use std::{net::IpAddr, num::ParseIntError};

/// The longest name of a table or a chain that nft itself takes.
const LONGEST_NFT_NAME: usize = 127;
/// The longest name of a user or a resource, in bytes: they go into log lines.
const LONGEST_OWN_NAME: usize = 64;

/// What the kernel takes for the name of a network device (`dev_valid_name` of `net/core/dev.c`).
pub(super) fn check_interface(name: &str) -> Result<(), String> {
    let bad = name.is_empty()
        || name.len() > 15
        || name == "."
        || name == ".."
        || name.contains(|c: char| matches!(c, '/' | ':') || c.is_whitespace() || c.is_control());
    if bad {
        return Err(format!(
            "{name:?} cannot be the name of an interface; `ip link` lists them"
        ));
    }
    Ok(())
}

/// The identifiers of `nft(8)`, and not the table that is ours in guard mode.
pub(super) fn check_nft(what: &str, name: &str) -> Result<(), String> {
    let first = name
        .bytes()
        .next()
        .is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_');
    let rest = name
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"_-./".contains(&byte));
    if !first || !rest || name.len() > LONGEST_NFT_NAME {
        return Err(format!(
            "{name:?} cannot be the name of a {what} in nftables; it begins with a letter or _, goes on with \
             letters, digits and _ - . / and has at most {LONGEST_NFT_NAME} characters"
        ));
    }
    if what == "table" && name == GUARD_TABLE {
        return Err(format!(
            "the table {name:?} is letmeind's own in guard mode; name a table of yours"
        ));
    }
    Ok(())
}

/// Names of sections: `[users.NAME]`, `[resources.NAME]`.
pub(super) fn check_own(name: &str) -> Result<(), String> {
    if name == "*" {
        return Err("\"*\" means all resources where users name theirs; choose another name".to_owned());
    }
    if name.is_empty() || name.len() > LONGEST_OWN_NAME || name.chars().any(char::is_control) {
        return Err(format!(
            "{name:?} is no usable name; choose one of 1 to {LONGEST_OWN_NAME} bytes without control characters"
        ));
    }
    Ok(())
}

/// The id of a user or a resource: 1 to 8 hexadecimal digits.
pub(super) fn parse_id(text: &str) -> Result<u32, String> {
    let id: Result<UserId, ParseIntError> = text.parse();
    match id {
        // The parser alone would take a plus sign and any number of leading zeros.
        Ok(id) if text.len() <= 8 && !text.starts_with('+') => Ok(id.0),
        _ => Err(format!(
            "{text:?} is no id; write 1 to 8 hexadecimal digits, such as \"0000001A\""
        )),
    }
}

/// An address of this machine to listen on.
pub(super) fn parse_address(text: &str) -> Result<IpAddr, String> {
    let Ok(address) = text.parse::<IpAddr>() else {
        return Err(format!(
            "{text:?} is no address; write one such as \"192.0.2.1\" or \"2001:db8::1\", no name"
        ));
    };
    let canonical = address.to_canonical();
    if canonical != address {
        return Err(format!(
            "{text:?} is an IPv4 address in disguise; write \"{canonical}\""
        ));
    }
    if address.is_multicast() {
        return Err(format!(
            "{text:?} is a multicast address; write one of this machine's own (`ip address`)"
        ));
    }
    Ok(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interfaces_as_the_kernel_names_them() {
        for good in [
            "lo",
            "eth0",
            "enp0s31f6",
            "br-0123456789ab",
            "eth0.100",
            "wg\u{e9}",
        ] {
            assert_eq!(check_interface(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            ".",
            "..",
            "a/b",
            "a b",
            "eth0:1",
            "a\tb",
            "a\nb",
            "sixteen-bytes-ab",
        ] {
            assert!(check_interface(bad).unwrap_err().contains("ip link"), "{bad}");
        }
    }

    #[test]
    fn tables_and_chains_as_nft_names_them() {
        for good in ["filter", "LETMEIN-INPUT", "_x", "a.b/c", &"x".repeat(127)] {
            assert_eq!(check_nft("table", good), Ok(()), "{good}");
        }
        for bad in [
            "",
            "1st",
            "-a",
            "a b",
            "x;flush",
            "gr\u{fc}n",
            "a\\b",
            &"x".repeat(128),
        ] {
            assert!(
                check_nft("chain", bad).unwrap_err().contains("name of a chain"),
                "{bad}"
            );
        }
        assert!(
            check_nft("table", "letmein")
                .unwrap_err()
                .contains("letmeind's own")
        );
        assert_eq!(check_nft("chain", "letmein"), Ok(()));
    }

    #[test]
    fn ids_are_up_to_eight_digits() {
        assert_eq!(parse_id("1a"), Ok(0x1A));
        assert_eq!(parse_id("FFFFFFFF"), Ok(u32::MAX));
        for bad in ["", "+1", "-1", "000000001", "0x1", "g", " 1"] {
            assert!(
                parse_id(bad).unwrap_err().contains("1 to 8 hexadecimal digits"),
                "{bad}"
            );
        }
    }

    #[test]
    fn addresses_are_ones_to_listen_on() {
        assert_eq!(parse_address("::"), Ok("::".parse().unwrap()));
        for (bad, hint) in [
            ("localhost", "no name"),
            ("192.0.2.1/24", "is no address"),
            ("::ffff:192.0.2.1", "write \"192.0.2.1\""),
            ("224.0.0.1", "multicast"),
            ("ff02::1", "multicast"),
        ] {
            assert!(parse_address(bad).unwrap_err().contains(hint), "{bad}");
        }
    }
}
