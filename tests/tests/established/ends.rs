//! However a lease ends, and what `cut` leaves of the connections that it let in.

use crate::{
    PORTS, Past, everything_has_arrived, lets_in, nobody_is_served,
    scene::{PAST, PRESENT, Scene, configuration, open, revoke},
    stage::{ACK, STAGES, SYN, Stage, bring},
};
use letmein_tests::{
    gate::{KEY, letmein},
    letmeind::{Letmeind, complete},
    nft::CHAIN_RULES,
};
use nix::sys::signal::{Signal, kill};
use std::{
    fs,
    net::SocketAddr,
    thread::sleep,
    time::{Duration, Instant},
};

const PATIENCE: Duration = Duration::from_mins(1);
/// The client's kernel leaves TCP to the test.
const DEAF: &str =
    "table inet deaf { chain in { type filter hook input priority 0; meta l4proto tcp drop; }; }";

/// What ends the lease of a genuine knock.
#[derive(Clone, Copy)]
enum End {
    Revoked,
    RunOut,
    UserRemoved,
}

/// The server closes the connection, the guest acknowledges that and no more, and the server has given up waiting: the
/// case that conntrack calls `CLOSE_WAIT`.
fn begins_nothing_after(end: End) {
    let mut scene = Scene::new(&[]);
    scene.lab.client.run("nft", &[DEAF]).unwrap();
    let lease = match end {
        End::RunOut => "lease = \"5s\"",
        End::Revoked | End::UserRemoved => "lease = \"1h\"",
    };
    let text = configuration("", "closed = \"reject\"", lease);
    let letmeind = Letmeind::new(&scene.lab.server, &text).unwrap();
    let file = letmeind.key_file().with_file_name("letmeind.toml");
    let mut running = letmeind.start().unwrap();
    open(&running, &PRESENT);
    let alice = |verb| {
        let client = "[servers.gate]\nhost = \"10.77.1.1\"\nuser = \"00000001\"\nkey-file = \"alice.key\"\n\
                      [servers.gate.resources]\nit = { id = \"00000001\" }\n";
        assert_eq!(
            letmein(&scene.lab.client, client, &KEY, &[verb, "gate", "it"]).unwrap(),
            0
        );
    };
    alice("knock");
    let target = &scene.targets[0];
    let from: Vec<_> = PORTS
        .take(8)
        .map(|port| SocketAddr::from(([10, 77, 1, 2], port)))
        .collect();
    let flows = bring(
        &mut scene.guest,
        Stage::CloseWait,
        &from,
        target.to,
        &target.service,
    );
    match end {
        End::Revoked => alice("revoke"),
        End::RunOut => {}
        End::UserRemoved => {
            let (others, _) = text.split_once("[users.alice]").unwrap();
            fs::write(&file, complete(others, file.parent().unwrap())).unwrap();
            kill(running.pid(), Signal::SIGHUP).unwrap();
            running.wait_for("reloaded: ").unwrap();
        }
    }
    scene.forgotten();
    let deadline = Instant::now() + PATIENCE;
    let leases = || {
        let output = running.operate("leases", &["--json"]).unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    while leases().contains("10.77.1.2") {
        assert!(Instant::now() < deadline, "the lease goes on");
        sleep(Duration::from_millis(50));
    }
    let segments: Vec<_> = flows.iter().map(|flow| crate::later(flow, SYN)).collect();
    scene.guest.send(&segments);
    let answers = everything_has_arrived(&mut scene, 0);
    let is_ours = |port| from.iter().any(|here| here.port() == port);
    let let_in = answers
        .iter()
        .find(|segment| is_ours(segment.destination.port()) && lets_in(segment));
    assert_eq!(let_in, None);
    nobody_is_served(&scene);
}

#[test]
fn by_a_revocation() {
    begins_nothing_after(End::Revoked);
}

#[test]
fn by_the_clock() {
    begins_nothing_after(End::RunOut);
}

#[test]
fn because_the_user_is_removed() {
    begins_nothing_after(End::UserRemoved);
}

/// Whatever state conntrack has them in, there are none left, and what was half open is completed no more.
fn cut(firewall: &str, rules: &[&str]) {
    let mut scene = Scene::new(rules);
    let mut running = scene.gate("xdp = \"off\"", firewall, "cut = true");
    open(&running, &PRESENT);
    open(&running, &PAST);
    let past = Past::of_one_each(&mut scene);
    for address in PAST {
        revoke(&running, &[address]);
        let of_address = scene
            .targets
            .iter()
            .filter(|target| target.to.is_ipv6() == address.contains(':'));
        let connections = of_address.count() * (STAGES.len() - 1);
        let line = running.wait_for("connections ended").unwrap();
        assert!(
            line.contains(&format!("; {connections} connections ended")),
            "{line}"
        );
    }
    let half_open = past.others.iter().filter(|flow| flow.stage == Stage::SynReceived);
    let segments: Vec<_> = half_open.map(|flow| flow.segment(ACK)).collect();
    assert_eq!(segments.len(), scene.targets.len());
    scene.guest.send(&segments);
    everything_has_arrived(&mut scene, 0);
    nobody_is_served(&scene);
}

#[test]
fn and_cuts_in_guard_mode() {
    cut("", &[]);
}

#[test]
fn and_cuts_in_chain_mode() {
    cut("mode = \"chain\"", &[CHAIN_RULES]);
}
