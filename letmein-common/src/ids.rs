//! The two numbers that name a key and a thing to open.
//!
//! Both are 32-bit, chosen by the administrator, sent big-endian and written as 8 hexadecimal digits.

use core::{fmt, num::ParseIntError, str::FromStr};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(transparent)]
        pub struct $name(pub u32);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:08X}", self.0)
            }
        }

        impl FromStr for $name {
            type Err = ParseIntError;

            /// Reads 1 to 8 hexadecimal digits, as in `0000001A` or `1a`.
            fn from_str(text: &str) -> Result<Self, ParseIntError> {
                u32::from_str_radix(text, 16).map(Self)
            }
        }
    };
}

id! {
    /// Names a user, that is: one pre-shared key.
    UserId
}

id! {
    /// Names what a knock opens.
    ResourceId
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn ids_are_eight_hex_digits() {
        assert_eq!(UserId(0x1A).to_string(), "0000001A");
        assert_eq!("0000001A".parse(), Ok(ResourceId(0x1A)));
        assert_eq!("ffffffff".parse(), Ok(UserId(u32::MAX)));
        assert!("123456789".parse::<UserId>().is_err());
        assert!("".parse::<UserId>().is_err());
        assert!("0x1A".parse::<UserId>().is_err());
    }
}
