//! `log-format = "json"`.

use super::run::everything;
use serde_json::{Value, json};

/// The only event of this kind, without what differs from run to run.
fn event(log: &[Value], name: &str) -> Value {
    let mut found = log.iter().filter(|line| line["event"] == name).cloned();
    let mut event = found.next().unwrap();
    assert!(found.next().is_none(), "{name}");
    for varying in ["time", "message", "event", "level"] {
        event.as_object_mut().unwrap().remove(varying);
    }
    event
}

#[test]
fn every_line_of_a_run_is_an_object_with_the_same_fields() {
    let text = everything("json", &[]);
    let log: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    for line in &log {
        let time = line["time"].as_str().unwrap();
        assert!(
            time.starts_with("20")
                && time.len() == "2026-11-24T17:38:55.630697Z".len()
                && time.ends_with('Z'),
            "{line}"
        );
        assert!(["info", "warn", "error"].contains(&line["level"].as_str().unwrap()));
        assert!(!line["message"].as_str().unwrap().is_empty(), "{line}");
    }
    // From the warden.
    let opened: Vec<_> = log.iter().filter(|line| line["event"] == "opened").collect();
    let message = opened[0]["message"].as_str().unwrap();
    assert!(message.starts_with("alice opened ssh (tcp/22) for 10.77.1.2 until "));
    let mut by_hand = opened[1].clone();
    for varying in ["time", "message"] {
        by_hand.as_object_mut().unwrap().remove(varying);
    }
    assert_eq!(
        (
            &opened[0]["user"],
            &opened[0]["resource"],
            &opened[0]["address"],
            &opened[0]["lease_seconds"]
        ),
        (&json!("alice"), &json!("ssh"), &json!("10.77.1.2"), &json!(2))
    );
    assert_eq!(
        by_hand,
        json!({ "event": "opened", "level": "info", "operator": 0, "resource": "admin", "ports": "tcp/23",
                "address": "10.77.1.9", "lease_seconds": 3600 })
    );
    assert_eq!(
        event(&log, "revoked"),
        json!({ "operator": 0, "whose": "10.77.1.9", "leases": 1, "kept": 0, "connections": 0 })
    );
    assert_eq!(event(&log, "reloaded"), json!({ "users": 1, "resources": 2 }));
    let installed = log.iter().find(|line| line["event"] == "installed").unwrap();
    assert_eq!(installed["table"], "letmein");
    // Two problems, each on a line of its own, in one message.
    let refused = log.iter().find(|line| line["event"] == "reload-refused").unwrap();
    assert_eq!(refused["level"], "error");
    assert!(refused["message"].as_str().unwrap().contains('\n'), "{refused}");
    let counted = event(&log, "counters");
    assert_eq!((&counted["genuine"], &counted["refused"]), (&json!(2), &json!(1)));
    assert_eq!(event(&log, "stopping"), json!({}));
    for interface in ["to-peer1", "to-peer2"] {
        let is_it = |line: &&Value| line["event"] == "attached" && line["interface"] == interface;
        assert_eq!(log.iter().find(is_it).unwrap()["hook"], "native");
    }
    // From the gatekeeper.
    assert_eq!(
        event(&log, "refused"),
        json!({ "user": "alice", "resource": "00000002", "address": "10.77.1.2" })
    );
}
