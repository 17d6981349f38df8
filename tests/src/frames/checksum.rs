//! The checksum of IPv4 and UDP, and lengths that fit their fields.

/// The Internet checksum (RFC 1071).
#[must_use]
pub fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2);
    let mut sum: u64 = words
        .map(|word| u64::from(word[0]) << 8 | word.get(1).map_or(0, |byte| u64::from(*byte)))
        .sum();
    while sum > 0xFFFF {
        sum = (sum & 0xFFFF) + (sum >> 16);
    }
    !low_word(usize::try_from(sum).unwrap_or_default())
}

/// Lengths that do not fit their field are a test's own mistake; cutting them off makes it fail.
pub(super) fn low_word(length: usize) -> u16 {
    u16::try_from(length).unwrap_or(u16::MAX)
}

pub(super) fn low_byte(length: usize) -> u8 {
    u8::try_from(length).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::checksum;

    #[test]
    fn it_is_that_of_the_rfc() {
        // RFC 1071, section 3.
        assert_eq!(
            checksum(&[0x00, 0x01, 0xF2, 0x03, 0xF4, 0xF5, 0xF6, 0xF7]),
            !0xDDF2
        );
    }
}
