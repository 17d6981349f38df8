//! Metrics for Prometheus: the text of `GET /metrics`.
//!
//! In the form that is asked for: `OpenMetrics` 1.0, or Prometheus's own text format 0.0.4. They differ in the names of
//! counters in comments, and in the last line.

use super::protocol::Status;
use std::fmt::Write as _;

/// Which text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// <https://prometheus.io/docs/specs/om/open_metrics_spec/>
    OpenMetrics,
    /// <https://prometheus.io/docs/instrumenting/exposition_formats/>
    Prometheus,
}

impl Form {
    /// The value of `Content-Type`.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// All metrics. `started` is in seconds of the wall clock.
#[must_use]
pub fn text(status: &Status, started: f64, form: Form) -> String {
    let mut page = Page {
        text: String::new(),
        form,
    };
    page.family("letmein_build_info", "gauge", "Always 1; the version is a label.");
    page.sample("letmein_build_info", &[("version", &status.version)], 1.0);
    page.family(
        "letmein_start_time_seconds",
        "gauge",
        "When letmeind began to serve, in seconds since 1970.",
    );
    page.sample("letmein_start_time_seconds", &[], started);
    page.family(
        "letmein_genuine_packets",
        "counter",
        "Packets for the control port that proved a key.",
    );
    page.sample("letmein_genuine_packets_total", &[], number(status.genuine.total));
    page.family(
        "letmein_refused_packets",
        "counter",
        "Packets that were refused, by reason.",
    );
    for refusal in &status.reasons {
        page.sample(
            "letmein_refused_packets_total",
            &[("reason", &refusal.reason)],
            number(refusal.count.total),
        );
    }
    page.family("letmein_leases", "gauge", "Leases that live.");
    page.sample("letmein_leases", &[], number(status.leases.now as u64));
    page.family(
        "letmein_leases_limit",
        "gauge",
        "How many may live: firewall.max-leases.",
    );
    page.sample("letmein_leases_limit", &[], f64::from(status.leases.limit));
    page.interfaces(status);
    if form == Form::OpenMetrics {
        page.text.push_str("# EOF\n");
    }
    page.text
}

#[expect(
    clippy::cast_precision_loss,
    reason = "samples are such numbers, and exact up to 2^53"
)]
const fn number(count: u64) -> f64 {
    count as f64
}

struct Page {
    text: String,
    form: Form,
}

impl Page {
    fn interfaces(&mut self, status: &Status) {
        if status.interfaces.is_empty() {
            return;
        }
        let about = "Whether the XDP program is attached to a configured interface, by hook.";
        self.family("letmein_interface_attached", "gauge", about);
        for interface in &status.interfaces {
            for hook in ["native", "generic"] {
                let attached = interface.hook.as_deref() == Some(hook);
                let labels = [("interface", interface.name.as_str()), ("hook", hook)];
                self.sample(
                    "letmein_interface_attached",
                    &labels,
                    f64::from(u8::from(attached)),
                );
            }
        }
    }

    fn family(&mut self, name: &str, kind: &str, about: &str) {
        let suffix = match (kind, self.form) {
            ("counter", Form::Prometheus) => "_total",
            _ => "",
        };
        // Writing to a string does not fail.
        let _infallible = writeln!(
            self.text,
            "# HELP {name}{suffix} {about}\n# TYPE {name}{suffix} {kind}"
        );
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        let labels: Vec<_> = labels
            .iter()
            .map(|(label, value)| format!("{label}=\"{}\"", escaped(value)))
            .collect();
        let labels = if labels.is_empty() {
            String::new()
        } else {
            format!("{{{}}}", labels.join(","))
        };
        let _infallible = writeln!(self.text, "{name}{labels} {value}");
    }
}

/// A label's value: an interface may be called nearly anything.
fn escaped(value: &str) -> String {
    value
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operator::protocol::{Count, Interface, Leases, Refusal};

    fn status() -> Status {
        Status {
            version: "1.2.3".to_owned(),
            interfaces: vec![Interface {
                name: "we\"ird\\".to_owned(),
                hook: Some("generic".to_owned()),
                covered_by: None,
            }],
            leases: Leases { now: 3, limit: 10 },
            genuine: Count {
                total: 7,
                per_second: 0.0,
            },
            reasons: vec![Refusal {
                reason: "auth".to_owned(),
                count: Count {
                    total: 1_000_000_000_000,
                    per_second: 1.0,
                },
            }],
            ..Status::default()
        }
    }

    #[test]
    fn each_form_names_counters_its_own_way() {
        let open = text(&status(), 1.5, Form::OpenMetrics);
        let prometheus = text(&status(), 1.5, Form::Prometheus);
        assert!(open.contains("# TYPE letmein_refused_packets counter\n") && open.ends_with("# EOF\n"));
        assert!(prometheus.contains("# TYPE letmein_refused_packets_total counter\n"));
        for text in [open, prometheus] {
            for line in [
                "letmein_build_info{version=\"1.2.3\"} 1\n",
                "letmein_start_time_seconds 1.5\n",
                "letmein_genuine_packets_total 7\n",
                "letmein_refused_packets_total{reason=\"auth\"} 1000000000000\n",
                "letmein_leases 3\n",
                "letmein_leases_limit 10\n",
                "letmein_interface_attached{interface=\"we\\\"ird\\\\\",hook=\"generic\"} 1\n",
                "letmein_interface_attached{interface=\"we\\\"ird\\\\\",hook=\"native\"} 0\n",
            ] {
                assert!(text.contains(line), "{line} in {text}");
            }
        }
    }
}
