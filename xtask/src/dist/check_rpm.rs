//! Trying the rpm packages out. What runs them is Debian's rpm, to which nothing else is known to be installed; the files,
//! their owners and modes, and the scriptlets under a real systemd are what they would be elsewhere.

use super::check::Site;
use anyhow::ensure;
use letmein_tests::lab::Outcome;

/// Mode, owner and path of what somebody could do harm with, or that has to be found by others.
const FILES: &[&str] = &[
    "755 root:root /etc/letmein",
    "700 root:root /etc/letmein/keys",
    "644 root:root /etc/letmein/letmeind.toml",
    "755 root:root /usr/sbin/letmeind",
    "755 root:root /usr/bin/letmein",
    "644 root:root /usr/lib/systemd/system/letmeind.service",
    "644 root:root /usr/lib/systemd/system/letmeind-guard.service",
    "644 root:root /usr/lib/sysusers.d/letmein.conf",
    "644 root:root /usr/share/zsh/site-functions/_letmeind",
    "644 root:root /usr/share/man/man8/letmeind.8.gz",
];

/// Installs, starts, knocks, upgrades and removes.
pub fn run(site: &Site) -> anyhow::Result<()> {
    Site::say("rpm, install: files are whose they should be, nothing is started, and nothing is closed");
    // What they depend on is there, but by Debian's packages.
    site.shell("rpm --install --nodeps /packages/*.rpm")?;
    for file in FILES {
        let path = file.rsplit(' ').next().unwrap_or_default();
        let found = site.shell(&format!("stat -c '%a %U:%G %n' {path}"))?;
        ensure!(found.trim_end() == *file, "{file}: {found}");
    }
    let unowned = site.shell("rpm --query --file /etc/letmein /etc/letmein/keys /usr/share/doc/letmeind")?;
    ensure!(
        unowned.lines().all(|line| line.starts_with("letmeind-")),
        "{unowned}"
    );
    site.shell("rpm --verify letmein letmeind --nodeps")?;
    site.is_installed_and_not_started()?;

    Site::say("rpm, configure and start");
    site.configured_and_started()?;

    Site::say("rpm, upgrade: another process, the same lease, no gap, and the configuration as it was");
    let before = site.shell("cat /etc/letmein/letmeind.toml")?;
    site.while_a_stranger_tries(|| {
        site.is_upgraded_by(|| {
            site.shell("rpm --upgrade --nodeps /packages/newer/letmeind-*.rpm")
                .map(drop)
        })
    })?;
    ensure!(
        site.shell("cat /etc/letmein/letmeind.toml")? == before,
        "another configuration"
    );

    Site::say("rpm, remove: ports stay closed, the configuration is kept, and `letmeind down` before opens");
    site.shell("cp /usr/sbin/letmeind /root/letmeind; rpm --erase letmeind letmein")?;
    site.is_removed()?;
    site.shell("test -e /etc/letmein/letmeind.toml.rpmsave && test ! -e /usr/sbin/letmeind")?;
    site.shell("/root/letmeind down --config /etc/letmein/letmeind.toml.rpmsave")?;
    site.outcome(&site.lab.other, Outcome::Open)
}
