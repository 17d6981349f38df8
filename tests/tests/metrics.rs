//! Metrics: what is told, to whom, and that Prometheus and its tools understand it, the dashboard and the alerts.
//! Needs root.

#![expect(
    clippy::unwrap_used,
    reason = "what a test cannot do without, it must fail without"
)]

use letmein_tests::{
    document::blocks,
    gate::{Gate, KEY, configuration, program},
    lab::{Host, Lab},
};
use serde_json::Value;
use std::{
    collections::BTreeSet,
    fs::{self, Permissions},
    io::{Read, Write},
    net::{TcpStream, UdpSocket},
    os::unix::{
        fs::{MetadataExt as _, PermissionsExt as _},
        net::UnixStream,
    },
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};
use tempfile::TempDir;

const ADDRESS: &str = "127.0.0.1:9580";
const GET: &str = "GET /metrics HTTP/1.1\r\nHost: gate\r\n\r\n";
const GET_OPEN: &str = "GET /metrics HTTP/1.1\r\nAccept: application/openmetrics-text\r\n\r\n";

fn start(lab: &Lab, gate: &str, metrics: &str) -> (Gate, TempDir) {
    let folder = TempDir::new().unwrap();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    let operator = format!(
        "[operator]\nsocket = \"{}\"\nmetrics = {}\n",
        folder.path().join("socket").display(),
        metrics.replace("FOLDER", &folder.path().display().to_string())
    );
    let gate = Gate::start_with(&lab.server, &(configuration(gate, "", "1h") + &operator)).unwrap();
    (gate, folder)
}

/// Sends this and returns all that comes until the other end closes.
fn exchange(mut stream: impl Read + Write, request: &str) -> String {
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// Asks on the gate's host.
fn ask(host: &Host, request: &str) -> String {
    host.enter(|| exchange(TcpStream::connect(ADDRESS).unwrap(), request))
        .unwrap()
}

fn body(answer: &str) -> &str {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(
        head.contains(&format!("Content-Length: {}\r\n", body.len())),
        "{head}"
    );
    body
}

fn promtool() -> Command {
    Command::new(program("monitoring/prometheus/usr/bin/promtool").unwrap())
}

fn monitoring() -> PathBuf {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    top.join("dist/monitoring")
}

/// What `promtool` complains of; nothing if all is well.
fn complaints(text: &str) -> String {
    let mut check = promtool();
    check.args(["check", "metrics"]);
    let mut child = check
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    format!(
        "{}{}",
        String::from_utf8_lossy(&said),
        if output.status.success() { "" } else { "failed" }
    )
}

/// After traffic that is known to the packet.
fn counted(xdp: &str) {
    let lab = Lab::new().unwrap();
    let (gate, _folder) = start(&lab, &format!("xdp = \"{xdp}\""), &format!("{ADDRESS:?}"));
    let code = gate.letmein(&lab.client, "10.77.1.1", &KEY, &["knock", "gate", "ssh"]);
    assert_eq!(code.unwrap(), 0);
    let send = || {
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        for _ in 0..5 {
            socket.send_to(b"junk", "10.77.1.1:5800").unwrap();
        }
    };
    lab.client.enter(send).unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    let counted = "letmein_refused_packets_total{reason=\"length\"} 5\n";
    while !ask(&lab.server, GET).contains(counted) && Instant::now() < deadline {
        sleep(Duration::from_millis(50));
    }
    let plain = ask(&lab.server, GET);
    let open = ask(&lab.server, GET_OPEN);
    for (answer, kind) in [
        (&plain, "text/plain; version=0.0.4"),
        (&open, "application/openmetrics-text"),
    ] {
        assert!(answer.contains(&format!("Content-Type: {kind}")), "{answer}");
        for line in [
            counted,
            "letmein_genuine_packets_total 2\n",
            "letmein_refused_packets_total{reason=\"auth\"} 0\n",
            "letmein_leases 1\n",
            "letmein_leases_limit 65536\n",
        ] {
            assert!(body(answer).contains(line), "{line} in {answer}");
        }
        let hook = "letmein_interface_attached{interface=\"to-peer1\",hook=\"native\"} 1\n";
        assert_eq!(answer.contains(hook), xdp == "native", "{answer}");
    }
    assert!(body(&open).ends_with("# EOF\n"));
    assert_eq!(complaints(body(&plain)), "");
}

#[test]
fn with_xdp_they_count_and_promtool_has_no_complaint() {
    counted("native");
}

#[test]
fn without_xdp_they_count_and_promtool_has_no_complaint() {
    counted("off");
}

#[test]
fn promtool_would_complain() {
    let said = complaints("# TYPE letmein_things counter\nletmein_things 1\n");
    assert!(
        said.contains("counter metrics should have \"_total\" suffix"),
        "{said}"
    );
}

#[test]
fn the_socket_is_roots_and_the_groups() {
    let lab = Lab::new().unwrap();
    let (_gate, folder) = start(&lab, "", "\"FOLDER/metrics\"\nmetrics-group = \"operator\"");
    let path = folder.path().join("metrics");
    let of_socket = fs::metadata(&path).unwrap();
    assert_eq!(
        (of_socket.mode() & 0o7777, of_socket.uid(), of_socket.gid()),
        (0o660, 0, 37)
    );
    let answer = exchange(UnixStream::connect(&path).unwrap(), GET);
    assert!(body(&answer).contains("letmein_build_info"), "{answer}");
    // Whoever may ask here may do nothing else.
    let answer = exchange(
        UnixStream::connect(&path).unwrap(),
        "{\"command\":\"status\"}\n\r\n\r\n",
    );
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
}

#[test]
fn off_unless_asked_for() {
    let lab = Lab::new().unwrap();
    let _gate = Gate::start(&lab.server, "", "", "1h").unwrap();
    let listening = lab.server.run("ss", &["-Hlnt"]).unwrap();
    assert!(!listening.contains("127.0.0.1"), "{listening}");
}

#[test]
fn what_is_no_scrape_is_refused_and_the_slow_are_let_go() {
    let lab = Lab::new().unwrap();
    let (_gate, _folder) = start(&lab, "", &format!("{ADDRESS:?}"));
    for (request, code) in [
        ("GET / HTTP/1.1\r\n\r\n", "404"),
        ("POST /metrics HTTP/1.1\r\n\r\n", "400"),
        ("\r\n\r\n", "400"),
    ] {
        let answer = ask(&lab.server, request);
        assert!(answer.starts_with(&format!("HTTP/1.1 {code} ")), "{answer}");
    }
    let connect = || TcpStream::connect(ADDRESS).unwrap();
    let mut slow = lab.server.enter(connect).unwrap();
    slow.write_all(b"GET /met").unwrap();
    assert!(body(&ask(&lab.server, GET)).contains("letmein_leases 0"));
    slow.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
    assert_eq!(slow.read(&mut [0]).unwrap(), 0);
}

#[test]
fn promtool_takes_the_alerts() {
    let output = promtool()
        .args(["check", "rules"])
        .arg(monitoring().join("letmein.rules.yml"))
        .output()
        .unwrap();
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && said.contains("6 rules found"),
        "{said}"
    );
}

#[test]
fn prometheus_takes_what_the_document_has_it_ask() {
    let blocks = blocks().unwrap();
    let mut ours = blocks.iter().filter(|block| block.place == "prometheus");
    let block = ours.next().unwrap();
    assert!(block.text.contains(ADDRESS), "{}", block.text);
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("prometheus.yml");
    fs::write(&file, &block.text).unwrap();
    let output = promtool().args(["check", "config"]).arg(&file).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

/// The names of ours in a text.
fn names(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    let ours = words.filter(|word| word.starts_with("letmein_"));
    ours.map(ToOwned::to_owned).collect()
}

#[test]
fn dashboard_and_alerts_name_only_what_there_is() {
    let lab = Lab::new().unwrap();
    let (_gate, _folder) = start(&lab, "", &format!("{ADDRESS:?}"));
    let answer = ask(&lab.server, GET);
    let there = body(&answer).lines().filter(|line| !line.starts_with('#'));
    let there = names(&there.collect::<Vec<_>>().join("\n"));
    let dashboard = fs::read_to_string(monitoring().join("letmein.dashboard.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&dashboard).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let queries: Vec<_> = panels
        .iter()
        .flat_map(|panel| panel["targets"].as_array().unwrap())
        .map(|target| target["expr"].as_str().unwrap())
        .collect();
    let queried = names(&queries.join("\n"));
    assert!(
        queried.len() >= 6 && queried.is_subset(&there),
        "{queried:?} of {there:?}"
    );
    let alerts = fs::read_to_string(monitoring().join("letmein.rules.yml")).unwrap();
    let alerts: Vec<_> = alerts.lines().filter(|line| line.contains("expr:")).collect();
    let alerts = alerts.join("\n");
    assert!(names(&alerts).is_subset(&there), "{alerts}");
    // Reasons as well.
    let reasons = alerts
        .split("reason=\"")
        .skip(1)
        .filter_map(|rest| rest.split('"').next());
    for reason in reasons {
        assert!(answer.contains(&format!("reason=\"{reason}\"")), "{reason}");
    }
}
