//! Keys in the memory of the running programs, and core dumps of them. Needs root.

#![expect(
    clippy::unwrap_used,
    reason = "what a test cannot do without, it must fail without"
)]

use letmein_common::hmac::KeyedStates;
use letmein_tests::{
    bpffs::BpfFs,
    gate::{Gate, KEY, configuration, program},
    lab::Lab,
    letmeind::Letmeind,
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{
    fs::{self, File},
    io::{Read as _, Write as _},
    os::unix::{
        fs::{FileExt as _, MetadataExt as _, PermissionsExt as _},
        process::ExitStatusExt as _,
    },
    process::{Child, Command, ExitStatus, Stdio},
};
use tempfile::TempDir;

/// A user that owns nothing.
const NOBODY: &str = "65534";
/// Of another user than the key file's, in the configuration itself.
const INLINE: [u8; 32] = [0xC3; 32];
/// As much of a key would be bad enough.
const PIECE: usize = 16;

/// The writable memory of a process, as a core dump would have it.
fn memory(process: u32) -> Vec<Vec<u8>> {
    let maps = fs::read_to_string(format!("/proc/{process}/maps")).unwrap();
    let memory = File::open(format!("/proc/{process}/mem")).unwrap();
    let mut regions = Vec::new();
    for line in maps.lines().filter(|line| line.contains(" rw-p ")) {
        let (range, _) = line.split_once(' ').unwrap();
        let (from, to) = range.split_once('-').unwrap();
        let [from, to] = [from, to].map(|end| u64::from_str_radix(end, 16).unwrap());
        let mut bytes = vec![0; usize::try_from(to - from).unwrap()];
        memory.read_exact_at(&mut bytes, from).unwrap();
        regions.push(bytes);
    }
    regions
}

/// Whether the bytes are in it.
fn holds(memory: &[Vec<u8>], bytes: &[u8]) -> bool {
    memory
        .iter()
        .any(|region| region.windows(bytes.len()).any(|window| window == bytes))
}

fn digits(key: &[u8; 32]) -> String {
    let digits = key.iter().map(|byte| format!("{byte:02x}"));
    digits.collect::<Vec<_>>().concat()
}

/// What a knock is signed with: as secret as the key.
fn states(key: &[u8; 32]) -> Vec<u8> {
    let lanes = KeyedStates::new(key).lanes();
    lanes[..PIECE / 8]
        .iter()
        .flat_map(|lane| lane.to_ne_bytes())
        .collect()
}

/// The key as it is written, and the bytes that this means, are nowhere.
#[track_caller]
fn is_wiped(memory: &[Vec<u8>], key: &[u8; 32]) {
    assert!(!holds(memory, &key[..PIECE]), "the key itself");
    assert!(!holds(memory, &digits(key).as_bytes()[..PIECE]), "its digits");
}

#[test]
fn letmeind_keeps_no_key_as_it_was_written() {
    let lab = Lab::new().unwrap();
    let bob = format!(
        "[users.bob]\nid = \"2\"\nkey = \"{}\"\nresources = [\"ssh\"]\n",
        digits(&INLINE)
    );
    let bpffs = BpfFs::mount().unwrap();
    let silent = format!("silent = true\n{}", bpffs.setting());
    let configuration = configuration(&silent, "", "1h") + &bob;
    let letmeind = Letmeind::new(&lab.server, &configuration).unwrap();
    let file = letmeind.key_file().with_file_name("letmeind.toml");
    fs::set_permissions(file, fs::Permissions::from_mode(0o600)).unwrap();
    let gate = letmeind.start().unwrap();
    let memory = memory(gate.pid().as_raw().cast_unsigned());
    is_wiped(&memory, &KEY);
    is_wiped(&memory, &INLINE);
    // What it needs is there: this would find a key.
    assert!(holds(&memory, &states(&KEY)) && holds(&memory, &states(&INLINE)));
}

/// `letmein proxy` while it relays, and what it writes into goes nowhere.
struct Relay {
    process: Child,
    _gate: Gate,
    _lab: Lab,
}

impl Relay {
    /// Starts it as nobody.
    fn start() -> Self {
        let lab = Lab::new().unwrap();
        let gate = Gate::start(&lab.server, "", "", "1h").unwrap();
        let service = lab.server.listen(22).unwrap();
        let here = format!(
            "[servers.\"10.77.1.1\"]\nuser = \"1\"\nkey = \"{}\"\n[servers.\"10.77.1.1\".resources]\n\
             ssh = {{ id = \"1\", port = 22 }}\n",
            digits(&KEY)
        );
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("letmein.toml");
        fs::write(&file, here).unwrap();
        let open = fs::Permissions::from_mode(0o755);
        fs::set_permissions(folder.path(), open).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        std::os::unix::fs::chown(&file, NOBODY.parse().ok(), None).unwrap();
        let mut process = lab
            .client
            .command("prlimit")
            .args(["--core=unlimited", "setpriv"])
            .args(["--reuid", NOBODY, "--regid", NOBODY, "--clear-groups"])
            .arg(program("letmein").unwrap())
            .arg("-c")
            .arg(file)
            .args(["proxy", "10.77.1.1", "22"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (mut connection, _) = service.accept().unwrap();
        connection.write_all(b"!").unwrap();
        let mut byte = [0];
        process.stdout.as_mut().unwrap().read_exact(&mut byte).unwrap();
        Self {
            process,
            _gate: gate,
            _lab: lab,
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        let _ended = self.process.kill();
        let _reaped = self.process.wait();
    }
}

#[test]
fn letmein_has_forgotten_the_key_when_it_relays() {
    let relay = Relay::start();
    let memory = memory(relay.process.id());
    is_wiped(&memory, &KEY);
    assert!(!holds(&memory, &states(&KEY)), "the states");
    // The host's name is there: this would find a key.
    assert!(holds(&memory, b"10.77.1.1"));
}

/// Core dumps are off, and `/proc` gives this process to root, which it does when others may not look into it.
#[track_caller]
fn has_no_core_dumps(process: u32, hard: &str) {
    let limits = fs::read_to_string(format!("/proc/{process}/limits")).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size"));
    let words: Vec<_> = core.unwrap().split_whitespace().collect();
    assert_eq!(words[4..6], ["0", hard], "{limits}");
    let group = fs::metadata(format!("/proc/{process}/environ")).unwrap().gid();
    assert_eq!(group, 0);
}

/// A command line that runs the one after it where a crash would leave a core dump in this folder, and as another group:
/// `/proc` names that one for a process that may be looked into.
fn crashing(folder: &TempDir) -> Vec<String> {
    let folder = folder.path().to_string_lossy();
    let words = [
        "env",
        "-C",
        &folder,
        "prlimit",
        "--core=unlimited",
        "setpriv",
        "--regid",
        NOBODY,
    ];
    words
        .iter()
        .chain(&["--clear-groups"])
        .map(|&word| word.to_owned())
        .collect()
}

#[test]
fn a_crash_of_something_else_leaves_a_core_dump() {
    let folder = TempDir::new().unwrap();
    let words = crashing(&folder);
    let mut cat = Command::new(&words[0]);
    cat.args(&words[1..])
        .arg("cat")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut cat = cat.spawn().unwrap();
    // Once it answers, it is `cat`, and none of the programs before it.
    cat.stdin.as_mut().unwrap().write_all(b"!").unwrap();
    cat.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
    let environment = fs::metadata(format!("/proc/{}/environ", cat.id())).unwrap();
    assert_eq!(environment.gid().to_string(), NOBODY);
    kill(Pid::from_raw(cat.id().cast_signed()), Signal::SIGABRT).unwrap();
    assert!(cat.wait().unwrap().core_dumped());
}

#[track_caller]
fn ended_without_core_dump(status: ExitStatus) {
    assert_eq!(status.signal(), Some(Signal::SIGABRT as i32));
    assert!(!status.core_dumped());
}

#[test]
fn a_crash_of_letmeind_leaves_none() {
    let folder = TempDir::new().unwrap();
    let lab = Lab::new().unwrap();
    let letmeind = Letmeind::new(&lab.server, &configuration("", "", "1h")).unwrap();
    let words = crashing(&folder);
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    let gate = letmeind.under(&words).start().unwrap();
    has_no_core_dumps(gate.pid().as_raw().cast_unsigned(), "0");
    ended_without_core_dump(gate.crash().unwrap());
}

#[test]
fn a_crash_of_letmein_leaves_none() {
    let mut relay = Relay::start();
    has_no_core_dumps(relay.process.id(), "unlimited");
    kill(Pid::from_raw(relay.process.id().cast_signed()), Signal::SIGABRT).unwrap();
    ended_without_core_dump(relay.process.wait().unwrap());
}
