//! What a fast network card would ask of the XDP program, multiplied from what was measured.

use serde_json::Value;
use std::fmt::Write as _;

/// Bits a second, and queues with a CPU each.
const LINE: f64 = 100e9;
const QUEUES: f64 = 16.0;
/// Bytes of a frame on the line beside those that the program sees: checksum, preamble, gap (IEEE 802.3).
const AROUND: f64 = 4.0 + 8.0 + 12.0;
/// Nanoseconds of driver and kernel for each packet that is dropped: 24 million a second on one core, as measured in
/// Høiland-Jørgensen et al., *The eXpress Data Path*, `CoNEXT` 2018.
const DRIVER: f64 = 1e9 / 24e6;
/// HMACs a second that each CPU computes for strangers: the default of `hmac-budget`.
const BUDGET: f64 = 200_000.0;

/// Kinds of packets: what was measured of them, and their bytes.
const KINDS: [(&str, &str, f64); 8] = [
    ("SYNs to a protected port", "shield_drop_ns", 60.0),
    ("junk for the control port, as short as can be", "junk_ns", 60.0),
    ("knocks of users that do not exist", "unknown_user_ns", 98.0),
    (
        "forged knocks of a known user, each with its HMAC",
        "forged_challenge_ns",
        98.0,
    ),
    ("the same beyond the budget", "forged_over_budget_ns", 98.0),
    ("silent knocks with a random TAG", "silent_unknown_tag_ns", 130.0),
    ("with a sniffed TAG", "silent_forged_ns", 130.0),
    ("replayed", "silent_replay_ns", 130.0),
];

/// A row for each kind, from the measurement `packet`.
pub fn table(packet: &Value) -> String {
    let mut table =
        "| Packets | Arrive on one CPU, millions a second | One every | Cost each | One core carries, \
                     millions a second | Share of what arrives |\n| --- | --- | --- | --- | --- | --- |\n"
            .to_owned();
    for (name, figure, bytes) in KINDS {
        row(&mut table, name, bytes, cost(packet, figure));
    }
    let (dear, cheap) = (
        cost(packet, "forged_challenge_ns"),
        cost(packet, "forged_over_budget_ns"),
    );
    let with_hmac = BUDGET / arriving(98.0);
    let mixed = dear
        .zip(cheap)
        .map(|(dear, cheap)| with_hmac * dear + (1.0 - with_hmac) * cheap);
    let name = format!(
        "forged knocks of a known user, {:.1} % with an HMAC: the default budget",
        100.0 * with_hmac
    );
    row(&mut table, &name, 98.0, mixed);
    table
}

/// Packets of so many bytes that arrive at one CPU in a second.
fn arriving(bytes: f64) -> f64 {
    LINE / 8.0 / (bytes + AROUND) / QUEUES
}

/// Nanoseconds for one packet. What was measured has the measuring itself in it, as has the program that only passes.
fn cost(packet: &Value, figure: &str) -> Option<f64> {
    Some(DRIVER + packet[figure].as_f64()? - packet["bare_ns"].as_f64()?)
}

fn row(table: &mut String, name: &str, bytes: f64, cost: Option<f64>) {
    let arriving = arriving(bytes);
    // Writing to a string does not fail.
    let _infallible = match cost {
        Some(cost) => writeln!(
            table,
            "| {name} | {:.1} | {:.0} ns | {cost:.0} ns | {:.1} | {:.0} % |",
            arriving / 1e6,
            1e9 / arriving,
            1e3 / cost,
            (100.0 * 1e9 / cost / arriving).min(100.0),
        ),
        None => writeln!(
            table,
            "| {name} | {:.1} | {:.0} ns | - | - | - |",
            arriving / 1e6,
            1e9 / arriving
        ),
    };
}

#[cfg(test)]
mod tests {
    use super::table;
    use serde_json::json;

    #[test]
    fn shares_follow_from_what_was_measured() {
        // Beyond the bare program: 58.3 ns, which with the driver's 41.7 ns are 100 ns.
        let table =
            table(&json!({"bare_ns": 20.0, "shield_drop_ns": 78.333, "forged_challenge_ns": 978.333}));
        // 148.8 million frames of 64 bytes a second, of which one CPU gets a 16th.
        assert!(
            table.contains("| SYNs to a protected port | 9.3 | 108 ns | 100 ns | 10.0 | 100 % |"),
            "{table}"
        );
        assert!(
            table.contains("each with its HMAC | 6.4 | 156 ns | 1000 ns | 1.0 | 16 % |"),
            "{table}"
        );
        assert!(
            table.contains("| replayed | 5.1 | 197 ns | - | - | - |"),
            "{table}"
        );
    }
}
