//! How single values are written, with an error text that says what to write instead.
//!
//! serde's own errors would repeat the value, which for a key is out of the question.

use super::{Address, duration, key};
use letmein_common::{ResourceId, UserId, hmac::KeyedStates};
use serde::{Deserialize, Deserializer, de::Error as _};
use std::time::Duration;
use zeroize::Zeroizing;

/// Reads 1 to 8 hexadecimal digits.
fn id(text: &str) -> Result<u32, String> {
    let digits = matches!(text.len(), 1..=8) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let number = u32::from_str_radix(text, 16).ok().filter(|_| digits);
    number.ok_or_else(|| format!("{text:?} is no id; write 1 to 8 hexadecimal digits, such as \"0000001A\""))
}

/// Reads a user's id.
pub fn user_id(text: &str) -> Result<UserId, String> {
    id(text).map(UserId)
}

/// Reads a resource's id.
pub fn resource_id(text: &str) -> Result<ResourceId, String> {
    id(text).map(ResourceId)
}

/// Reads whose address a silent knock names.
pub fn address_choice(text: &str) -> Result<Address, String> {
    match text {
        "auto" => Ok(Address::Auto),
        "source" => Ok(Address::Source),
        _ => text.parse().map(Address::Ip).map_err(|_| {
            format!("{text:?} is no address; write \"auto\", \"source\", or an address such as \"192.0.2.7\"")
        }),
    }
}

/// Reads a time to wait.
pub fn wait(text: &str) -> Result<Duration, String> {
    duration::parse(text)
}

/// Reads the lease that a knock asks for, in seconds.
pub fn lease(text: &str) -> Result<u32, String> {
    duration::lease(text)
}

/// Deserializes a string, whose type error is `expected`, and reads it with `parse`.
fn quoted<'de, D: Deserializer<'de>, T>(
    deserializer: D,
    expected: &str,
    parse: fn(&str) -> Result<T, String>,
) -> Result<T, D::Error> {
    let text = String::deserialize(deserializer)
        .map(Zeroizing::new)
        .map_err(|_repeats_the_value| D::Error::custom(expected))?;
    parse(&text).map_err(D::Error::custom)
}

const ID: &str = "an id is written in quotes, as 1 to 8 hexadecimal digits, such as \"0000001A\"";

pub(super) fn user<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<UserId>, D::Error> {
    quoted(deserializer, ID, user_id).map(Some)
}

pub(super) fn resource<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ResourceId, D::Error> {
    quoted(deserializer, ID, resource_id)
}

pub(super) fn timeout<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    quoted(
        deserializer,
        "a duration is written in quotes and with its unit, such as \"5s\" or \"500ms\"",
        duration::parse,
    )
}

pub(super) fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Address, D::Error> {
    quoted(
        deserializer,
        "an address is written in quotes: \"auto\", \"source\", or one such as \"192.0.2.7\"",
        address_choice,
    )
}

pub(super) fn gate_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    i64::deserialize(deserializer)
        .ok()
        .and_then(|number| u32::try_from(number).ok())
        .ok_or_else(|| D::Error::custom("a gate's number is from 0 to 4294967295, without quotes"))
}

pub(super) fn key<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Box<KeyedStates>>, D::Error> {
    quoted(
        deserializer,
        "a key is written in quotes, as 64 hexadecimal digits; `letmein gen-key` makes one",
        key::parse,
    )
    .map(Some)
}

pub(super) fn port<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u16, D::Error> {
    let port = i64::deserialize(deserializer)
        .ok()
        .and_then(|port| u16::try_from(port).ok());
    port.filter(|port| *port != 0)
        .ok_or_else(|| D::Error::custom("a port is a number from 1 to 65535, without quotes"))
}

pub(super) fn some_port<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u16>, D::Error> {
    port(deserializer).map(Some)
}
