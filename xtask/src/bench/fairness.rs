//! The table of who keeps others out, from what was measured.

use serde_json::Value;
use std::fmt::Write as _;

/// Cases, in the order of the table: what was measured, who attacks, and what it does each second.
const CASES: [(&str, &str, &str); 7] = [
    (
        "spoofed_challenge",
        "Forged KNOCKs from the guest's own address; it knocks by challenge",
        "packets",
    ),
    ("spoofed_silent", "The same; it knocks silently", "packets"),
    (
        "greedy_user_tcp",
        "A user knocks over TCP; others over UDP and TCP",
        "knocks",
    ),
    (
        "greedy_user_silent",
        "A user knocks silently from forged addresses; others silently",
        "knocks",
    ),
    (
        "greedy_user_leases",
        "A user takes as many leases as it gets; others knock silently and over UDP",
        "knocks",
    ),
    (
        "tcp_slash48",
        "256 sources of one /48 connect to the TCP control port; others knock over TCP",
        "connections",
    ),
    (
        "after_reload",
        "Forged KNOCKs beyond `hmac-budget`; guests who have knocked before, after a reload and a restart",
        "packets",
    ),
];

/// A row for each case, and one more where letmein 12 has what is attacked.
pub fn table(results: &Value) -> String {
    let mut table =
        "| Attack | Gate | Each second (arrived) | Got in | Median / 99th percentile | Undisturbed | × |\n\
                     | --- | --- | --- | --- | --- | --- | --- |\n"
            .to_owned();
    for (name, attack, unit) in CASES {
        let case = &results[name];
        row(&mut table, attack, "letmeind", unit, case);
        if !case["letmein_12"].is_null() {
            row(&mut table, attack, "letmein 12", unit, &case["letmein_12"]);
        }
    }
    table
}

fn row(table: &mut String, attack: &str, gate: &str, unit: &str, case: &Value) {
    let figure = |name: &str| case[name].as_f64();
    let percent =
        |name, digits| figure(name).map_or("-".to_owned(), |share| format!("{:.digits$} %", 100.0 * share));
    let ms = |name| figure(name).map_or("-".to_owned(), |ms| format!("{ms:.1}"));
    let ratio = figure("median_ms").zip(figure("quiet_median_ms"));
    let rate = figure("rate").map_or("-".to_owned(), |rate| format!("{rate:.0} {unit}"));
    // Writing to a string does not fail.
    let _infallible = writeln!(
        table,
        "| {attack} | {gate} | {rate} ({}) | {} | {} / {} ms | {} / {} ms | {} |",
        percent("arrived", 0),
        percent("share", 1),
        ms("median_ms"),
        ms("p99_ms"),
        ms("quiet_median_ms"),
        ms("quiet_p99_ms"),
        ratio.map_or("-".to_owned(), |(ms, quiet)| format!("{:.2}", ms / quiet)),
    );
}

#[cfg(test)]
mod tests {
    use super::table;
    use serde_json::json;

    #[test]
    fn an_attack_is_beside_the_same_without_it() {
        let case = json!({
            "share": 0.995, "median_ms": 3.0, "p99_ms": 9.0, "quiet_median_ms": 2.0, "quiet_p99_ms": 4.0,
            "rate": 9998.0, "arrived": 1.0,
        });
        let mut silent = case.clone();
        silent["letmein_12"] = json!({"share": 0.0, "median_ms": null, "quiet_median_ms": 5.0});
        let table = table(&json!({"spoofed_challenge": case, "spoofed_silent": silent}));
        assert!(
            table.contains(
                "| letmeind | 9998 packets (100 %) | 99.5 % | 3.0 / 9.0 ms | 2.0 / 4.0 ms | 1.50 |"
            ),
            "{table}"
        );
        assert!(
            table.contains("| letmein 12 | - (-) | 0.0 % | - / - ms | 5.0 / - ms | - |"),
            "{table}"
        );
        assert_eq!(table.matches("letmein 12").count(), 1, "{table}");
    }
}
