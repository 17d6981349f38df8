//! Tables of `docs/benchmarks.md`, from what was measured.

use serde_json::Value;
use std::fmt::Write as _;

/// Names and values.
pub fn properties(object: &Value) -> String {
    let mut table = "| | |\n| --- | --- |\n".to_owned();
    for (name, value) in object.as_object().into_iter().flatten() {
        // Writing to a string does not fail.
        let _infallible = writeln!(table, "| {name} | {} |", shown(value));
    }
    table
}

/// Beside letmein 12, in the same run.
pub fn open(results: &Value) -> String {
    let mut table = "| Gate | Median | × letmein 12 |\n| --- | --- | --- |\n".to_owned();
    let theirs = results["letmein_12_ms"].as_f64();
    for (name, value) in results.as_object().into_iter().flatten() {
        let ratio = value.as_f64().zip(theirs).map(|(ms, theirs)| ms / theirs);
        // Writing to a string does not fail.
        let _infallible = writeln!(
            table,
            "| {} | {} ms | {} |",
            name.trim_end_matches("_ms").replace('_', " "),
            shown(value),
            ratio.map_or("-".to_owned(), |ratio| format!("{ratio:.2}")),
        );
    }
    table
}

/// What each gate takes.
pub fn memory(results: &Value) -> String {
    let mut table =
        "| Gate | Processes | Their memory (PSS) | BPF maps and programs |\n| --- | --- | --- | --- |\n"
            .to_owned();
    for gate in list(results, "gates") {
        let _infallible = writeln!(
            table,
            "| {} | {} | {} KiB | {} KiB |",
            shown(&gate["contestant"]),
            shown(&gate["processes"]),
            shown(&gate["resident_kib"]),
            shown(&gate["maps_kib"]),
        );
    }
    table
}

/// How many knocks got in, and in what time.
pub fn flood(results: &Value) -> String {
    let cases: Vec<_> = list(results, "cases")
        .iter()
        .filter(|case| !case["succeeded_percent"].is_null())
        .cloned()
        .collect();
    by_rate(&cases, |case| {
        format!(
            "{} % · {} / {} ms",
            shown(&case["succeeded_percent"]),
            shown(&case["median_ms"]),
            shown(&case["p99_ms"])
        )
    })
}

/// What share of the packets was taken, and what that cost.
pub fn cost(results: &Value) -> String {
    by_rate(list(results, "cases"), |case| {
        let taken = case["taken_by_gate"].as_f64();
        let taken = taken.map_or("-".to_owned(), |share| percent(share * 100.0));
        format!(
            "{taken} · {} / {} s",
            shown(&case["server_cpu_s_per_million"]),
            shown(&case["softirq_cpu_s_per_million"])
        )
    })
}

/// A row for each contestant and kind, a column for each rate.
fn by_rate(cases: &[Value], cell: impl Fn(&Value) -> String) -> String {
    let rates = rates(cases);
    let mut table = "| Gate | Forged packets |".to_owned();
    for rate in &rates {
        let _infallible = write!(table, " {} |", rate_name(rate));
    }
    table.push_str("\n| --- | --- |");
    table.push_str(&" --- |".repeat(rates.len()));
    table.push('\n');
    for (contestant, kind) in rows(cases) {
        let _infallible = write!(table, "| {contestant} | {kind} |");
        for rate in &rates {
            let case = find(cases, contestant, kind, rate);
            let _infallible = write!(table, " {} |", case.map_or("-".to_owned(), &cell));
        }
        table.push('\n');
    }
    table
}

/// What each contestant was sent at the fastest.
pub fn fastest(results: &Value) -> String {
    let mut table = "| Gate | Forged packets | Sent each second | Taken by the interface |\n\
                     | --- | --- | --- | --- |\n"
        .to_owned();
    for case in list(results, "cases")
        .iter()
        .filter(|case| case["rate"].is_null())
    {
        let _infallible = writeln!(
            table,
            "| {} | {} | {} | {} |",
            shown(&case["contestant"]),
            shown(&case["kind"]),
            shown(&case["sent_per_second"]),
            percent(case["taken_by_interface"].as_f64().unwrap_or_default() * 100.0),
        );
    }
    table
}

/// Small shares are not rounded to none.
fn percent(percent: f64) -> String {
    if percent < 10.0 {
        format!("{percent:.2} %")
    } else {
        format!("{percent:.0} %")
    }
}

/// A list of the results.
pub fn list<'a>(results: &'a Value, name: &str) -> &'a [Value] {
    results[name].as_array().map(Vec::as_slice).unwrap_or_default()
}

/// Contestants and kinds, in their order.
pub fn rows(cases: &[Value]) -> Vec<(&str, &str)> {
    let mut rows = Vec::new();
    for case in cases {
        let row = (
            case["contestant"].as_str().unwrap_or_default(),
            case["kind"].as_str().unwrap_or_default(),
        );
        if !rows.contains(&row) {
            rows.push(row);
        }
    }
    rows
}

/// Rates, in their order.
pub fn rates(cases: &[Value]) -> Vec<Value> {
    let mut rates = Vec::new();
    for case in cases {
        if !rates.contains(&case["rate"]) {
            rates.push(case["rate"].clone());
        }
    }
    rates
}

/// As tables have it.
pub fn rate_name(rate: &Value) -> String {
    rate.as_u64()
        .map_or_else(|| "fastest".to_owned(), |rate| format!("{},000/s", rate / 1000))
}

/// What came of a case.
pub fn find<'a>(cases: &'a [Value], contestant: &str, kind: &str, rate: &Value) -> Option<&'a Value> {
    cases
        .iter()
        .find(|case| case["contestant"] == contestant && case["kind"] == kind && case["rate"] == *rate)
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::{cost, flood, open};
    use serde_json::json;

    #[test]
    fn a_share_of_nothing_is_said_so() {
        let case = |taken: Option<f64>| {
            json!({"contestant": "c", "kind": "k", "rate": 10_000, "taken_by_gate": taken,
                   "server_cpu_s_per_million": 0.5, "softirq_cpu_s_per_million": 1.5})
        };
        let table = |taken| cost(&json!({"cases": [case(taken)]}));
        assert!(table(None).contains("| c | k | - · 0.5 / 1.5 s |"));
        assert!(table(Some(0.0204)).contains("| c | k | 2.04 % · 0.5 / 1.5 s |"));
    }

    #[test]
    fn ratios_are_of_the_same_run() {
        let table = open(&json!({"letmein_12_ms": 4.0, "silent_ms": 1.0}));
        assert!(table.contains("| silent | 1.0 ms | 0.25 |"), "{table}");
    }

    #[test]
    fn a_rate_is_a_column() {
        let case = |rate, share| json!({"contestant": "c", "kind": "k", "rate": rate, "succeeded_percent": share, "median_ms": 1.5});
        let table = flood(&json!({"cases": [case(Some(10_000), 100), case(None, 50)]}));
        assert!(table.contains("10,000/s | fastest"), "{table}");
        assert!(
            table.contains("| c | k | 100 % · 1.5 / - ms | 50 % · 1.5 / - ms |"),
            "{table}"
        );
    }
}
