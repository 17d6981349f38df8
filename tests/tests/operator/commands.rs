//! `status`, `leases`, `revoke` and `open`.

use super::{SERVER, alice, complaint, gate, json, prints};
use letmein_tests::{
    gate::{Gate, configuration},
    lab::{Lab, Outcome},
};
use serde_json::{Value, json};
use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::{SocketAddr, TcpStream, UdpSocket},
    thread::sleep,
    time::{Duration, Instant},
};

fn ssh() -> SocketAddr {
    format!("{SERVER}:22").parse().unwrap()
}

fn reason<'v>(status: &'v Value, name: &str) -> &'v Value {
    let reasons = status["reasons"].as_array().unwrap();
    reasons.iter().find(|reason| reason["reason"] == name).unwrap()
}

/// Datagrams of no knock's length.
fn junk(lab: &Lab, count: usize) {
    let send = || {
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        for _ in 0..count {
            socket.send_to(b"junk", (SERVER, 5800)).unwrap();
        }
    };
    lab.client.enter(send).unwrap();
}

/// The status after traffic that is known to the packet.
fn status_counts(xdp: &str, checked_by: &str, hooks: &Value) {
    let lab = Lab::new().unwrap();
    let gate = gate(&lab, &format!("xdp = \"{xdp}\""), "");
    alice(&gate, &lab, "knock");
    junk(&lab, 50);
    // With xdp = "off", the datagrams wait in a socket; and right after the start there are no rates.
    let deadline = Instant::now() + Duration::from_secs(10);
    let mut status = json(&gate, "status");
    let counted = |status: &Value| {
        let length = reason(status, "length");
        length["total"] == 50 && length["per_second"].as_f64() > Some(0.0)
    };
    while !counted(&status) && Instant::now() < deadline {
        sleep(Duration::from_millis(50));
        status = json(&gate, "status");
    }
    assert_eq!(reason(&status, "length")["total"], 50, "{status}");
    assert!(
        reason(&status, "length")["per_second"].as_f64().unwrap() > 0.0,
        "{status}"
    );
    assert_eq!(reason(&status, "auth")["total"], 0);
    assert_eq!(status["genuine"]["total"], 2, "{status}");
    assert_eq!(status["refused"]["total"], 50, "{status}");
    assert_eq!(status["leases"], json!({ "now": 1, "limit": 65_536 }));
    assert_eq!(status["checked_by"], checked_by);
    assert_eq!(status["interfaces"], *hooks);
    assert_eq!(status["format"], 1);
    let text = prints(&gate, "status", &[]);
    assert!(text.contains("1 of 65 536") && text.contains("length"), "{text}");
    assert!(!text.contains("auth"), "{text}");
    gate.stop().unwrap();
}

fn hooks(hook: &str) -> Value {
    json!([{ "name": "to-peer1", "hook": hook }, { "name": "to-peer2", "hook": hook }])
}

#[test]
fn status_with_native_xdp() {
    status_counts("native", "xdp", &hooks("native"));
}

#[test]
fn status_with_generic_xdp() {
    status_counts("generic", "xdp", &hooks("generic"));
}

#[test]
fn status_without_xdp() {
    status_counts("off", "userspace", &json!([]));
}

#[test]
fn an_interface_that_has_lost_the_program_is_told() {
    let lab = Lab::new().unwrap();
    let gate = gate(&lab, "", "");
    lab.server.run("ip", &["link", "del", "to-peer2"]).unwrap();
    let status = json(&gate, "status");
    let expected = json!([{ "name": "to-peer1", "hook": "native" }, { "name": "to-peer2", "hook": null }]);
    assert_eq!(status["interfaces"], expected);
    assert!(prints(&gate, "status", &[]).contains("WITHOUT the XDP program"));
}

#[test]
fn a_lease_says_who_what_where_and_how_long() {
    let lab = Lab::new().unwrap();
    let gate = gate(&lab, "", "");
    assert_eq!(prints(&gate, "leases", &[]), "no leases\n");
    assert_eq!(json(&gate, "leases"), json!({ "format": 1, "leases": [] }));
    alice(&gate, &lab, "knock");
    let leases = json(&gate, "leases");
    let lease = &leases["leases"][0];
    assert_eq!(leases["leases"].as_array().unwrap().len(), 1, "{leases}");
    assert_eq!(lease["address"], "10.77.1.2");
    assert_eq!(
        (&lease["resource"], &lease["opens"]),
        (&json!("ssh"), &json!("tcp/22"))
    );
    assert_eq!(
        (&lease["user"], &lease["operator"]),
        (&json!("alice"), &Value::Null)
    );
    let left = lease["seconds_left"].as_u64().unwrap();
    assert!((3500..=3600).contains(&left), "{left}");
    let text = prints(&gate, "leases", &[]);
    assert!(text.contains("alice") && text.contains("59m"), "{text}");
}

#[test]
fn who_opened_a_lease_is_known_after_a_restart() {
    let lab = Lab::new().unwrap();
    let before = gate(&lab, "", "");
    alice(&before, &lab, "knock");
    prints(&before, "open", &["admin", "10.77.1.3"]);
    before.stop().unwrap();
    let gate = gate(&lab, "", "");
    let leases = json(&gate, "leases");
    let by: Vec<_> = leases["leases"]
        .as_array()
        .unwrap()
        .iter()
        .map(|lease| {
            (
                lease["address"].clone(),
                lease["user"].clone(),
                lease["operator"].clone(),
            )
        })
        .collect();
    assert!(
        by.contains(&(json!("10.77.1.2"), json!("alice"), Value::Null)),
        "{leases}"
    );
    assert!(
        by.contains(&(json!("10.77.1.3"), Value::Null, json!(0))),
        "{leases}"
    );
    assert_eq!(prints(&gate, "revoke", &["alice"]), "1 lease revoked\n");
}

#[test]
fn whose_a_lease_is_that_somebody_added_is_said_to_be_unknown() {
    let lab = Lab::new().unwrap();
    let gate = gate(&lab, "", "");
    let add = "add element inet letmein leases4 { 10.77.1.2 . tcp . 22 timeout 1h }";
    lab.server.run("nft", &[add]).unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    while json(&gate, "status")["leases"]["now"] == 0 && Instant::now() < deadline {
        sleep(Duration::from_millis(50));
    }
    assert!(prints(&gate, "leases", &[]).contains("10.77.1.2"));
    assert!(prints(&gate, "leases", &[]).contains("unknown"));
    // So it is not revoked as alice's, and the operator is told.
    let said = prints(&gate, "revoke", &["alice"]);
    assert!(
        said.starts_with("no leases revoked, 1 lease of unknown users left alone"),
        "{said}"
    );
    assert_eq!(prints(&gate, "revoke", &["10.77.1.2"]), "1 lease revoked\n");
}

/// More than a page of them.
#[test]
fn all_leases_are_told_and_all_are_revoked() {
    let lab = Lab::new().unwrap();
    let mut gate = gate(&lab, "", "");
    let sets = (0..600)
        .map(|number| format!("10.9.{}.{} . tcp . 22 timeout 1h", number / 256, number % 256))
        .collect::<Vec<_>>();
    let add = format!("add element inet letmein leases4 {{ {} }}", sets.join(", "));
    lab.server.run("nft", &[&add]).unwrap();
    alice(&gate, &lab, "knock");
    let deadline = Instant::now() + Duration::from_secs(10);
    while json(&gate, "leases")["leases"].as_array().unwrap().len() < 601 && Instant::now() < deadline {
        sleep(Duration::from_millis(50));
    }
    let leases = json(&gate, "leases");
    let leases = leases["leases"].as_array().unwrap();
    let addresses: std::collections::HashSet<_> =
        leases.iter().map(|lease| lease["address"].to_string()).collect();
    assert_eq!((leases.len(), addresses.len()), (601, 601));
    assert_eq!(
        prints(&gate, "revoke", &["all"]),
        "601 leases revoked (600 of unknown, 1 of alice)\n"
    );
    gate.wait_for("operator (uid 0) revoked 601 leases of all")
        .unwrap();
    assert_eq!(prints(&gate, "leases", &[]), "no leases\n");
    let left = lab
        .server
        .run("nft", &["list", "set", "inet", "letmein", "leases4"])
        .unwrap();
    assert!(!left.contains("elements"), "{left}");
}

#[test]
fn a_revocation_closes_for_that_one_alone() {
    let lab = Lab::new().unwrap();
    let _listener = lab.server.listen(22).unwrap();
    let mut gate = gate(&lab, "", "");
    alice(&gate, &lab, "knock");
    let code = gate.letmein(
        &lab.other,
        "10.77.2.1",
        &letmein_tests::gate::KEY,
        &["knock", "gate", "ssh"],
    );
    assert_eq!(code.unwrap(), 0);
    assert_eq!(lab.client.connect(ssh()).unwrap(), Outcome::Open);
    assert_eq!(prints(&gate, "revoke", &["10.77.1.2"]), "1 lease revoked\n");
    gate.wait_for("operator (uid 0) revoked 1 leases of 10.77.1.2")
        .unwrap();
    assert_eq!(lab.client.connect(ssh()).unwrap(), Outcome::Silent);
    let others = "10.77.2.1:22".parse().unwrap();
    assert_eq!(lab.other.connect(others).unwrap(), Outcome::Open);
    assert_eq!(prints(&gate, "revoke", &["alice"]), "1 lease revoked\n");
    assert_eq!(lab.other.connect(others).unwrap(), Outcome::Silent);
    let nobody = complaint(&gate.operate("revoke", &["mallory"]).unwrap());
    assert!(
        nobody.contains("\"mallory\" is no address and no user"),
        "{nobody}"
    );
}

#[test]
fn a_revocation_cuts_where_the_resource_says_so() {
    let lab = Lab::new().unwrap();
    let listener = lab.server.listen(22).unwrap();
    let text =
        configuration("", "", "1h").replace("ports = [\"tcp/22\"]", "ports = [\"tcp/22\"]\ncut = true");
    let gate = Gate::start_with(&lab.server, &text).unwrap();
    alice(&gate, &lab, "knock");
    let mut stream = lab.client.enter(|| TcpStream::connect(ssh()).unwrap()).unwrap();
    let (mut served, _) = listener.accept().unwrap();
    stream.write_all(b"?").unwrap();
    served.read_exact(&mut [0]).unwrap();
    assert_eq!(
        prints(&gate, "revoke", &["all"]),
        "1 lease revoked, 1 connection ended\n"
    );
    stream.write_all(b"?").unwrap();
    served.set_read_timeout(Some(Duration::from_millis(700))).unwrap();
    assert_eq!(served.read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
}

#[test]
fn opening_by_hand_opens_for_that_long_and_says_who_did_it() {
    let lab = Lab::new().unwrap();
    let _listener = lab.server.listen(22).unwrap();
    let mut gate = gate(&lab, "", "max-lease = \"2h\"");
    let said = prints(&gate, "open", &["ssh", "10.77.1.2", "--for", "4s"]);
    assert_eq!(said, "ssh (tcp/22) is open for 10.77.1.2, for 4s\n");
    gate.wait_for("operator (uid 0) opened ssh (tcp/22) for 10.77.1.2")
        .unwrap();
    assert_eq!(lab.client.connect(ssh()).unwrap(), Outcome::Open);
    assert_eq!(
        lab.other.connect("10.77.2.1:22".parse().unwrap()).unwrap(),
        Outcome::Silent
    );
    assert_eq!(json(&gate, "leases")["leases"][0]["operator"], 0);
    sleep(Duration::from_secs(5));
    assert_eq!(lab.client.connect(ssh()).unwrap(), Outcome::Silent);
    assert_eq!(
        prints(&gate, "open", &["1", "10.77.1.2"]),
        "1 (tcp/22) is open for 10.77.1.2, for 1h 0m\n"
    );
    for (arguments, part) in [
        (
            ["mail", "10.77.1.2", "--for", "1m"],
            "there is no resource \"mail\"; there is: admin, ssh",
        ),
        (
            ["ssh", "10.77.1.2", "--for", "3h"],
            "at most 2h 0m (firewall.max-lease)",
        ),
        (["ssh", "0.0.0.0", "--for", "1m"], "0.0.0.0 is nobody's address"),
    ] {
        let error = complaint(&gate.operate("open", &arguments).unwrap());
        assert!(error.contains(part), "{error}");
    }
}
