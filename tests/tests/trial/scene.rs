//! A server with a service on port 22, and a `letmeind` on trial there.

use letmein_tests::{
    gate::program,
    lab::{Lab, Outcome},
    letmeind::Letmeind,
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    process::{Child, ChildStderr, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

const PATIENCE: Duration = Duration::from_secs(20);

/// A ruleset of the user's, by which the kernel knows of open connections.
const USERS: &str = "
    table inet mine {
        chain input { type filter hook input priority filter; ct state established accept; }
    }";

pub struct Scene {
    pub lab: Lab,
    service: TcpListener,
}

impl Scene {
    pub fn new() -> Self {
        let scene = Self::without_rules();
        scene.nft(&[USERS]);
        scene
    }

    pub fn without_rules() -> Self {
        let lab = Lab::new().unwrap();
        let service = lab.server.listen(22).unwrap();
        Self { lab, service }
    }

    pub fn letmeind(&self, configuration: &str) -> Letmeind<'_> {
        Letmeind::new(&self.lab.server, configuration).unwrap()
    }

    pub fn nft(&self, arguments: &[&str]) -> String {
        self.lab.server.run("nft", arguments).unwrap()
    }

    /// Everything that is loaded, without what differs whenever one looks.
    pub fn ruleset(&self) -> String {
        self.nft(&["-s", "list", "ruleset"])
    }

    /// Port 22 for who has never knocked.
    #[track_caller]
    pub fn expect_port(&self, outcome: Outcome) {
        let deadline = Instant::now() + PATIENCE;
        let address = "10.77.2.1:22".parse().unwrap();
        loop {
            let met = self.lab.other.connect(address).unwrap();
            if met == Outcome::Open {
                // The kernel keeps no more than 128 that nobody takes.
                self.service.accept().unwrap();
            }
            if met == outcome {
                return;
            }
            assert!(Instant::now() < deadline, "port 22 is {met:?}");
        }
    }

    /// A connection to port 22, as that of the administrator.
    pub fn session(&self) -> Session {
        self.session_with("10.77.2.1:22")
    }

    pub fn session_with(&self, server: &str) -> Session {
        let far = self.lab.other.enter(|| TcpStream::connect(server)).unwrap();
        let (near, _) = self.service.accept().unwrap();
        let session = Session(far.unwrap(), near);
        session.0.set_read_timeout(Some(PATIENCE)).unwrap();
        session.1.set_read_timeout(Some(PATIENCE)).unwrap();
        session
    }

    /// `letmeind confirm`
    pub fn confirm(&self) -> Output {
        let letmeind = program("letmeind").unwrap();
        let mut command = self.lab.server.command(letmeind.to_str().unwrap());
        command.arg("confirm").output().unwrap()
    }
}

pub struct Session(TcpStream, TcpStream);

impl Session {
    #[track_caller]
    pub fn goes_on(&mut self) {
        let Self(far, near) = self;
        let mut echo = [0; 4];
        far.write_all(b"ping").unwrap();
        near.read_exact(&mut echo).unwrap();
        near.write_all(&echo).unwrap();
        far.read_exact(&mut echo).unwrap();
        assert_eq!(&echo, b"ping");
    }
}

pub struct Trial {
    process: Child,
    log: Option<BufReader<ChildStderr>>,
    pub said: String,
}

impl Trial {
    /// `letmeind VERB --confirm TIME`
    pub fn begin(letmeind: &Letmeind<'_>, verb: &str, time: &str) -> Self {
        let mut command = letmeind.command(verb).unwrap();
        command.args(["--confirm", time]).stderr(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let log = process.stderr.take().map(BufReader::new);
        let said = String::new();
        let mut trial = Self { process, log, said };
        trial.wait_for("on trial");
        trial
    }

    pub fn wait_for(&mut self, text: &str) {
        let log = self.log.as_mut().unwrap();
        loop {
            let begin = self.said.len();
            let length = log.read_line(&mut self.said).unwrap();
            assert!(length > 0, "{text:?} is not in {}", self.said);
            if self.said[begin..].contains(text) {
                return;
            }
        }
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.process.id().cast_signed()), signal).unwrap();
    }

    /// As when the terminal goes that it was started from.
    pub fn lose_terminal(&mut self) {
        self.log = None;
        self.signal(Signal::SIGHUP);
    }

    /// Its exit code.
    pub fn end(&mut self) -> Option<i32> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.process.try_wait().unwrap() {
                if let Some(log) = &mut self.log {
                    log.read_to_string(&mut self.said).unwrap();
                }
                return status.code();
            }
            assert!(Instant::now() < deadline, "it goes on and on: {}", self.said);
            thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        let _ended = self.process.kill();
        let _reaped = self.process.wait();
    }
}
