//! From `letmeind user add` to a knock: the line is all that a client needs, and ends when it should. Needs root.

#![expect(
    clippy::unwrap_used,
    reason = "what a test cannot do without, it must fail without"
)]

use letmein_tests::{
    bpffs::BpfFs,
    gate::{Gate, program},
    lab::{Host, Lab, Outcome},
    letmeind::NOBODY,
};
use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};
use tempfile::TempDir;

const SERVER: &str = "10.77.1.1";
/// Kept open for much longer than a test takes.
const CONFIGURATION: &str = "# Nobody yet.\n[gate]\ninterfaces = [\"to-peer1\", \"to-peer2\"]\n\
                             [resources.ssh]\nid = \"0000000A\"\nports = [\"tcp/22\"]\nlease = \"10h\"\n";

struct Scene {
    lab: Lab,
    folder: TempDir,
}

impl Scene {
    fn new(gate: &str) -> Self {
        let scene = Self {
            lab: Lab::new().unwrap(),
            folder: TempDir::new().unwrap(),
        };
        let socket = scene.folder.path().join("letmeind.sock").display().to_string();
        let sections =
            format!("\n{gate}[daemon]\nuser = \"{NOBODY}\"\n[operator]\nsocket = \"{socket}\"\n[resources");
        let text = CONFIGURATION.replacen("\n[resources", &sections, 1);
        fs::write(scene.configuration(), text).unwrap();
        scene
    }

    fn configuration(&self) -> PathBuf {
        self.folder.path().join("letmeind.toml")
    }

    /// `letmeind user …`, which has to succeed. Returns what it printed.
    fn user(&self, words: &[&str]) -> String {
        let program = program("letmeind").unwrap();
        let mut command = self.lab.server.command(&program.to_string_lossy());
        command
            .arg("user")
            .args(words)
            .arg("--config")
            .arg(self.configuration());
        succeeded(command.output().unwrap())
    }

    fn serve(&self) -> Gate {
        Gate::start_from(&self.lab.server, &self.configuration()).unwrap()
    }

    fn service(&self) -> Outcome {
        self.lab
            .client
            .connect(format!("{SERVER}:22").parse().unwrap())
            .unwrap()
    }
}

/// Somebody's home on a host, with nothing in it at first.
struct Person<'a> {
    host: &'a Host,
    home: TempDir,
}

impl<'a> Person<'a> {
    fn new(host: &'a Host) -> Self {
        let home = TempDir::new().unwrap();
        Self { host, home }
    }

    /// `letmein …`, with this on standard input.
    fn letmein(&self, words: &[&str], input: &str) -> Output {
        let run = || {
            let mut letmein = Command::new(program("letmein").unwrap())
                .args(words)
                .env_remove("XDG_CONFIG_HOME")
                .env("HOME", self.home.path())
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            letmein.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
            letmein.wait_with_output().unwrap()
        };
        self.host.enter(run).unwrap()
    }

    fn knock(&self) -> Option<i32> {
        let output = self.letmein(&["knock", "home", "ssh"], "");
        eprint!("{}", String::from_utf8_lossy(&output.stderr));
        output.status.code()
    }
}

fn succeeded(output: Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    String::from_utf8(output.stdout).unwrap()
}

/// What the line says of the gate.
const PLACE: [&str; 4] = ["--host", SERVER, "--server", "home"];

fn add(scene: &Scene, more: &[&str]) -> String {
    let words = ["add", "alice", "--resource", "ssh"]
        .iter()
        .chain(&PLACE)
        .chain(more)
        .copied();
    scene.user(&words.collect::<Vec<_>>())
}

#[test]
fn one_line_is_all_that_a_client_needs() {
    let scene = Scene::new("");
    let service = scene.lab.server.listen(22).unwrap();
    let mut gate = scene.serve();
    let mut user = |words: &[&str]| {
        let printed = scene.user(&[words, &PLACE].concat());
        gate.wait_for("reloaded").unwrap();
        printed
    };
    let line = user(&["add", "alice", "--resource", "ssh"]);
    assert_eq!(line.lines().count(), 1, "{line}");
    let alice = Person::new(&scene.lab.client);
    assert_eq!(scene.service(), Outcome::Silent);

    let told = succeeded(alice.letmein(&["enroll", "-"], &line));
    assert!(told.ends_with("letmein knock home ssh\n"), "{told}");
    assert_eq!(alice.knock(), Some(0));
    assert_eq!(scene.service(), Outcome::Open);
    assert_eq!(
        alice.letmein(&["revoke", "home", "ssh"], "").status.code(),
        Some(0)
    );

    // A new key; for a while the old one is as good.
    let new_line = user(&["rotate", "alice", "--keep", "7d"]);
    assert_eq!(alice.knock(), Some(0));
    let again = alice.letmein(&["enroll", new_line.trim()], "");
    assert_eq!(again.status.code(), Some(2), "it would overwrite what is there");
    succeeded(alice.letmein(&["enroll", "--replace", new_line.trim()], ""));
    assert_eq!(alice.knock(), Some(0));
    let bob = Person::new(&scene.lab.client);
    succeeded(bob.letmein(&["enroll", "-"], &line));

    // Without --keep it is worth nothing any more.
    let shown = scene.user(&[&["show", "alice"][..], &PLACE].concat());
    assert_eq!(shown, new_line);
    user(&["rotate", "alice"]);
    assert_eq!((alice.knock(), bob.knock()), (Some(3), Some(0)));

    // Who is removed is removed with every earlier id, and what is open is closed.
    assert_eq!(scene.service(), Outcome::Open);
    scene.user(&["remove", "alice"]);
    gate.wait_for("reloaded").unwrap();
    assert_eq!(scene.user(&["list"]), "");
    assert_eq!(bob.knock(), Some(3));
    assert_eq!(scene.service(), Outcome::Silent);
    gate.stop().unwrap();
    drop(service);
}

#[test]
fn a_silent_gate_is_enrolled_with_as_one() {
    let bpffs = BpfFs::mount().unwrap();
    let settings = format!(
        "challenge = false\nsilent = true\nnumber = 7\n{}\n",
        bpffs.setting()
    );
    let scene = Scene::new(&settings);
    let line = add(&scene, &[]);
    assert!(line.contains("&mode=silent&gate-number=7&"), "it says so");
    let service = scene.lab.server.listen(22).unwrap();
    // A first start takes no silent knock for a while.
    scene.serve().stop().unwrap();
    let gate = scene.serve();
    let alice = Person::new(&scene.lab.client);
    succeeded(alice.letmein(&["enroll", "-"], &line));
    let knock = alice.letmein(&["knock", "home", "ssh", "--wait", "60s"], "");
    succeeded(knock);
    assert_eq!(scene.service(), Outcome::Open);
    gate.stop().unwrap();
    drop(service);
}

#[test]
fn when_a_users_time_is_over_so_are_the_leases() {
    let scene = Scene::new("");
    let line = add(&scene, &["--for", "15s"]);
    let until = Instant::now() + Duration::from_secs(15);
    let service = scene.lab.server.listen(22).unwrap();
    let gate = scene.serve();
    let alice = Person::new(&scene.lab.client);
    succeeded(alice.letmein(&["enroll", "-"], &line));
    assert_eq!(alice.knock(), Some(0), "within 15 s after the user was added");
    assert_eq!(scene.service(), Outcome::Open);
    while scene.service() == Outcome::Open {
        assert!(
            Instant::now() < until + Duration::from_secs(10),
            "it is still open"
        );
        sleep(Duration::from_millis(200));
    }
    assert_eq!(alice.knock(), Some(1), "a user whose time is over is refused");
    assert_eq!(scene.service(), Outcome::Silent);
    let list = scene.user(&["list"]);
    assert!(list.contains("  ssh  over since 2"), "{list}");
    gate.stop().unwrap();
    drop(service);
}

#[test]
fn a_picture_is_printed_where_it_is_asked_for() {
    let scene = Scene::new("");
    let printed = add(&scene, &["--qr"]);
    let rows: Vec<_> = printed.lines().skip(1).collect();
    assert!(
        rows.len() > 20 && rows.iter().all(|row| row.chars().all(|c| " ▀▄█".contains(c))),
        "{printed}"
    );
    let widths: Vec<_> = rows.iter().map(|row| row.chars().count()).collect();
    assert!(
        widths.iter().all(|width| width.abs_diff(2 * rows.len()) <= 1),
        "it is a square"
    );
    let mode = fs::metadata(key(scene.folder.path())).unwrap().permissions();
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&mode) & 0o777, 0o600);
}

fn key(folder: &Path) -> PathBuf {
    fs::read_dir(folder.join("keys"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path()
}
