//! Reading keys, into memory that is wiped.

use super::file;
use anyhow::anyhow;
use letmein_common::hmac::{KEY_LEN, KeyedStates};
use std::path::Path;
use zeroize::Zeroizing;

/// Reads a key file: 64 hexadecimal digits, readable by its owner only.
pub(super) fn read(path: &Path) -> anyhow::Result<Box<KeyedStates>> {
    let file = file::read(path)?;
    file.check_private(path)?;
    parse(file.text.trim()).map_err(|error| anyhow!("{}: {error}", path.display()))
}

/// Reads 64 hexadecimal digits. The error text never repeats them.
pub(super) fn parse(text: &str) -> Result<Box<KeyedStates>, String> {
    let no_key = |but: String| format!("a key is 64 hexadecimal digits, {but}; `letmein gen-key` makes one");
    if let Some(at) = text.chars().position(|c| !c.is_ascii_hexdigit()) {
        return Err(no_key(format!("but character {} is none", at + 1)));
    }
    if text.len() != 2 * KEY_LEN {
        return Err(no_key(format!("not {}", text.len())));
    }
    let mut key = Zeroizing::new([0_u8; KEY_LEN]);
    for (at, byte) in key.iter_mut().enumerate() {
        let digits = &text[2 * at..2 * at + 2];
        *byte = u8::from_str_radix(digits, 16).map_err(|_| no_key("and this has others".to_owned()))?;
    }
    if key.iter().all(|byte| *byte == 0) {
        return Err("a key of zeros is no secret; `letmein gen-key` makes a key".to_owned());
    }
    Ok(Box::new(KeyedStates::new(&key)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_become_bytes_in_order() {
        let text = "000102030405060708090a0b0c0d0e0f101112131415161718191A1B1C1D1E1F";
        let bytes: [u8; KEY_LEN] = std::array::from_fn(|at| u8::try_from(at).unwrap());
        let parsed = parse(text).map(|key| *key.lanes());
        assert_eq!(parsed, Ok(*KeyedStates::new(&bytes).lanes()));
    }

    #[test]
    fn what_is_no_key_is_refused_and_not_repeated() {
        let secret = "c0ffee";
        for (text, reason) in [
            (String::new(), "not 0;"),
            (format!("{secret}{}", "1".repeat(57)), "not 63;"),
            (format!("{secret}{}", "1".repeat(59)), "not 65;"),
            (format!("{secret}{}g", "1".repeat(57)), "character 64 is none"),
            (format!("{secret}\u{e9}{}", "1".repeat(56)), "character 7 is none"),
            (format!("{secret}+{}", "1".repeat(57)), "character 7 is none"),
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
