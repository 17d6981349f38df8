//! Trying the packages out: a clean Debian boots in namespaces, gets them, and gets rid of them.

use super::{
    anew, check_rpm, deb, rpm,
    tree::{CONFIGURATION, Tree},
};
use crate::{install, install::Package, sh};
use anyhow::{bail, ensure};
use letmein_tests::{
    document::commands_for,
    lab::{Host, Lab, Outcome},
    machine::Machine,
};
use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
    thread,
    time::Duration,
};

const PACKAGES: &[Package] = &[Package {
    name: "debootstrap",
    purpose: "a clean Debian, in a folder",
}];
const SERVICE: &str = "letmeind.service";
/// A version that is newer than any of ours.
const NEWER: &str = "999";

/// Installs, starts, knocks, upgrades, removes and purges; the same with the rpm packages, but for purging.
pub fn run(server: &Tree, folder: &Path, packages: &Path, yes: bool) -> anyhow::Result<()> {
    install::packages(PACKAGES, yes)?;
    let site = Site::boot(folder, packages, "deb", |to| {
        deb::build(server, NEWER, to).map(drop)
    })?;
    site.installed_and_not_started()?;
    site.configured_and_started()?;
    site.while_a_stranger_tries(|| site.upgraded())?;
    site.removed()?;
    site.purged()?;
    site.left(folder)?;
    eprintln!("the Debian packages install, serve, upgrade and purge as they should");

    let site = Site::boot(folder, packages, "rpm", |to| {
        rpm::build(&[server], NEWER, folder, to)
    })?;
    check_rpm::run(&site)?;
    site.left(folder)?;
    eprintln!("the rpm packages install, serve, upgrade and go as they should");
    Ok(())
}

/// Debian 12 with systemd, what the packages depend on, and rpm. Made once.
fn debian(folder: &Path) -> anyhow::Result<PathBuf> {
    let made = folder.join("debian-12-with-rpm");
    if !made.exists() {
        let unfinished = folder.join("unfinished");
        anew(&unfinished)?;
        // The machine's apt knows where Debian's packages are.
        let mut debootstrap = Command::new("debootstrap");
        debootstrap.args([
            "--variant=minbase",
            "--include=systemd,systemd-sysv,nftables,iproute2,rpm",
            "bookworm",
        ]);
        debootstrap.arg(&unfinished);
        sh::run(&mut debootstrap)?;
        fs::rename(unfinished, &made)?;
    }
    Ok(made)
}

/// A clean Debian with a network, on which the packages lie in a folder, and a newer version of the server's below it.
pub(super) struct Site {
    // The machine goes before its network.
    pub(super) machine: Machine,
    pub(super) lab: Lab,
    _service: TcpListener,
}

impl Site {
    fn boot(
        folder: &Path,
        packages: &Path,
        kind: &str,
        build_newer: impl FnOnce(&Path) -> anyhow::Result<()>,
    ) -> anyhow::Result<Self> {
        let debian = debian(folder)?;
        let root = folder.join("check");
        anew(&root)?;
        for part in ["root", "changes", "work"] {
            fs::create_dir(root.join(part))?;
        }
        let here = root.join("changes/packages");
        let newer = here.join("newer");
        fs::create_dir_all(&newer)?;
        for name in super::names(packages)? {
            if name.extension().is_some_and(|extension| extension == kind) {
                fs::copy(packages.join(&name), here.join(&name))?;
            }
        }
        build_newer(&newer)?;
        let lab = Lab::new()?;
        let service = lab.server.listen(22)?;
        let layers = format!(
            "mount -t overlay -o lowerdir={},upperdir={root}/changes,workdir={root}/work overlay {root}/root",
            debian.display(),
            root = root.display()
        );
        let site = Self {
            machine: Machine::boot(&lab.server, &root.join("root"), &layers)?,
            lab,
            _service: service,
        };
        site.machine.wait_for("Debian has booted", |machine| {
            machine
                .run(&["systemctl", "is-active", "multi-user.target"])
                .is_ok()
        })?;
        Ok(site)
    }

    /// Nothing of it is left.
    fn left(self, folder: &Path) -> anyhow::Result<()> {
        drop(self);
        Ok(fs::remove_dir_all(folder.join("check"))?)
    }

    fn installed_and_not_started(&self) -> anyhow::Result<()> {
        Self::say("install: nothing is started, and nothing is closed");
        self.type_in("server", "/packages")?;
        self.type_in("client", "/packages")?;
        self.is_installed_and_not_started()
    }

    pub(super) fn is_installed_and_not_started(&self) -> anyhow::Result<()> {
        for what in ["is-active", "is-enabled"] {
            ensure!(self.machine.run(&["systemctl", what, SERVICE]).is_err(), "{what}");
        }
        self.outcome(&self.lab.other, Outcome::Open)?;
        self.shell("letmeind check && getent passwd letmein && test $(stat -c %a /etc/letmein/keys) = 700")?;
        for page in [
            "man1/letmein.1",
            "man5/letmein.toml.5",
            "man8/letmeind.8",
            "man5/letmeind.toml.5",
        ] {
            self.shell(&format!(
                "test -s /usr/share/man/{page}.gz || gzip -t /usr/share/man/{page}.gz"
            ))?;
        }
        Ok(())
    }

    pub(super) fn configured_and_started(&self) -> anyhow::Result<()> {
        Self::say("configure and start: ports are closed, and the packaged client opens them");
        self.shell(&format!(
            "sed -i -e 's/\"eth0\"/\"to-peer1\", \"to-peer2\"/' /{CONFIGURATION}
             letmeind user add alice --resource ssh --host 10.77.1.1 --server home >/root/line
             grep ^letmein: /root/line | HOME=/root letmein enroll -
             systemctl enable --now {SERVICE} || {{ journalctl --no-pager -u 'letmeind*' >&2; exit 1; }}"
        ))?;
        self.machine.wait_for_state(SERVICE, "active")?;
        self.outcome(&self.lab.other, Outcome::Silent)?;
        self.outcome(&self.lab.client, Outcome::Silent)?;
        // The machine's files, and the client's network.
        let mut knock = self
            .machine
            .command_in(&self.lab.client, &["letmein", "knock", "home", "ssh"]);
        ensure!(
            knock.env("HOME", "/root").status()?.success(),
            "the packaged client did not open the port"
        );
        self.outcome(&self.lab.client, Outcome::Open)?;
        let leases = self.shell("letmeind leases")?;
        ensure!(leases.contains("alice"), "letmeind leases: {leases}");
        let log = self.machine.log("letmeind*");
        ensure!(!log.contains("ERROR") && !log.contains("WARN"), "{log}");
        Ok(())
    }

    fn upgraded(&self) -> anyhow::Result<()> {
        Self::say("upgrade: another process, the same lease, and no gap");
        self.is_upgraded_by(|| self.type_in("upgrade", "/packages/newer"))
    }

    pub(super) fn is_upgraded_by(&self, upgrade: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<()> {
        let before = self.machine.property(SERVICE, "MainPID")?;
        upgrade()?;
        self.machine.wait_for_state(SERVICE, "active")?;
        ensure!(
            self.machine.property(SERVICE, "MainPID")? != before,
            "the old process goes on"
        );
        self.outcome(&self.lab.client, Outcome::Open)
    }

    fn removed(&self) -> anyhow::Result<()> {
        Self::say("remove: ports stay closed");
        self.type_in("remove", "/")?;
        self.is_removed()
    }

    pub(super) fn is_removed(&self) -> anyhow::Result<()> {
        ensure!(
            self.machine.run(&["pidof", "letmeind"]).is_err(),
            "letmeind still runs"
        );
        self.outcome(&self.lab.other, Outcome::Silent)
    }

    fn purged(&self) -> anyhow::Result<()> {
        Self::say("purge: nothing is left but the user's key and its folder");
        self.type_in("purge", "/")?;
        self.shell("dpkg --purge letmein")?;
        self.outcome(&self.lab.other, Outcome::Open)?;
        let rules = self.machine.run(&["nft", "list", "ruleset"])?;
        ensure!(rules.is_empty(), "rules are left: {rules}");
        let left = self.shell(
            "find / /run /sys/fs/bpf -xdev -name '*letmein*' -not -path '/packages*' -not -path '/root/*' \
                               -not -path '/run/systemd/*' -not -path '/var/log/*' -not -path '/run/log/*'",
        )?;
        let left: Vec<_> = left.lines().collect();
        ensure!(left == ["/etc/letmein"], "left: {left:?}");
        let left = self.shell("find /etc/letmein -type f")?;
        ensure!(
            left.starts_with("/etc/letmein/keys/alice-") && left.lines().count() == 1,
            "keys are not what is left: {left}"
        );
        Ok(())
    }

    /// What documents have people type at this moment, in this folder.
    fn type_in(&self, moment: &str, folder: &str) -> anyhow::Result<()> {
        let mut commands = commands_for("docs/operations.md", "debian", moment)?;
        // The README has the first steps only.
        commands.extend(commands_for("README.md", "debian", moment).unwrap_or_default());
        for command in commands {
            eprintln!("{command}");
            self.shell(&format!("cd {folder}; {command}"))?;
        }
        Ok(())
    }

    pub(super) fn say(what: &str) {
        eprintln!("-- {what}");
    }

    pub(super) fn shell(&self, script: &str) -> anyhow::Result<String> {
        self.machine.run(&["sh", "-ec", script])
    }

    pub(super) fn outcome(&self, host: &Host, expected: Outcome) -> anyhow::Result<()> {
        let address = if host.name() == self.lab.client.name() {
            "10.77.1.1:22"
        } else {
            "10.77.2.1:22"
        };
        let outcome = host.connect(address.parse()?)?;
        ensure!(
            outcome == expected,
            "{address} is {outcome:?}, and not {expected:?}"
        );
        Ok(())
    }

    /// Does `work` while somebody without a key tries port 22 all the time.
    pub(super) fn while_a_stranger_tries(
        &self,
        work: impl FnOnce() -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let (done, tries) = (AtomicBool::new(false), AtomicU32::new(0));
        thread::scope(|scope| {
            let stranger = scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    self.outcome(&self.lab.other, Outcome::Silent)?;
                    tries.fetch_add(1, Ordering::Relaxed);
                    thread::sleep(Duration::from_millis(1));
                }
                anyhow::Ok(())
            });
            let worked = work();
            done.store(true, Ordering::Relaxed);
            match stranger.join() {
                Ok(tried) => tried?,
                Err(_) => bail!("the stranger's thread has panicked"),
            }
            worked
        })?;
        ensure!(tries.into_inner() > 0, "nobody tried");
        Ok(())
    }
}
