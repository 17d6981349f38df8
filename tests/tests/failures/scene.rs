//! Where it all happens, and what must be true after each failure.

use letmein_tests::{
    gate::{Gate, KEY, configuration},
    lab::{Lab, Outcome},
    letmeind::{Failure, Letmeind},
};
use std::{net::TcpListener, thread};

/// A lab whose server has a service on port 22, and a table of its own in the firewall.
pub struct Scene {
    pub lab: Lab,
    _service: TcpListener,
}

impl Scene {
    pub fn new() -> Self {
        let lab = Lab::new().unwrap();
        let service = lab.server.listen(22).unwrap();
        lab.server.run("nft", &["add table inet users"]).unwrap();
        Self {
            lab,
            _service: service,
        }
    }

    pub fn ssh(&self) -> Outcome {
        self.lab.client.connect("10.77.1.1:22".parse().unwrap()).unwrap()
    }

    /// Port 22 for the client and for the other host.
    pub fn ssh_of_both(&self) -> (Outcome, Outcome) {
        // What meets nothing takes a while: both at once.
        thread::scope(|scope| {
            let other = scope.spawn(|| self.lab.other.connect("10.77.2.1:22".parse().unwrap()));
            (self.ssh(), other.join().unwrap().unwrap())
        })
    }

    fn ruleset(&self) -> String {
        self.lab.server.run("nft", &["list", "ruleset"]).unwrap()
    }

    /// The usual daemon with these lines in section `[gate]`.
    pub fn letmeind(&self, gate: &str) -> Letmeind<'_> {
        Letmeind::new(&self.lab.server, &configuration(gate, "", "1h")).unwrap()
    }

    pub fn start(&self) -> Gate {
        self.letmeind("").start().unwrap()
    }

    pub fn knock(&self, gate: &Gate, verb: &str) -> i32 {
        let arguments = [verb, "gate", "ssh"];
        gate.letmein(&self.lab.client, "10.77.1.1", &KEY, &arguments)
            .unwrap()
    }

    /// It fails after the firewall was installed: port 22, open until then, is closed, and nothing else has changed.
    #[track_caller]
    pub fn fails_closed(&self, letmeind: Letmeind<'_>, texts: &[&str]) {
        let failure = letmeind.fail().unwrap();
        assert_error(&failure, texts);
        assert_eq!(self.ssh(), Outcome::Silent);
        assert!(self.ruleset().starts_with("table inet users {\n}\n"));
    }

    /// It fails before it changes anything. The first time port 22 is as open as it was; after an earlier run, it is
    /// as closed as that one left it.
    #[track_caller]
    pub fn fails_without_a_change<'a>(&'a self, letmeind: impl Fn(&'a Self) -> Letmeind<'a>, texts: &[&str]) {
        for port_22 in [Outcome::Open, Outcome::Silent] {
            let before = self.ruleset();
            assert_error(&letmeind(self).fail().unwrap(), texts);
            assert_eq!(self.ruleset(), before);
            assert_eq!(self.ssh(), port_22);
            self.start().stop().unwrap();
        }
    }
}

/// Exit code 1 and one error, which contains these texts, each of them once.
#[track_caller]
pub fn assert_error(failure: &Failure, texts: &[&str]) {
    assert_eq!(failure.code, Some(1));
    let error = failure.error().unwrap();
    for text in texts {
        assert_eq!(error.matches(text).count(), 1, "{text:?} in {error:?}");
    }
}
