//! Where a gate is: an address, or a name.

use std::net::IpAddr;

/// The longest name of a host (RFC 1035, section 2.3.4), as text.
const LONGEST: usize = 253;
/// The longest part between two dots.
const LONGEST_LABEL: usize = 63;

/// Whether this can be a host: an address, or a name of letters, digits, `-` and `_`.
#[must_use]
pub fn is_host(text: &str) -> bool {
    let label = |label: &str| {
        let bytes = label.as_bytes();
        matches!(bytes.len(), 1..=LONGEST_LABEL)
            && bytes[0] != b'-'
            && bytes
                .iter()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    text.parse::<IpAddr>().is_ok()
        || text.len() <= LONGEST && text.strip_suffix('.').unwrap_or(text).split('.').all(label)
}
