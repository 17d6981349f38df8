//! Strings of the file whose type tells what belongs there, so that a forgotten pair of quotes gets a hint.
//!
//! serde's own error would repeat the value, which for a key is out of the question.

use serde::{Deserialize, Deserializer, de::Error as _};
use std::marker::PhantomData;
use zeroize::Zeroizing;

/// A string that shall be read as a `K`.
pub(super) struct Text<K>(Zeroizing<String>, PhantomData<K>);

/// What a string shall be read as.
pub(super) trait Kind {
    /// What to write, for who wrote something else than a string.
    const EXPECTED: &'static str;
}

impl<K> Text<K> {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de, K: Kind> Deserialize<'de> for Text<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)
            .map(|text| Self(Zeroizing::new(text), PhantomData))
            .map_err(|_repeats_the_value| D::Error::custom(K::EXPECTED))
    }
}

macro_rules! kinds {
    ($($name:ident: $expected:literal,)*) => {$(
        pub(super) enum $name {}

        impl Kind for $name {
            const EXPECTED: &'static str = $expected;
        }
    )*};
}

kinds! {
    AddressKind: "an address is written in quotes, such as \"0.0.0.0\" or \"::\"",
    DurationKind: "a duration is written in quotes and with its unit, such as \"30s\", \"10m\" or \"1h30m\"",
    IdKind: "an id is written in quotes, as 1 to 8 hexadecimal digits, such as \"0000001A\"",
    KeyKind: "a key is written in quotes, as 64 hexadecimal digits; `letmein gen-key` makes one",
    MomentKind: "a moment is written in quotes, in UTC, such as \"2030-12-31T12:00:00Z\"",
    PortKind: "a port is written in quotes and with its protocol, such as \"tcp/22\" or \"udp/51820\"",
}
