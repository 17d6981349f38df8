//! The server, its services, and what a neighbour and letmeind let others do there.

use letmein_tests::{
    gate::{Gate, KEY, configuration},
    lab::{Host, Lab, Outcome},
    letmeind::Letmeind,
};
use std::{
    net::TcpListener,
    thread,
    time::{Duration, Instant},
};

const PATIENCE: Duration = Duration::from_secs(20);

/// Port 22 is letmein's, port 80 the neighbour lets everybody in at, and 8081 nobody.
pub struct Scene {
    pub lab: Lab,
    _services: [TcpListener; 3],
    /// What the server itself connects to, on the client.
    _far: TcpListener,
}

impl Scene {
    pub fn new() -> Self {
        let lab = Lab::new().unwrap();
        let services = [22, 80, 8081].map(|port| lab.server.listen(port).unwrap());
        let far = lab.client.listen(7).unwrap();
        Self {
            lab,
            _services: services,
            _far: far,
        }
    }

    pub fn letmeind(&self) -> Letmeind<'_> {
        Letmeind::new(&self.lab.server, &configuration("", "", "1h")).unwrap()
    }

    pub fn knock(&self, gate: &Gate) -> i32 {
        self.knock_to(gate, "knock")
    }

    /// `verb` is `knock` or `revoke`. Returns the exit code.
    pub fn knock_to(&self, gate: &Gate, verb: &str) -> i32 {
        let arguments = [verb, "gate", "ssh", "-U"];
        gate.letmein(&self.lab.client, "10.77.1.1", &KEY, &arguments)
            .unwrap()
    }

    #[track_caller]
    pub fn neighbours_services_work(&self) {
        eventually("port 80 is open to everybody", || {
            reaches(&self.lab.other, "10.77.2.1:80")
        });
        assert!(reaches(&self.lab.other, "[fd77:2::1]:80"), "over IPv6 as well");
        assert!(
            !reaches(&self.lab.other, "10.77.2.1:8081"),
            "the neighbour closes this port"
        );
        assert!(
            reaches(&self.lab.server, "10.77.1.2:7"),
            "the server reaches others"
        );
    }

    #[track_caller]
    pub fn only_the_client_gets_in(&self) {
        // Rules that somebody has flushed are back in a moment.
        eventually("the port is closed", || !self.other_gets_in());
        eventually("the client holds a lease", || self.client_gets_in());
        assert!(!reaches(&self.lab.other, "[fd77:2::1]:22"));
    }

    pub fn client_gets_in(&self) -> bool {
        reaches(&self.lab.client, "10.77.1.1:22")
    }

    pub fn other_gets_in(&self) -> bool {
        reaches(&self.lab.other, "10.77.2.1:22")
    }

    /// All tables, without counters.
    pub fn everything(&self) -> String {
        self.lab.server.run("nft", &["-s", "list", "ruleset"]).unwrap()
    }

    /// All tables but ours.
    pub fn theirs(&self) -> String {
        let everything = self.everything();
        let mut ours = false;
        let mut theirs = String::new();
        for line in everything.lines() {
            ours |= line == "table inet letmein {";
            if !ours {
                theirs.push_str(line);
                theirs.push('\n');
            }
            ours &= line != "}";
        }
        theirs
    }

    pub fn ours(&self) -> String {
        let list = ["-s", "list", "table", "inet", "letmein"];
        self.lab.server.run("nft", &list).unwrap()
    }
}

/// A neighbour may answer with an error as well as with silence.
pub fn reaches(host: &Host, to: &str) -> bool {
    matches!(host.connect(to.parse().unwrap()), Ok(Outcome::Open))
}

#[track_caller]
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "{what}: this is not so");
        thread::sleep(Duration::from_millis(20));
    }
}

/// Long listings, of which the first difference is enough.
#[track_caller]
pub fn assert_same(now: &str, before: &str) {
    let mut lines = now.lines().zip(before.lines());
    let different = lines.find(|(now, before)| now != before);
    assert!(different.is_none(), "now and before: {different:?}");
    assert_eq!(now.len(), before.len(), "{now}");
}
