//! A limit on a program's memory, its share of the kernel's included: a control group of a test's own.

use anyhow::{Context as _, ensure};
use std::{fs, path::PathBuf, process::Command};
use tempfile::TempDir;

/// The group, until it is dropped. By then nothing may run in it.
pub struct MemoryLimit {
    /// Where the hierarchy is mounted: `ip netns exec` hides `/sys`.
    mounted: TempDir,
    group: PathBuf,
}

impl MemoryLimit {
    /// A group whose programs get this many bytes together. Needs root.
    pub fn new(bytes: u64) -> anyhow::Result<Self> {
        // Which version of control groups has the controller is the machine's choice.
        let controllers = fs::read_to_string("/proc/cgroups").context("this kernel has no control groups")?;
        let memory = controllers.lines().find(|line| line.starts_with("memory\t"));
        let hierarchy = memory.and_then(|line| line.split('\t').nth(1));
        let is_first_version = hierarchy.context("this kernel has no memory controller")? != "0";
        let arguments: &[&str] = if is_first_version {
            &["-t", "cgroup", "-o", "memory", "none"]
        } else {
            &["-t", "cgroup2", "none"]
        };
        let mounted = TempDir::new()?;
        let status = Command::new("mount")
            .args(arguments)
            .arg(mounted.path())
            .status()?;
        ensure!(
            status.success(),
            "cannot mount control groups: run the tests as root"
        );
        let name = mounted.path().file_name().unwrap_or_default();
        let group = mounted.path().join(format!("letmein-{}", name.to_string_lossy()));
        let limit = Self { mounted, group };
        if !is_first_version {
            fs::write(limit.mounted.path().join("cgroup.subtree_control"), "+memory")?;
        }
        fs::create_dir(&limit.group)?;
        let file = if is_first_version {
            "memory.limit_in_bytes"
        } else {
            "memory.max"
        };
        fs::write(limit.group.join(file), bytes.to_string()).context("the limit")?;
        Ok(limit)
    }

    /// The program and the arguments to start another one by (see [`crate::letmeind::Letmeind::under`]).
    #[must_use]
    pub fn starter(&self) -> [String; 4] {
        let processes = self.group.join("cgroup.procs");
        let script = format!("echo $$ >'{}' && exec \"$@\"", processes.display());
        ["sh".to_owned(), "-c".to_owned(), script, "sh".to_owned()]
    }
}

impl Drop for MemoryLimit {
    fn drop(&mut self) {
        let _gone = fs::remove_dir(&self.group);
        let _gone = Command::new("umount").arg("-l").arg(self.mounted.path()).status();
    }
}
