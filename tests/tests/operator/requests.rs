//! What else may come in through the socket, and does no harm.

use super::{alice, gate, json};
use letmein_tests::{gate::Gate, lab::Lab};
use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    os::unix::net::UnixStream,
    thread::sleep,
    time::Duration,
};

const STATUS: &[u8] = b"{\"command\":\"status\"}\n";
/// Longer than letmeind waits for anybody.
const PATIENCE: Duration = Duration::from_mins(1);

fn connect(gate: &Gate) -> UnixStream {
    let stream = UnixStream::connect(gate.socket()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// What is answered before the connection is closed.
fn says(gate: &Gate, request: &[u8]) -> String {
    let mut stream = connect(gate);
    // letmeind may have closed before it has got everything.
    let _sent = stream.write_all(request);
    let mut answer = Vec::new();
    let _reset = stream.read_to_end(&mut answer);
    String::from_utf8(answer).unwrap()
}

#[test]
fn what_is_no_request_is_refused() {
    let lab = Lab::new().unwrap();
    let gate = gate(&lab, "", "");
    for request in [
        &b"\n"[..],
        b"status\n",
        b"{}\n",
        b"[1,2]\n",
        b"{\"command\":\"shutdown\"}\n",
        b"{\"command\":\"status\",\"more\":1}\n",
        b"{\"command\":\"revoke\"}\n",
        b"{\"command\":\"open\",\"resource\":\"ssh\",\"address\":\"nowhere\",\"seconds\":1}\n",
        b"{\"command\":\"open\",\"resource\":\"ssh\",\"address\":\"10.77.1.2\",\"seconds\":-1}\n",
        b"\xFF\xFE\n",
    ] {
        let answer = says(&gate, request);
        let text = String::from_utf8_lossy(request);
        assert!(
            answer.starts_with("{\"answer\":\"refused\",\"error\":\"this is no request"),
            "{text}: {answer}"
        );
    }
    assert_eq!(json(&gate, "leases")["leases"].as_array().unwrap().len(), 0);
}

#[test]
fn a_request_that_is_too_long_is_refused_and_not_read_to_its_end() {
    let lab = Lab::new().unwrap();
    let gate = gate(&lab, "", "");
    let long = says(&gate, &vec![b' '; 1 << 20]);
    assert!(long.contains("a line of at most 1024 bytes"), "{long}");
    let mut padded = vec![b' '; 1023 - STATUS.len()];
    padded.extend_from_slice(STATUS);
    let mut stream = connect(&gate);
    stream.write_all(&padded).unwrap();
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).unwrap();
    assert!(line.starts_with("{\"answer\":\"status\""), "{line}");
}

#[test]
fn requests_may_follow_each_other() {
    let lab = Lab::new().unwrap();
    let gate = gate(&lab, "", "");
    let mut stream = connect(&gate);
    for request in [STATUS, b"{\"command\":\"leases\"}\n", STATUS] {
        stream.write_all(request).unwrap();
    }
    let lines = BufReader::new(stream).lines().take(3).map(Result::unwrap);
    let kinds: Vec<_> = lines.map(|line| line[11..17].to_owned()).collect();
    assert_eq!(kinds, ["status", "leases", "status"]);
}

/// Who says nothing, or reads nothing, is let go, and nobody waits for them.
#[test]
fn the_slow_keep_nobody_waiting_and_are_let_go() {
    let lab = Lab::new().unwrap();
    let gate = gate(&lab, "", "");
    let mut silent = connect(&gate);
    let mut half = connect(&gate);
    half.write_all(b"{\"command\":").unwrap();
    // Asks and asks, and reads no answer, until there is no room for more.
    let mut deaf = connect(&gate);
    deaf.set_nonblocking(true).unwrap();
    while deaf.write(STATUS).is_ok() {}
    alice(&gate, &lab, "knock");
    assert_eq!(json(&gate, "status")["leases"]["now"], 1);
    assert_eq!(silent.read(&mut [0]).unwrap(), 0);
    assert_eq!(half.read(&mut [0]).unwrap(), 0);
}

#[test]
fn many_connections_are_bounded_and_the_newest_is_served() {
    let lab = Lab::new().unwrap();
    let gate = gate(&lab, "", "");
    let descriptors = || {
        std::fs::read_dir(format!("/proc/{}/fd", gate.pid()))
            .unwrap()
            .count()
    };
    let before = descriptors();
    let idle: Vec<_> = (0..100).map(|_| connect(&gate)).collect();
    assert_eq!(json(&gate, "status")["leases"]["now"], 0);
    sleep(Duration::from_millis(200));
    assert!(descriptors() <= before + 9, "{before} and then {}", descriptors());
    drop(idle);
}
