//! Keys, from random numbers to the digits that configurations and key files have.

use letmein_common::hmac::KEY_LEN;
use std::fmt::{self, Write as _};
use thiserror::Error;
use zeroize::Zeroizing;

/// The system gives no random numbers.
#[derive(Debug, Error)]
#[error("the system gives no random numbers: {0}")]
pub struct NotRandom(getrandom::Error);

/// A new key.
pub fn fresh() -> Result<Zeroizing<[u8; KEY_LEN]>, NotRandom> {
    let mut key = Zeroizing::new([0; KEY_LEN]);
    getrandom::fill(&mut *key).map_err(NotRandom)?;
    Ok(key)
}

/// A line of hexadecimal digits, as in a key file.
#[must_use]
pub fn line(key: &[u8; KEY_LEN]) -> Zeroizing<String> {
    // Room for all of it, so that no shorter buffer with a part of the secret is left behind by growing.
    let mut line = Zeroizing::new(String::with_capacity(2 * KEY_LEN + 1));
    // Writing to a string does not fail.
    let _infallible = write_digits(key, &mut line);
    line.push('\n');
    line
}

/// Adds the digits to a text that has room for them.
pub(crate) fn write_digits(key: &[u8; KEY_LEN], text: &mut String) -> fmt::Result {
    key.iter().try_for_each(|byte| write!(text, "{byte:02x}"))
}
