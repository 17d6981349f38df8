//! `letmeind status`: how the gate is.

use super::{
    Desk,
    client::{Client, unexpected},
    format::{count, rate, time},
    protocol::{Answer, Count, FORMAT, Interface, Leases, Refusal, Request, Status},
};
use crate::{elsewhere, netlink::Links, stacking};
use letmein_common::reason::Reason;
use std::{fmt::Write as _, path::Path, time::Duration};
use tokio::time::Instant;

pub(super) async fn answer(desk: &Desk) -> anyhow::Result<Answer> {
    status(desk).await.map(Answer::Status)
}

/// How it is now.
pub(super) async fn status(desk: &Desk) -> anyhow::Result<Status> {
    let counters = desk.probe.counters().await?;
    let rates = desk.history.borrow().rates(Instant::now(), &counters);
    let of = |reason: &Reason| Count {
        total: counters.of(*reason),
        per_second: rates.refused(*reason),
    };
    let reasons: Vec<_> = Reason::ALL
        .iter()
        .map(|reason| Refusal {
            reason: reason.name().to_owned(),
            count: of(reason),
        })
        .collect();
    let config = desk.state.config();
    let leases = desk.state.leases.borrow();
    Ok(Status {
        format: FORMAT,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        uptime_seconds: desk.started.elapsed().as_secs(),
        port: config.gate.port,
        checked_by: if desk.probe.programs()?.is_some() {
            "xdp"
        } else {
            "userspace"
        }
        .to_owned(),
        interfaces: interfaces(desk)?,
        unheard: elsewhere::unheard(&config)?,
        leases: Leases {
            now: leases.count(),
            limit: leases.limit(),
        },
        genuine: Count {
            total: counters.genuine,
            per_second: rates.genuine(),
        },
        refused: Count {
            total: reasons.iter().map(|reason| reason.count.total).sum(),
            per_second: reasons.iter().map(|reason| reason.count.per_second).sum(),
        },
        reasons,
    })
}

/// As the kernel has it at this moment, whatever was attached once.
fn interfaces(desk: &Desk) -> anyhow::Result<Vec<Interface>> {
    let Some(programs) = desk.probe.programs()? else {
        return Ok(Vec::new());
    };
    let mut links = Links::open()?;
    let config = desk.state.config();
    let names = &config.gate.interfaces;
    let mut interfaces = Vec::with_capacity(names.len());
    let covered = if names.len() > 1 {
        stacking::covered(&links.all()?, names)
    } else {
        Vec::new()
    };
    for name in names {
        let hook = links.named(name)?.and_then(|link| {
            let hook = if link.native { "native" } else { "generic" };
            let ours = link.programs.iter().any(|id| programs.contains(id));
            ours.then_some(hook)
        });
        interfaces.push(Interface {
            name: name.clone(),
            hook: hook.map(ToOwned::to_owned),
            covered_by: covered
                .iter()
                .find(|pair| pair.name == *name)
                .map(|pair| pair.by.clone()),
        });
    }
    Ok(interfaces)
}

/// Asks, and prints.
pub fn run(socket: &Path, json: bool) -> anyhow::Result<()> {
    let status = match Client::connect(socket)?.ask(&Request::Status {})? {
        Answer::Status(status) => status,
        other => return unexpected(&other),
    };
    if json {
        println!("{}", serde_json::to_string(&status)?);
    } else {
        print!("{}", text(&status));
    }
    Ok(())
}

/// The same for people.
fn text(status: &Status) -> String {
    let mut text = String::new();
    // Writing to a string does not fail.
    let _infallible = write(&mut text, status);
    text
}

fn write(text: &mut String, status: &Status) -> std::fmt::Result {
    let up = time(Duration::from_secs(status.uptime_seconds));
    writeln!(text, "letmeind {}, up {up}, port {}", status.version, status.port)?;
    writeln!(text)?;
    if status.interfaces.is_empty() {
        writeln!(text, "  knocks are checked in userspace (xdp = \"off\")")?;
    }
    for interface in &status.interfaces {
        let hook = match (&interface.hook, &interface.covered_by) {
            (Some(hook), _) => hook.clone(),
            (None, Some(by)) => format!("its packets are judged on {by}"),
            (None, None) => "WITHOUT the XDP program; the log says why".to_owned(),
        };
        writeln!(text, "  {:<15}  {hook}", interface.name)?;
    }
    for interface in &status.unheard {
        writeln!(
            text,
            "  {interface:<15}  no XDP program: silent knocks are not heard"
        )?;
    }
    let leases = status.leases;
    writeln!(
        text,
        "  {:<15}  {} of {}",
        "leases",
        count_of(leases.now),
        count(leases.limit.into())
    )?;
    writeln!(text)?;
    writeln!(text, "  {:<15} {:>15} {:>12}", "packets", "total", "per second")?;
    row(text, "genuine", status.genuine)?;
    row(text, "refused", status.refused)?;
    for reason in status.reasons.iter().filter(|reason| reason.count.total > 0) {
        row(text, &format!("  {}", reason.reason), reason.count)?;
    }
    Ok(())
}

fn row(text: &mut String, name: &str, counted: Count) -> std::fmt::Result {
    let (total, rate) = (count(counted.total), rate(counted.per_second));
    writeln!(text, "  {name:<15} {total:>15} {rate:>12}")
}

fn count_of(number: usize) -> String {
    count(u64::try_from(number).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_see_what_there_is_and_no_rows_of_zeros() {
        let status = Status {
            version: "1.2.3".to_owned(),
            uptime_seconds: 3700,
            port: 5800,
            interfaces: vec![
                Interface {
                    name: "eth0".to_owned(),
                    hook: Some("native".to_owned()),
                    covered_by: None,
                },
                Interface {
                    name: "wlan0".to_owned(),
                    hook: None,
                    covered_by: None,
                },
                Interface {
                    name: "eth0.7".to_owned(),
                    hook: None,
                    covered_by: Some("eth0".to_owned()),
                },
            ],
            unheard: vec!["docker0".to_owned()],
            leases: Leases {
                now: 2,
                limit: 65_536,
            },
            genuine: Count {
                total: 12,
                per_second: 0.0,
            },
            refused: Count {
                total: 12_345,
                per_second: 41.5,
            },
            reasons: vec![
                Refusal {
                    reason: "length".to_owned(),
                    count: Count::default(),
                },
                Refusal {
                    reason: "shield".to_owned(),
                    count: Count {
                        total: 12_345,
                        per_second: 41.5,
                    },
                },
            ],
            ..Status::default()
        };
        assert_eq!(
            text(&status),
            "letmeind 1.2.3, up 1h 1m, port 5800\n\
             \n\
             \x20 eth0             native\n\
             \x20 wlan0            WITHOUT the XDP program; the log says why\n\
             \x20 eth0.7           its packets are judged on eth0\n\
             \x20 docker0          no XDP program: silent knocks are not heard\n\
             \x20 leases           2 of 65 536\n\
             \n\
             \x20 packets                   total   per second\n\
             \x20 genuine                      12            0\n\
             \x20 refused                  12 345         41.5\n\
             \x20   shield                 12 345         41.5\n"
        );
    }
}
