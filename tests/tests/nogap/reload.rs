//! Another configuration while the gate serves, by SIGHUP.

use crate::{
    allowed::{BOB, for_two, knock, open},
    probe::{nobody_gets_in, nobody_notices},
    scene::Scene,
};
use letmein_tests::{
    gate::{Gate, KEY, letmein, program},
    knocker::{Draft, Udp},
    lab::Outcome,
    letmeind::complete,
    silent::{self, settle},
};
use nix::sys::signal::{Signal, kill};
use std::{collections::BTreeSet, fs, path::PathBuf};

pub const CONTROL: &str = "10.77.1.1:5800";

/// A gate whose configuration can be changed.
pub struct Changeable {
    pub gate: Gate,
    pub file: PathBuf,
}

impl Changeable {
    pub fn start(scene: &Scene, configuration: &str) -> Self {
        let letmeind = scene.letmeind(configuration);
        let file = letmeind.key_file().with_file_name("letmeind.toml");
        let gate = letmeind.start().unwrap();
        Self { gate, file }
    }

    /// Writes another one and has it read.
    pub fn ask(&self, configuration: &str) {
        fs::write(&self.file, complete(configuration, self.file.parent().unwrap())).unwrap();
        kill(self.gate.pid(), Signal::SIGHUP).unwrap();
    }

    #[track_caller]
    pub fn reload(&mut self, configuration: &str) {
        self.ask(configuration);
        loop {
            let line = self.gate.wait_for("").unwrap();
            assert!(!line.contains(" ERROR "), "{line}");
            if line.contains("reloaded: ") {
                return;
            }
        }
    }

    /// Whether the log says so by now.
    pub fn has_reloaded(&mut self) -> bool {
        self.gate
            .log_so_far()
            .iter()
            .any(|line| line.contains("reloaded: "))
    }

    /// It is refused, with this text.
    #[track_caller]
    fn refused(&mut self, configuration: &str, text: &str) {
        self.ask(configuration);
        let line = self.gate.wait_for("the configuration goes on as it was").unwrap();
        if !line.contains(text) {
            // Each problem of a configuration has a line of its own.
            self.gate.wait_for(text).unwrap();
        }
    }
}

fn udp(scene: &Scene) -> Udp {
    Udp::new(&scene.lab.client, CONTROL.parse().unwrap()).unwrap()
}

#[test]
fn nobody_notices_it() {
    let scene = Scene::new();
    let usual = scene.configuration("");
    let mut gate = Changeable::start(&scene, &usual);
    scene.knock(&gate.gate);
    nobody_notices(&scene, |attempts| {
        for other in [
            usual.replace("tcp/23", "udp/23"),
            for_two(&scene),
            usual.replace("tcp/23", "tcp/100-200"),
            scene.configuration("silent = true"),
            scene.configuration("port = 5900"),
            scene.configuration("seen-salts = 1000"),
            usual.clone(),
        ] {
            let before = scene.program("to-peer1");
            gate.reload(&other);
            assert_ne!(scene.program("to-peer1"), before);
            attempts.go_on();
        }
        scene.knock(&gate.gate);
    });
    assert_eq!(
        scene.pins(),
        ["accounts-1", "link-auto", "link-auto", "nonces-2", "salts-1"]
    );
}

/// Without a place to pin them, links go from one program of the process to the next.
#[test]
fn nobody_notices_it_without_pins() {
    let scene = Scene::new();
    let usual = scene.configuration("").replace("pin-directory", "#");
    let mut gate = Changeable::start(&scene, &usual);
    scene.knock(&gate.gate);
    nobody_notices(&scene, |attempts| {
        for other in [usual.replace("tcp/23", "udp/23"), usual.clone()] {
            gate.reload(&other);
            attempts.go_on();
        }
    });
    // And what does not work out goes back.
    let before = scene.program("to-peer1");
    gate.refused(&usual.replace("\"to-peer2\"", "\"nowhere0\""), "nowhere0");
    assert_eq!(scene.program("to-peer1"), before);
    scene.knock(&gate.gate);
}

#[test]
fn users_come_and_go_and_their_leases_with_them() {
    let scene = Scene::new();
    let both = for_two(&scene);
    let usual = scene.configuration("");
    let mut gate = Changeable::start(&scene, &usual);
    let as_bob = |verb| {
        let text = "[servers.gate]\nhost = \"10.77.1.1\"\nuser = \"2\"\nkey-file = \"alice.key\"\ntimeout = \"1s\"\n\
                    [servers.gate.resources]\nssh = { id = \"1\", port = 22 }\n";
        letmein(&scene.lab.client, text, &BOB, &[verb, "gate", "ssh"]).unwrap() == 0
    };
    assert!(!as_bob("knock"));
    gate.reload(&both);
    // What he has opened here must not be what keeps Alice's open below.
    assert!(as_bob("knock") && as_bob("revoke"));
    knock(&scene);
    assert_eq!(open(&scene), ["22", "23", "22", "23"]);
    gate.reload(&both.replace(
        "alice.key\"\nresources = [\"ssh\", \"admin\"]",
        "alice.key\"\nresources = [\"admin\"]",
    ));
    assert_eq!(open(&scene), ["23", "22", "23"]);
    assert_eq!(scene.guest_meets(), Outcome::Silent);
    gate.reload(&usual);
    assert_eq!(open(&scene), [""; 0]);
    assert!(!as_bob("knock"));
    scene.knock(&gate.gate);
}

#[test]
fn a_key_changes() {
    let scene = Scene::new();
    let usual = scene.configuration("");
    let mut gate = Changeable::start(&scene, &usual);
    let knocks = |gate: &Gate, key: &[u8; 32]| {
        gate.letmein(&scene.lab.client, "10.77.1.1", key, &["knock", "gate", "ssh"])
            .unwrap()
            == 0
    };
    assert!(knocks(&gate.gate, &KEY) && !knocks(&gate.gate, &BOB));
    gate.reload(&usual.replace("alice.key", "bob.key"));
    assert!(!knocks(&gate.gate, &KEY) && knocks(&gate.gate, &BOB));
    assert!(gate.gate.counters().unwrap()["auth"] >= 2);
}

#[test]
fn ports_change() {
    let scene = Scene::new();
    let usual = scene.configuration("");
    let mut gate = Changeable::start(&scene, &usual);
    scene.knock(&gate.gate);
    gate.reload(&usual.replace("tcp/22", "tcp/2222"));
    // It is nobody's business any more.
    assert_eq!(scene.stranger_meets(), Outcome::Open);
    let port = "10.77.2.1:2222".parse().unwrap();
    assert_eq!(scene.lab.other.connect(port).unwrap(), Outcome::Silent);
    assert_eq!(open(&scene), [""; 0]);
    gate.reload(&usual.replace("lease = \"1h\"", "lease = \"10m\""));
    assert_eq!(scene.stranger_meets(), Outcome::Silent);
    scene.knock(&gate.gate);
    let listed = scene.nft(&["list", "set", "inet", "letmein", "leases4"]);
    assert!(listed.contains("timeout 10m"), "{listed}");
}

#[test]
fn the_control_port_changes() {
    let scene = Scene::new();
    let mut gate = Changeable::start(&scene, &scene.configuration(""));
    gate.reload(&scene.configuration("port = 5900\naddresses = [\"10.77.1.1\"]"));
    let before = udp(&scene);
    before.send(&Draft::default().sign()).unwrap();
    let now = Udp::new(&scene.lab.client, "10.77.1.1:5900".parse().unwrap()).unwrap();
    now.send(&Draft::default().sign()).unwrap();
    now.answer().unwrap();
    let listening = scene
        .lab
        .server
        .run("cat", &["/proc/net/udp", "/proc/net/tcp"])
        .unwrap();
    assert!(
        listening.contains(":170C") && !listening.contains(":16A8"),
        "{listening}"
    );
    // A port that somebody else has.
    let _taken = scene.lab.server.listen(5901).unwrap();
    gate.refused(&scene.configuration("port = 5901"), "cannot listen on tcp");
    now.send(&Draft::default().sign()).unwrap();
    now.answer().unwrap();
}

#[test]
fn interfaces_change() {
    let scene = Scene::new();
    let usual = scene.configuration("");
    let mut gate = Changeable::start(&scene, &usual);
    gate.reload(&usual.replace(", \"to-peer2\"", ""));
    assert_eq!(scene.program("to-peer2"), None);
    gate.reload(&usual);
    assert!(scene.program("to-peer2").is_some());
    // One that is gone for a while is no obstacle, if it is not a new one.
    scene.lab.server.run("ip", &["link", "del", "to-peer2"]).unwrap();
    gate.reload(&usual.replace("tcp/23", "tcp/24"));
    scene.lab.join(2).unwrap();
    gate.gate.wait_for("attached again to to-peer2").unwrap();
}

#[test]
fn the_mode_changes() {
    let scene = Scene::new();
    let mut gate = Changeable::start(&scene, &scene.configuration(""));
    scene.knock(&gate.gate);
    nobody_gets_in(&scene, |attempts| {
        for (mode, kind) in [
            ("generic", "xdpgeneric"),
            ("native", "xdp"),
            ("generic", "xdpgeneric"),
            ("auto", "xdp"),
        ] {
            gate.reload(&scene.configuration(&format!("xdp = \"{mode}\"")));
            assert_eq!(scene.program("to-peer1").unwrap().1, kind);
            attempts.go_on();
        }
    });
}

#[test]
fn without_xdp() {
    let scene = Scene::new();
    let both = for_two(&scene).replace("[gate]", "[gate]\nxdp = \"off\"");
    let mut gate = Changeable::start(&scene, &both);
    knock(&scene);
    let recorded = Draft::default().sign();
    let socket = udp(&scene);
    socket.send(&recorded).unwrap();
    socket.answer().unwrap();
    gate.reload(&both.replace(
        "[users.bob]\nid = \"00000002\"",
        "[users.carol]\nid = \"00000003\"",
    ));
    assert_eq!(open(&scene), ["22", "23"]);
    socket.send(&recorded).unwrap();
    assert!(socket.answer_by_now(&scene.lab.client).unwrap().is_none());
    gate.refused(&for_two(&scene), "gate.xdp from or to \"off\" takes a restart");
}

/// Whatever is wrong, nothing has changed.
#[test]
fn what_fails_changes_nothing() {
    let scene = Scene::new();
    scene
        .lab
        .server
        .run("ip", &["link", "add", "br0", "type", "bridge"])
        .unwrap();
    let bare = program("ebpf/bare.bpf.o").unwrap();
    let occupied = [
        "link",
        "set",
        "dev",
        "br0",
        "xdpgeneric",
        "obj",
        bare.to_str().unwrap(),
        "sec",
        "xdp.frags",
    ];
    scene.lab.server.run("ip", &occupied).unwrap();
    let usual = for_two(&scene).replace(
        "lease = \"1h\"\n[resources.admin]",
        "lease = \"1h\"\n[resources.range]\nid = \"3\"\nports = [\"udp/60000-60010\"]\n[resources.admin]",
    );
    let mut gate = Changeable::start(&scene, &usual);
    knock(&scene);
    let state = |scene: &Scene| {
        // nft lists sets in the order in which they were made.
        let rules = scene.nft(&["-s", "list", "ruleset"]);
        let rules = rules
            .split("\n\n")
            .map(|object| object.trim_end_matches(['\n', '}']).to_owned());
        let rules: BTreeSet<_> = rules.collect();
        (
            scene.program("to-peer1"),
            scene.program("to-peer2"),
            rules,
            open(scene),
            scene.pins(),
        )
    };
    let before = state(&scene);
    // All of it would be different.
    let other = usual
        .replace("00000002\"\nkey", "00000003\"\nkey")
        .replace("tcp/23", "tcp/24")
        .replace("udp/60000-60010", "udp/60000-60020");
    let cases = [
        (
            other.replace("lease = \"1h\"", "lease = \"one hour\""),
            "letmeind.toml:12:",
        ),
        (other.replace("bob.key", "carol.key"), "carol.key"),
        (
            other.replace("\"to-peer2\"", "\"nowhere0\""),
            "there is no network interface \"nowhere0\"",
        ),
        (
            other.replace("\"to-peer2\"", "\"to-peer2\", \"br0\""),
            "another XDP program is attached to \"br0\"",
        ),
        (
            other
                .replace("\"to-peer2\"", "\"to-peer2\", \"br0\"")
                .replace("[gate]", "[gate]\nseen-salts = 1000"),
            "another XDP program is attached to \"br0\"",
        ),
        (
            format!("{other}\n[daemon]\nuser = \"daemon\"\n"),
            "daemon.user takes a restart",
        ),
        (
            other.replace("/letmein\"", "/elsewhere\""),
            "gate.pin-directory takes a restart",
        ),
        (
            other.replace("[firewall]", "[firewall]\nmode = \"chain\""),
            "table",
        ),
    ];
    nobody_notices(&scene, |attempts| {
        for (wrong, text) in cases {
            gate.refused(&wrong, text);
            attempts.go_on();
            assert_eq!(state(&scene), before, "{wrong}");
        }
    });
    scene.knock(&gate.gate);
    gate.reload(&other);
    assert_ne!(state(&scene), before);
}

/// An exchange that has begun goes on, what was accepted is not accepted again, and counters count on.
#[test]
fn nothing_is_forgotten() {
    let scene = Scene::new();
    let usual = scene.configuration("silent = true");
    Changeable::start(&scene, &usual).gate.stop().unwrap();
    let mut gate = Changeable::start(&scene, &usual);
    settle(15);
    let silently =
        |knock: &[u8]| silent::send(&scene.lab.client, CONTROL.parse().unwrap(), &[knock]).unwrap();
    let accepted = silent::Draft::default().seal();
    silently(&accepted);
    gate.gate.wait_for("alice opened ssh").unwrap();
    let (socket, knock) = (udp(&scene), Draft::default());
    let signed = knock.sign();
    socket.send(&signed).unwrap();
    let challenge = socket.answer().unwrap();
    let counted = gate.gate.counters().unwrap();
    assert_eq!(counted["genuine"], 2);
    gate.reload(&usual.replace("tcp/23", "tcp/24"));
    assert_eq!(gate.gate.counters().unwrap(), counted);
    // From the first moment on.
    silently(&silent::Draft::default().seal());
    gate.gate.wait_for("alice opened ssh").unwrap();
    socket.send(&knock.response(&challenge).sign()).unwrap();
    assert_eq!(
        socket.answer().unwrap().operation,
        letmein_common::wire::challenge::Operation::ComeIn
    );
    silently(&accepted);
    socket.send(&signed).unwrap();
    assert!(socket.answer_by_now(&scene.lab.client).unwrap().is_none());
    let counters = gate.gate.counters().unwrap();
    assert_eq!((counters["genuine"], counters["replay"]), (5, 2));
}
