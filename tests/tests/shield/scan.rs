//! What a scan of all TCP ports finds, with and without a gate.

use crate::scene::{Scene, V4, shielded, syns};
use letmein_tests::{
    gate::{Gate, configuration},
    lab::Host,
};
use std::collections::BTreeMap;

/// Ports of services that the gate has nothing to do with.
const SERVICES: [u16; 3] = [80, 443, 65_535];
/// Protected: with a service, without one, and beyond the ports that services are usually at.
const PROTECTED: [u16; 4] = [22, 23, 8443, 40_000];
const PORTS: usize = 65_535;

/// Every TCP port that is not closed, with what nmap calls it; and how many were found closed.
fn scan(host: &Host, target: &str) -> (BTreeMap<u16, String>, usize) {
    let arguments = [
        "-n",
        "-Pn",
        "-sS",
        "-p",
        "1-65535",
        "-v",
        "--min-rtt-timeout",
        "300ms",
        "--max-retries",
        "3",
        "-oG",
        "-",
        target,
    ];
    let output = host.run("nmap", &arguments).unwrap();
    let (_, ports) = output.split_once("Ports: ").unwrap();
    let mut fields = ports.split('\t');
    let listed = fields.next().unwrap().split(", ").map(|port| {
        let fields: Vec<_> = port.split('/').collect();
        (fields[0].parse().unwrap(), fields[1].to_owned())
    });
    let found = listed.collect();
    let ignored = fields.find_map(|field| field.strip_prefix("Ignored State: closed ("));
    let closed = ignored.unwrap().split(')').next().unwrap().parse().unwrap();
    (found, closed)
}

fn named(ports: &[u16], state: &str) -> BTreeMap<u16, String> {
    ports.iter().map(|port| (*port, state.to_owned())).collect()
}

/// Nothing of the protected ports, and of all others exactly what there was before.
#[test]
fn all_ports_but_the_protected_ones_are_as_they_were() {
    let scene = Scene::new();
    let _services = SERVICES.map(|port| scene.lab.server.listen(port).unwrap());
    let _hidden = scene.lab.server.listen(8443).unwrap();
    let other = &scene.lab.other;
    let open = [&SERVICES[..], &[22, 8443]].concat();
    assert_eq!(
        scan(other, V4.server_of_other),
        (named(&open, "open"), PORTS - open.len())
    );
    let configuration = configuration("transports = [\"udp\"]", "", "1h")
        .replace("[\"tcp/23\"]", "[\"tcp/23\", \"tcp/8443\", \"tcp/40000\"]");
    let mut gate = Gate::start_with(&scene.lab.server, &configuration).unwrap();
    let mut tap = scene.watch_other();
    let mut expected = named(&SERVICES, "open");
    expected.extend(named(&PROTECTED, "filtered"));
    let closed = PORTS - expected.len();
    assert_eq!(scan(other, V4.server_of_other), (expected, closed));
    assert_eq!(syns(&mut tap), 0);
    assert!(shielded(&mut gate) >= PROTECTED.len() as u64);
}
