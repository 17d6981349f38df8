//! Reading keys, into memory that is wiped.

use super::files;
use letmein_common::hmac::{KEY_LEN, KeyedStates};
use std::path::Path;
use zeroize::Zeroizing;

/// Reads a key file: 64 hexadecimal digits, readable by its owner only. The error text names the file and the
/// remedy, never what is in it.
pub(super) fn read(path: &Path) -> Result<KeyedStates, String> {
    read_bytes(path).map(|key| KeyedStates::new(&key))
}

/// The same, for who has to hand the key on.
pub(crate) fn read_bytes(path: &Path) -> Result<Zeroizing<[u8; KEY_LEN]>, String> {
    let (text, access) = files::read(path)?;
    access.check_secret(path)?;
    bytes(text.trim()).map_err(|error| format!("{}: {error}", path.display()))
}

/// Reads 64 hexadecimal digits. The error text never repeats them.
pub(super) fn parse(text: &str) -> Result<KeyedStates, String> {
    bytes(text).map(|key| KeyedStates::new(&key))
}

/// The same, for who has to hand the key on.
pub(crate) fn bytes(text: &str) -> Result<Zeroizing<[u8; KEY_LEN]>, String> {
    let digits = text.as_bytes();
    if let Some(at) = text.chars().position(|c| !c.is_ascii_hexdigit()) {
        let place = at + 1;
        return Err(format!(
            "a key is 64 hexadecimal digits, but character {place} is none; `letmein gen-key` makes a key"
        ));
    }
    if digits.len() != 2 * KEY_LEN {
        let count = digits.len();
        return Err(format!(
            "a key is 64 hexadecimal digits, not {count}; `letmein gen-key` makes a key"
        ));
    }
    let mut key = Zeroizing::new([0_u8; KEY_LEN]);
    for (byte, pair) in key.iter_mut().zip(digits.as_chunks::<2>().0) {
        *byte = value(pair[0]) << 4 | value(pair[1]);
    }
    if key.iter().all(|byte| *byte == 0) {
        return Err("a key of zeros is no secret; `letmein gen-key` makes a key".to_owned());
    }
    Ok(key)
}

/// The value of an ASCII hexadecimal digit.
const fn value(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        // Bit 5 is what sets lower case apart.
        _ => (digit | 0x20) - b'a' + 10,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_become_bytes_in_order() {
        let text = "000102030405060708090a0b0c0d0e0f101112131415161718191A1B1C1D1E1F";
        let bytes: [u8; KEY_LEN] = std::array::from_fn(|i| u8::try_from(i).unwrap());
        let parsed = parse(text).map(|key| *key.lanes());
        assert_eq!(parsed, Ok(*KeyedStates::new(&bytes).lanes()));
        let ff = parse(&"fF".repeat(KEY_LEN)).map(|key| *key.lanes());
        assert_eq!(ff, Ok(*KeyedStates::new(&[0xFF; KEY_LEN]).lanes()));
    }

    #[test]
    fn what_is_no_key_is_refused_and_not_repeated() {
        let secret = "c0ffee";
        for (text, reason) in [
            (String::new(), "not 0"),
            (secret.to_owned(), "not 6"),
            (format!("{secret}{}", "1".repeat(57)), "not 63"),
            (format!("{secret}{}", "1".repeat(59)), "not 65"),
            (format!("{secret}{}g", "1".repeat(57)), "character 64 is none"),
            (
                format!("{secret}{}\u{e9}", "1".repeat(56)),
                "character 63 is none",
            ),
            (format!("{secret} {}", "1".repeat(57)), "character 7 is none"),
            ("0".repeat(64), "a key of zeros"),
        ] {
            let error = parse(&text).err().unwrap();
            assert!(
                error.contains(reason) && error.contains("letmein gen-key"),
                "{error}"
            );
            assert!(!error.contains(secret), "{error}");
        }
    }
}
