//! A machine with the gate and a service, a guest with a key, and a stranger who tries all the time.

use letmein_tests::{
    gate::{KEY, letmein, program},
    lab::{Lab, Outcome},
    machine::{Machine, Root},
};
use std::{
    fs::{self, Permissions},
    net::TcpListener,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
    thread,
    time::Duration,
};

/// A challenge knock opens at once after a boot, and silent knocks make use of the BPF file system.
const CONFIGURATION: &str = r#"
[gate]
interfaces = ["to-peer1", "to-peer2"]
silent = true
[firewall]
[resources.ssh]
id = "1"
ports = ["tcp/22"]
[users.alice]
id = "1"
key-file = "alice.key"
resources = ["ssh"]
[operator]
group = "watchers"
"#;

/// The group of the operator's socket.
pub const WATCHERS: u32 = 990;

/// The network, which is there from now on, and what there is in nftables before.
const NETWORK: &str = "[Unit]
DefaultDependencies=no
After=network-pre.target local-fs.target
Wants=network-pre.target network.target
Before=network.target
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=sh -c 'nft list ruleset >/run/ruleset-before-the-network'
ExecStart=ip link set to-peer1 up
ExecStart=ip link set to-peer2 up
";

/// As Debian's begins.
const NFTABLES: &str = "flush ruleset\ntable inet users {\n}\n";

/// What lies in `dist/systemd/`.
pub fn unit(name: &str) -> PathBuf {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    workspace.join("dist/systemd").join(name)
}

pub struct Scene {
    // The machine goes before its network.
    pub machine: Machine,
    pub lab: Lab,
    _service: TcpListener,
    _root: Root,
}

impl Scene {
    /// Boots a machine with the gate enabled. `watchdog` replaces the one of the unit.
    pub fn boot(watchdog: &str) -> Self {
        Self::boot_after(watchdog, |_| {})
    }

    /// The same, after something was done to its files.
    pub fn boot_after(watchdog: &str, change: impl FnOnce(&Root)) -> Self {
        let lab = Lab::new().unwrap();
        let service = lab.server.listen(22).unwrap();
        for interface in ["to-peer1", "to-peer2"] {
            lab.server.run("ip", &["link", "set", interface, "down"]).unwrap();
        }
        let root = Root::new().unwrap();
        let letmeind = "usr/sbin/letmeind";
        root.copy(&program("letmeind").unwrap(), letmeind).unwrap();
        for name in ["letmeind.service", "letmeind.socket", "letmeind-guard.service"] {
            root.copy(&unit(name), &format!("usr/lib/systemd/system/{name}"))
                .unwrap();
        }
        root.copy(&unit("letmein.sysusers.conf"), "usr/lib/sysusers.d/letmein.conf")
            .unwrap();
        root.write("etc/group", &format!("root:x:0:\nwatchers:x:{WATCHERS}:\n"))
            .unwrap();
        root.write("etc/letmein/letmeind.toml", CONFIGURATION).unwrap();
        let key = KEY.map(|byte| format!("{byte:02x}")).concat();
        root.write("etc/letmein/alice.key", &key).unwrap();
        fs::set_permissions(root.path("etc/letmein/alice.key"), Permissions::from_mode(0o600)).unwrap();
        root.write("usr/lib/systemd/system/the-network.service", NETWORK)
            .unwrap();
        root.write(
            "etc/systemd/system/letmeind.service.d/watchdog.conf",
            &format!("[Service]\nWatchdogSec={watchdog}\n"),
        )
        .unwrap();
        root.write("etc/nftables.conf", NFTABLES).unwrap();
        root.enable("nftables.service", "sysinit.target").unwrap();
        root.enable("the-network.service", "multi-user.target").unwrap();
        root.enable("letmeind.service", "multi-user.target").unwrap();
        change(&root);
        Self {
            machine: root.boot(&lab.server).unwrap(),
            lab,
            _service: service,
            _root: root,
        }
    }

    /// Does `work` while a stranger tries port 22 all the time, who must never get in.
    pub fn while_a_stranger_tries(&self, work: impl FnOnce()) {
        let (done, tries) = (AtomicBool::new(false), AtomicU32::new(0));
        thread::scope(|scope| {
            let stranger = scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    let outcome = self.lab.other.connect("10.77.2.1:22".parse().unwrap());
                    // Before there is a network, there is no route to it.
                    assert_ne!(outcome.ok(), Some(Outcome::Open));
                    tries.fetch_add(1, Ordering::Relaxed);
                    thread::sleep(Duration::from_millis(1));
                }
            });
            // Also if the work fails.
            let finish = Finish(&done);
            work();
            drop(finish);
            stranger.join().unwrap();
        });
        assert!(tries.into_inner() > 0);
    }

    pub fn knock(&self) -> i32 {
        self.letmein("1", &[])
    }

    /// On the resource with this id.
    pub fn knock_on(&self, resource: &str) -> i32 {
        self.letmein(resource, &[])
    }

    pub fn knock_over_tcp(&self) -> i32 {
        self.letmein("1", &["-T"])
    }

    fn letmein(&self, resource: &str, options: &[&str]) -> i32 {
        let configuration = format!(
            "[servers.gate]\nhost = \"10.77.1.1\"\nuser = \"1\"\nkey-file = \"alice.key\"\n\
             [servers.gate.resources]\nit = {{ id = \"{resource}\", port = 22 }}\n"
        );
        let arguments = [&["knock", "gate", "it"], options].concat();
        letmein(&self.lab.client, &configuration, &KEY, &arguments).unwrap()
    }

    pub fn guest(&self) -> Outcome {
        self.lab.client.connect("10.77.1.1:22".parse().unwrap()).unwrap()
    }
}

struct Finish<'a>(&'a AtomicBool);

impl Drop for Finish<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
