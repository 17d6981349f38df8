//! The other implementation, letmein 12.6.2: its client, and its servers `letmeind` and `letmeinfwd`.

use crate::lab::Host;
use anyhow::{Context as _, bail};
use nix::unistd::Pid;
use std::{
    fmt::Write as _,
    fs,
    io::{BufRead as _, BufReader, Read},
    os::unix::fs::{PermissionsExt as _, chown},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::mpsc::{Receiver, Sender, channel},
    thread,
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// How long a server has to say or do something.
const PATIENCE: Duration = Duration::from_secs(20);
/// Between two looks at what is waited for.
const GLANCE: Duration = Duration::from_millis(10);
/// Who `letmeind` runs as: `letmeinfwd` insists on a user and a group of that name.
const LETMEIND_ID: u32 = 64_123;

/// Starts a server ($3 and what follows) as it expects to be started. Its user exists in a mount namespace that ends with it
/// (`ip netns exec` makes one), and the program is ($2) where that user can reach it, wherever it was built ($1).
const AS_INSTALLED: &str = "set -e; program=$1; here=$2; folder=${2%/*}; shift 2
mount --bind \"$folder/passwd\" /etc/passwd
mount --bind \"$folder/group\" /etc/group
mount --bind \"$program\" \"$here\"
exec \"$@\"";

/// Both servers, running.
pub struct Servers {
    // First, so that it is stopped first.
    letmeind: Running,
    letmeinfwd: Running,
    log: Log,
    _folder: TempDir,
}

/// A process that ends with its owner.
struct Running(Child);

/// What the servers say.
struct Log {
    lines: Receiver<String>,
    seen: Vec<String>,
}

impl Servers {
    /// Starts them with this configuration, and waits until they serve. The chain they program must be there.
    pub fn start(host: &Host, configuration: &str) -> anyhow::Result<Self> {
        let folder = folder(configuration)?;
        let (sender, lines) = channel();
        let mut log = Log {
            lines,
            seen: Vec::new(),
        };
        let letmeinfwd = start(host, folder.path(), "letmeinfwd", &[], &sender)?;
        log.wait_for("rules is installed")?;

        let id = LETMEIND_ID.to_string();
        let user = ["setpriv", "--reuid", &id, "--regid", &id, "--clear-groups"];
        let mut letmeind = start(host, folder.path(), "letmeind", &user, &sender)?;
        // Written when its sockets are bound.
        let pid_file = folder.path().join("letmeind/letmeind.pid");
        let deadline = Instant::now() + PATIENCE;
        while !fs::read_to_string(&pid_file).is_ok_and(|pid| pid.ends_with('\n')) {
            if letmeind.0.try_wait()?.is_some() || Instant::now() > deadline {
                bail!("letmein 12's letmeind does not start");
            }
            thread::sleep(GLANCE);
        }
        Ok(Self {
            letmeind,
            letmeinfwd,
            log,
            _folder: folder,
        })
    }

    /// Both processes.
    #[must_use]
    pub fn processes(&self) -> Vec<Pid> {
        let servers = [&self.letmeind, &self.letmeinfwd];
        servers
            .iter()
            .map(|server| Pid::from_raw(server.0.id().cast_signed()))
            .collect()
    }

    /// Waits until one of them has said this, since the start or now.
    pub fn wait_for(&mut self, text: &str) -> anyhow::Result<()> {
        self.log.wait_for(text)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ended = self.0.kill();
        let _reaped = self.0.wait();
    }
}

impl Log {
    fn wait_for(&mut self, text: &str) -> anyhow::Result<()> {
        while !self.seen.iter().any(|line| line.contains(text)) {
            let line = self.lines.recv_timeout(PATIENCE);
            self.seen
                .push(line.with_context(|| format!("waiting for {text:?} from letmein 12's servers"))?);
        }
        Ok(())
    }
}

/// Its client, and a configuration for it.
pub struct Client {
    program: PathBuf,
    folder: TempDir,
}

impl Client {
    /// With this configuration.
    pub fn new(configuration: &str) -> anyhow::Result<Self> {
        let folder = TempDir::new()?;
        fs::write(folder.path().join("letmein.conf"), configuration)?;
        Ok(Self {
            program: program("letmein")?,
            folder,
        })
    }

    /// Runs it in this thread's namespace.
    #[must_use]
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command
            .arg("--config")
            .arg(self.folder.path().join("letmein.conf"))
            .args(arguments)
            .stdin(Stdio::null());
        command
    }
}

/// Runs the client on `host` with this configuration and these arguments.
pub fn letmein(host: &Host, configuration: &str, arguments: &[&str]) -> anyhow::Result<Output> {
    let client = Client::new(configuration)?;
    Ok(host.enter(|| client.command(arguments).output())??)
}

/// A key as its configuration files have it.
#[must_use]
pub fn hexadecimal(key: &[u8; 32]) -> String {
    let mut text = String::new();
    for byte in key {
        // Writing to a string does not fail.
        let _infallible = write!(text, "{byte:02X}");
    }
    text
}

/// One of its programs, as `cargo xtask test` installs them below the target folder.
fn program(name: &str) -> anyhow::Result<PathBuf> {
    let this = std::env::current_exe()?;
    let found = this
        .ancestors()
        .skip(1)
        .map(|folder| folder.join("peers/bin").join(name))
        .find(|path| path.is_file());
    found.with_context(|| format!("letmein 12's {name} is not installed: run `cargo xtask test`"))
}

/// What the servers find when they start: their configuration, their user, and where that user may write.
fn folder(configuration: &str) -> anyhow::Result<TempDir> {
    let folder = TempDir::new()?;
    let path = folder.path();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
    fs::write(path.join("letmeind.conf"), configuration)?;
    fs::write(
        path.join("passwd"),
        format!("root:x:0:0::/root:/bin/sh\nletmeind:x:{LETMEIND_ID}:{LETMEIND_ID}::/:/bin/false\n"),
    )?;
    fs::write(
        path.join("group"),
        format!("root:x:0:\nletmeind:x:{LETMEIND_ID}:\n"),
    )?;
    fs::create_dir(path.join("letmeind"))?;
    chown(path.join("letmeind"), Some(LETMEIND_ID), Some(LETMEIND_ID))?;
    Ok(folder)
}

/// Starts one server through `wrapper`, in the folder that [`folder`] has made.
fn start(
    host: &Host,
    folder: &Path,
    name: &str,
    wrapper: &[&str],
    log: &Sender<String>,
) -> anyhow::Result<Running> {
    let here = folder.join(format!("{name}-program"));
    fs::write(&here, "")?;
    let mut command: Command = host.command("sh");
    command
        .args(["-c", AS_INSTALLED, "sh"])
        .args([&program(name)?, &here])
        .args(wrapper)
        .arg(&here)
        .arg("--config")
        .arg(folder.join("letmeind.conf"))
        .arg("--rundir")
        .arg(folder)
        .arg("--no-systemd");
    let mut process = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    if let Some(stdout) = process.stdout.take() {
        follow(stdout, name, log);
    }
    if let Some(stderr) = process.stderr.take() {
        follow(stderr, name, log);
    }
    Ok(Running(process))
}

fn follow(output: impl Read + Send + 'static, name: &str, log: &Sender<String>) {
    let (name, log) = (format!("letmein 12's {name}"), log.clone());
    thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            eprintln!("{name}: {line}");
            if log.send(line).is_err() {
                break;
            }
        }
    });
}
