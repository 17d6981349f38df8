//! A machine that systemd boots: its own processes, files and mounts, and a host's network.

use crate::lab::Host;
use anyhow::{Context as _, bail, ensure};
use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// Makes the namespaces and starts systemd in them.
const BOOT: &str = include_str!("machine.sh");
/// How long something may take that has to come. A busy machine boots slowly.
const PATIENCE: Duration = Duration::from_mins(1);
/// What this machine's own systemd package starts, and nobody needs here.
const MASKED: &[&str] = &[
    "dbus.service",
    "dbus.socket",
    "getty.target",
    "systemd-logind.service",
    "proc-sys-fs-binfmt_misc.automount",
    "systemd-tmpfiles-clean.timer",
];

/// A folder to boot from: this machine's `/usr`, over which lies what is put into `usr`, and an `/etc` of its own.
pub struct Root {
    folder: TempDir,
}

/// It runs until it is dropped.
pub struct Machine {
    process: Child,
    /// systemd, as seen from here.
    systemd: u32,
    cgroup: String,
    _script: TempDir,
}

impl Root {
    /// With nothing of ours in it.
    pub fn new() -> anyhow::Result<Self> {
        let root = Self {
            folder: TempDir::new()?,
        };
        // systemd looks at it before it takes it for a root.
        fs::set_permissions(root.folder.path(), fs::Permissions::from_mode(0o755))?;
        for folder in [
            "proc",
            "sys",
            "dev",
            "run",
            "tmp",
            "var/log",
            "root",
            "usr",
            "etc/systemd/system",
        ] {
            fs::create_dir_all(root.path(folder))?;
        }
        for folder in ["bin", "sbin", "lib", "lib32", "lib64", "libx32"] {
            if Path::new("/").join(folder).is_symlink() {
                symlink(format!("usr/{folder}"), root.path(folder))?;
            }
        }
        root.write("etc/machine-id", "6c65746d65696e6c65746d65696e0000\n")?;
        root.write("etc/passwd", "root:x:0:0:root:/root:/bin/sh\n")?;
        root.write("etc/group", "root:x:0:\n")?;
        for unit in MASKED {
            symlink("/dev/null", root.path("etc/systemd/system").join(unit))?;
        }
        Ok(root)
    }

    /// Where this is while the machine does not run.
    #[must_use]
    pub fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    /// Writes a file, and makes the folders above it.
    pub fn write(&self, path: &str, text: &str) -> anyhow::Result<()> {
        let path = self.path(path);
        fs::create_dir_all(path.parent().context("a file is in a folder")?)?;
        Ok(fs::write(path, text)?)
    }

    /// Copies a file as it is, and makes the folders above it.
    pub fn copy(&self, from: &Path, path: &str) -> anyhow::Result<()> {
        let path = self.path(path);
        fs::create_dir_all(path.parent().context("a file is in a folder")?)?;
        fs::copy(from, &path).with_context(|| format!("cannot copy {}", from.display()))?;
        Ok(())
    }

    /// As `systemctl enable` does.
    pub fn enable(&self, unit: &str, target: &str) -> anyhow::Result<()> {
        let folder = self.path(&format!("etc/systemd/system/{target}.wants"));
        fs::create_dir_all(&folder)?;
        Ok(symlink(
            format!("/usr/lib/systemd/system/{unit}"),
            folder.join(unit),
        )?)
    }

    /// Boots it. Units may not be finished when this returns.
    pub fn boot(&self, host: &Host) -> anyhow::Result<Machine> {
        // Read-only, as two lower layers are.
        let layers = format!("lowerdir={}:/usr", self.path("usr").display());
        let usr = format!(
            "mount -t overlay -o {layers} overlay '{}'",
            self.path("usr").display()
        );
        Machine::boot(host, self.folder.path(), &usr)
    }
}

impl Machine {
    /// Boots from this folder, after this command of the shell in the machine's mount namespace.
    pub fn boot(host: &Host, root: &Path, first: &str) -> anyhow::Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let cgroup = format!("letmein-test-{}-{number}", std::process::id());
        let script = TempDir::new()?;
        let boot = script.path().join("boot");
        fs::write(&boot, BOOT)?;
        let process = host
            .command("sh")
            .args(["-c", &format!("{first}\nexec sh \"$@\""), "sh"])
            .args([&boot, root])
            .arg(&cgroup)
            .stdout(Stdio::null())
            .spawn()?;
        let mut machine = Self {
            process,
            systemd: 0,
            cgroup,
            _script: script,
        };
        machine.systemd = machine.first_process()?;
        machine.wait_for("systemd answers", |machine| {
            let answered = machine.command(&["systemctl", "is-system-running"]).output();
            answered.is_ok_and(|output| {
                matches!(
                    output.stdout.as_slice(),
                    b"starting\n" | b"running\n" | b"degraded\n"
                )
            })
        })?;
        Ok(machine)
    }

    /// The child of `unshare`, which is what our child becomes.
    fn first_process(&mut self) -> anyhow::Result<u32> {
        let pid = self.process.id();
        let deadline = Instant::now() + PATIENCE;
        loop {
            let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
            for child in children.split_whitespace() {
                // What was a child a moment ago may have ended.
                if fs::read_to_string(format!("/proc/{child}/comm")).is_ok_and(|name| name == "systemd\n") {
                    return Ok(child.parse()?);
                }
            }
            if let Some(status) = self.process.try_wait()? {
                bail!("the machine did not boot: {status}");
            }
            ensure!(Instant::now() < deadline, "the machine does not boot");
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// A command that runs there.
    #[must_use]
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command
            .args(["--target", &self.systemd.to_string()])
            .args([
                "--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--root", "--wd",
            ])
            .args([
                "env",
                "-i",
                "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
                "LC_ALL=C.UTF-8",
            ])
            .args(words)
            .stdin(Stdio::null());
        command
    }

    /// A command with that machine's files and another host's network.
    #[must_use]
    pub fn command_in(&self, host: &Host, words: &[&str]) -> Command {
        let mut command = host.command("nsenter");
        command
            .args(["--target", &self.systemd.to_string(), "--mount", "--root", "--wd"])
            .args(words);
        command
    }

    /// Runs a command there to its end, which has to be a good one, and returns what it printed.
    pub fn run(&self, words: &[&str]) -> anyhow::Result<String> {
        let Output {
            status,
            stdout,
            stderr,
        } = self.command(words).output()?;
        let said = String::from_utf8_lossy(&stderr);
        ensure!(status.success(), "{}: {}", words.join(" "), said.trim());
        Ok(String::from_utf8(stdout)?)
    }

    /// A property of a unit, as `systemctl show` has it.
    pub fn property(&self, unit: &str, property: &str) -> anyhow::Result<String> {
        let shown = self.run(&["systemctl", "show", "--value", "--property", property, unit])?;
        Ok(shown.trim_end().to_owned())
    }

    /// What the journal has of a unit.
    #[must_use]
    pub fn log(&self, unit: &str) -> String {
        self.run(&["journalctl", "--no-pager", "--output=cat", "--unit", unit])
            .unwrap_or_default()
    }

    /// Waits until something holds. If that does not come, the error has the failed units' logs.
    pub fn wait_for(&self, what: &str, holds: impl Fn(&Self) -> bool) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while !holds(self) {
            if Instant::now() > deadline {
                let units = self.run(&["systemctl", "list-units", "--no-pager", "--failed"]);
                bail!("{what}: not so\n{}\n{}", units?, self.log("letmeind*"));
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Waits until a unit is in this state, such as `active`.
    pub fn wait_for_state(&self, unit: &str, state: &str) -> anyhow::Result<()> {
        self.wait_for(&format!("{unit} is {state}"), |machine| {
            machine
                .property(unit, "ActiveState")
                .is_ok_and(|now| now == state)
        })
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // systemd goes with it, and with systemd everything that it has started.
        let _ended = self.process.kill();
        let _reaped = self.process.wait();
        let tidy = "mount -t cgroup2 none /mnt && cd /mnt && for try in 1 2 3 4 5 6 7 8 9 10; do \
                    find \"$1\" -depth -type d -exec rmdir {} + 2>/dev/null; [ -d \"$1\" ] || exit 0; sleep 0.1; done";
        let _gone = Command::new("unshare")
            .args(["--mount", "sh", "-c", tidy, "sh", &self.cgroup])
            .status();
    }
}
