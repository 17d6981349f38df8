//! Numbers and times for people.

use std::time::Duration;

/// A count with its thousands apart: `1 234 567`.
#[must_use]
pub fn count(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

/// How many of something: `no users`, `1 user`, `3 users`.
#[must_use]
pub fn number(number: usize, one: &str, many: &str) -> String {
    match number {
        0 => format!("no {many}"),
        1 => format!("1 {one}"),
        number => format!("{number} {many}"),
    }
}

/// A rate: one digit behind the point where there is little before it.
#[must_use]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rate of packets: not negative and far below 2^64"
)]
pub fn rate(per_second: f64) -> String {
    if per_second < 0.05 {
        "0".to_owned()
    } else if per_second < 99.95 {
        format!("{per_second:.1}")
    } else {
        count(per_second.round() as u64)
    }
}

/// A time in its two largest units: `3d 4h`, `59m 12s`, `8s`.
#[must_use]
pub fn time(time: Duration) -> String {
    let seconds = time.as_secs();
    let units = [("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)];
    let largest = units.iter().position(|(_, size)| seconds >= *size).unwrap_or(3);
    let mut rest = seconds;
    let mut parts = Vec::new();
    for (unit, size) in units.iter().skip(largest).take(2) {
        parts.push(format!("{}{unit}", rest / size));
        rest %= size;
    }
    parts.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_easy_to_read() {
        assert_eq!(
            [0, 7, 999, 1000, 1_234_567].map(count),
            ["0", "7", "999", "1 000", "1 234 567"]
        );
        assert_eq!(
            [0.0, 0.04, 0.24, 42.04, 99.96, 1234.6].map(rate),
            ["0", "0", "0.2", "42.0", "100", "1 235"]
        );
        let times = [0, 8, 60, 3552, 3600, 86_399, 273_600];
        assert_eq!(
            times.map(|seconds| time(Duration::from_secs(seconds))),
            ["0s", "8s", "1m 0s", "59m 12s", "1h 0m", "23h 59m", "3d 4h"]
        );
    }
}
