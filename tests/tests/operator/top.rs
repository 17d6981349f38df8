//! `letmeind top` on a real terminal: what it shows, and that it gives the terminal back.

use super::{alice, complaint, gate};
use letmein_tests::{
    gate::{Gate, program},
    lab::Lab,
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{
    fs,
    io::{Read as _, Write as _},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::{Duration, Instant},
};
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(20);
const ENTER: &str = "\x1b[?1049h";
const LEAVE: &str = "\x1b[?1049l";

/// A terminal of 80x24 in which `letmeind top` runs, and then `stty -a`.
struct Screen {
    script: Child,
    output: Receiver<Vec<u8>>,
    shown: String,
    folder: TempDir,
}

impl Screen {
    fn new(gate: &Gate, environment: &[(&str, &str)]) -> Self {
        let folder = TempDir::new().unwrap();
        let letmeind = program("letmeind").unwrap();
        // The inner shell notes its number and becomes letmeind.
        let command = format!(
            "tty >{folder}/tty; stty rows 24 cols 80; \
             sh -c 'echo $$ >{folder}/pid; exec {letmeind} top --socket {socket}'; \
             echo ended with $?; stty -a; echo all-told",
            folder = folder.path().display(),
            letmeind = letmeind.display(),
            socket = gate.socket().display(),
        );
        let mut script = Command::new("script")
            .args(["--quiet", "--flush", "--command", &command, "/dev/null"])
            .env("TERM", "xterm-256color")
            .env_remove("NO_COLOR")
            .envs(environment.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = script.stdout.take().unwrap();
        let (sender, output) = channel();
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length @ 1..) = stdout.read(&mut buffer) {
                if sender.send(buffer[..length].to_vec()).is_err() {
                    break;
                }
            }
        });
        Self {
            script,
            output,
            shown: String::new(),
            folder,
        }
    }

    /// Waits until this has been shown. Blanks are not written, so it is a word.
    #[track_caller]
    fn wait_for(&mut self, word: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.shown.contains(word) {
            let left = deadline.saturating_duration_since(Instant::now());
            let bytes = self.output.recv_timeout(left);
            assert!(bytes.is_ok(), "{word} is not shown: {:?}", self.shown);
            self.shown += &String::from_utf8_lossy(&bytes.unwrap());
        }
    }

    fn press(&mut self, key: &[u8]) {
        self.script.stdin.as_mut().unwrap().write_all(key).unwrap();
    }

    fn noted(&self, file: &str) -> String {
        fs::read_to_string(self.folder.path().join(file))
            .unwrap()
            .trim()
            .to_owned()
    }

    /// Waits for its end, as which the terminal has to be as it was.
    #[track_caller]
    fn ends_with(&mut self, code: i32) {
        self.wait_for("all-told");
        let (before, after) = self.shown.rsplit_once(LEAVE).unwrap();
        assert!(before.contains(ENTER), "{}", self.shown);
        assert!(after.contains(&format!("ended with {code}")), "{after}");
        // The cursor is back, lines are lines and echoed.
        assert!(self.shown.contains("\x1b[?25h"), "{}", self.shown);
        let modes: Vec<_> = after.split_whitespace().collect();
        for mode in ["icanon", "echo", "isig", "opost"] {
            assert!(modes.contains(&mode), "{mode} in {after}");
        }
        self.script.wait().unwrap();
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ended = self.script.kill();
        let _reaped = self.script.wait();
    }
}

#[test]
fn it_shows_what_happens_and_q_quits() {
    let lab = Lab::new().unwrap();
    let gate = gate(&lab, "", "");
    let mut screen = Screen::new(&gate, &[]);
    for word in [
        "packets", "refused", "sources", "leases:", "knocks", "to-peer1", "native",
    ] {
        screen.wait_for(word);
    }
    assert!(!screen.shown.contains("10.77.1.2"), "{}", screen.shown);
    alice(&gate, &lab, "knock");
    for word in ["10.77.1.2", "alice", "opened", "59m"] {
        screen.wait_for(word);
    }
    // There are colours.
    assert!(screen.shown.contains("\x1b[38;5;"), "{:?}", screen.shown);
    screen.press(b"q");
    screen.ends_with(0);
}

#[test]
fn no_color_is_heard() {
    let lab = Lab::new().unwrap();
    let gate = gate(&lab, "", "");
    let mut screen = Screen::new(&gate, &[("NO_COLOR", "1")]);
    screen.wait_for("leases:");
    screen.press(b"q");
    screen.ends_with(0);
    assert!(!screen.shown.contains("\x1b[38;5;"), "{:?}", screen.shown);
}

#[test]
fn it_follows_the_size_of_its_window() {
    let lab = Lab::new().unwrap();
    let gate = gate(&lab, "", "");
    let mut screen = Screen::new(&gate, &[]);
    screen.wait_for("leases:");
    let tty = PathBuf::from(screen.noted("tty"));
    let resize = |rows: &str, columns: &str| {
        let mut stty = Command::new("stty");
        stty.arg("-F").arg(&tty).args(["rows", rows, "cols", columns]);
        assert!(stty.status().unwrap().success());
    };
    resize("10", "60");
    screen.wait_for("small,");
    screen.shown.clear();
    resize("40", "120");
    screen.wait_for("knocks");
    // A place that only the larger window has.
    screen.wait_for("\x1b[40;");
    screen.press(b"q");
    screen.shown.insert_str(0, ENTER);
    screen.ends_with(0);
}

#[test]
fn every_way_out_gives_the_terminal_back() {
    let lab = Lab::new().unwrap();
    let gate = gate(&lab, "", "");
    let mut by_key = Screen::new(&gate, &[]);
    by_key.wait_for("leases:");
    by_key.press(b"\x03");
    by_key.ends_with(0);
    for signal in [Signal::SIGTERM, Signal::SIGHUP] {
        let mut screen = Screen::new(&gate, &[]);
        screen.wait_for("leases:");
        kill(Pid::from_raw(screen.noted("pid").parse().unwrap()), signal).unwrap();
        screen.ends_with(0);
    }
    let mut orphan = Screen::new(&gate, &[]);
    orphan.wait_for("leases:");
    gate.kill().unwrap();
    orphan.ends_with(1);
    assert!(
        orphan.shown.contains("letmeind has closed the connection"),
        "{}",
        orphan.shown
    );
}

#[test]
fn without_a_terminal_it_says_what_to_do() {
    let lab = Lab::new().unwrap();
    let gate = gate(&lab, "", "");
    let said = complaint(&gate.operate("top", &[]).unwrap());
    assert!(
        said.contains("top needs a terminal; `letmeind status --json`"),
        "{said}"
    );
}
