//! Percent-encoding (RFC 3986, section 2.1) of everything that is not unreserved.

use std::fmt::{self, Write as _};

/// The text, so that it is one word of plain characters.
#[must_use]
pub fn encoded(text: &str) -> String {
    let mut encoded = String::new();
    // A string takes whatever is written to it.
    let _never_fails = encode(text, &mut encoded);
    encoded
}

/// Appends the text, each byte that is not unreserved as `%` and two digits.
pub fn encode(text: &str, to: &mut String) -> fmt::Result {
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => to.push(byte.into()),
            _ => write!(to, "%{byte:02X}")?,
        }
    }
    Ok(())
}

/// What was encoded; `None` if that is no text.
#[must_use]
pub fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => digit(rest.next()?)? << 4 | digit(rest.next()?)?,
            _ => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

/// The value of a hexadecimal digit.
#[must_use]
pub fn digit(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|value| u8::try_from(value).ok())
}
