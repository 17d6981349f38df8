//! The built program and a configuration for it.

use crate::gate::{KEY, RESOURCE, USER};
use std::{
    fmt::Write as _,
    fs,
    io::Read as _,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// Longer than any run of the client may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// A folder with a configuration that has one server, `gate`.
pub struct Client {
    folder: TempDir,
}

/// How a run ended.
#[derive(Debug)]
pub struct Run {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
    pub took: Duration,
}

impl Client {
    /// For a gate at `gate`, with this `timeout`.
    pub fn new(gate: SocketAddr, timeout: &str) -> Self {
        let (host, port) = (gate.ip(), gate.port());
        Self::with_config(&format!(
            "[servers.gate]\nhost = \"{host}\"\nport = {port}\ntimeout = \"{timeout}\"\nuser = \"{USER}\"\n\
             key-file = \"gate.key\"\n[servers.gate.resources]\nssh = {{ id = \"{RESOURCE}\", port = 22 }}\n"
        ))
    }

    /// With this configuration, and the gate's key in `gate.key`.
    pub fn with_config(text: &str) -> Self {
        let client = Self {
            folder: TempDir::new().unwrap(),
        };
        fs::write(client.config(), text).unwrap();
        let key = client.path("gate.key");
        fs::write(&key, digits()).unwrap();
        close(&key);
        client
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn config(&self) -> PathBuf {
        self.path("letmein.toml")
    }

    /// Runs it with the configuration and these words.
    pub fn run(&self, words: &str) -> Run {
        run(self.command(words))
    }

    /// The same, to be run in another way.
    pub fn command(&self, words: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_letmein"));
        command
            .arg("-c")
            .arg(self.config())
            .args(words.split_whitespace());
        command
    }
}

/// The key as a file has it.
pub fn digits() -> String {
    let mut digits = String::new();
    for byte in KEY {
        write!(digits, "{byte:02x}").unwrap();
    }
    digits
}

/// Runs it to its end. Whatever it says, the key is never in it.
pub fn run(mut command: Command) -> Run {
    let start = Instant::now();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if start.elapsed() > PATIENCE {
            let _killed = child.kill();
        }
        sleep(Duration::from_millis(2));
    };
    let mut ended = Run {
        code: status.code(),
        stdout: String::new(),
        stderr: String::new(),
        took: start.elapsed(),
    };
    let (mut stdout, mut stderr) = (child.stdout.unwrap(), child.stderr.unwrap());
    stdout.read_to_string(&mut ended.stdout).unwrap();
    stderr.read_to_string(&mut ended.stderr).unwrap();
    for text in [&ended.stdout, &ended.stderr] {
        assert!(!text.contains(&digits()[..16]), "the key is shown: {ended:?}");
    }
    ended
}

impl Run {
    /// Asserts that it ended with this code and a message with this text.
    #[track_caller]
    pub fn ended(&self, code: i32, text: &str) {
        assert_eq!(self.code, Some(code), "{self:?}");
        let told = if code == 0 { &self.stdout } else { &self.stderr };
        assert!(told.contains(text), "{text:?} is missing: {self:?}");
    }
}

#[cfg(unix)]
fn close(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

#[cfg(not(unix))]
fn close(_: &Path) {}
