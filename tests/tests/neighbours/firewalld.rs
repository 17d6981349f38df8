//! firewalld, with a D-Bus and a configuration of its own.

use crate::{
    Neighbour, let_in_as_documented, live_beside,
    scene::{Scene, eventually},
    unpacked::{self, MODULES, PYTHON, run},
};
use letmein_tests::lab::Host;
use std::{
    fs,
    path::PathBuf,
    process::{Child, Command, Stdio},
};
use tempfile::TempDir;

const PACKAGES: [&str; 3] = ["firewalld", "python3-firewall", "python3-nftables"];

struct Firewalld<'a> {
    host: &'a Host,
    root: TempDir,
    /// The daemon, and last the bus that it is on.
    processes: Vec<Child>,
}

impl<'a> Firewalld<'a> {
    fn new(host: &'a Host) -> Self {
        let root = tempfile::tempdir().unwrap();
        unpacked::copy(&PACKAGES, root.path());
        let mut firewalld = Self {
            host,
            root,
            processes: Vec::new(),
        };
        firewalld.start_bus();
        firewalld.start();
        firewalld
    }

    fn path(&self, below: &str) -> PathBuf {
        self.root.path().join(below)
    }

    fn start_bus(&mut self) {
        let file = self.path("bus.conf");
        let bus = format!(
            r#"<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
             "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
            <busconfig>
              <listen>unix:path={}</listen>
              <auth>EXTERNAL</auth>
              <policy context="default">
                <allow own="*"/> <allow send_type="method_call"/> <allow send_type="method_return"/>
                <allow send_type="error"/> <allow send_type="signal"/> <allow receive_type="method_call"/>
                <allow receive_type="method_return"/> <allow receive_type="error"/> <allow receive_type="signal"/>
              </policy>
            </busconfig>"#,
            self.path("bus").display()
        );
        fs::write(&file, bus).unwrap();
        let mut bus = Command::new("dbus-daemon");
        bus.arg("--config-file")
            .arg(file)
            .args(["--nofork", "--nopidfile"]);
        self.processes.push(bus.stderr(Stdio::null()).spawn().unwrap());
        eventually("the bus is there", || self.path("bus").exists());
    }

    fn command(&self, program: &str) -> Command {
        let mut command = self.host.command(PYTHON);
        command
            .arg(self.path(program))
            .env(
                "DBUS_SYSTEM_BUS_ADDRESS",
                format!("unix:path={}", self.path("bus").display()),
            )
            .env("PYTHONPATH", self.path(MODULES))
            .env("PYTHONDONTWRITEBYTECODE", "1");
        command
    }

    fn cmd(&self, arguments: &[&str]) {
        run(self.command("usr/bin/firewall-cmd").args(arguments));
    }
}

impl Neighbour for Firewalld<'_> {
    fn allow(&mut self, port: &str) {
        self.cmd(&["--permanent", "--add-port", port]);
        self.cmd(&["--add-port", port]);
    }

    fn reload(&mut self) {
        self.cmd(&["--reload"]);
    }

    fn stop(&mut self) {
        let mut daemon = self.processes.pop().unwrap();
        let id = nix::unistd::Pid::from_raw(daemon.id().cast_signed());
        nix::sys::signal::kill(id, nix::sys::signal::Signal::SIGTERM).unwrap();
        daemon.wait().unwrap();
    }

    fn start(&mut self) {
        let mut daemon = self.command("usr/sbin/firewalld");
        daemon.args(["--nofork", "--nopid", "--system-config"]);
        daemon.arg(self.path("etc/firewalld"));
        daemon.arg("--default-config").arg(self.path("usr/lib/firewalld"));
        daemon.arg("--log-file").arg(self.path("log"));
        daemon.stdout(Stdio::null()).stderr(Stdio::null());
        self.processes.push(daemon.spawn().unwrap());
        eventually("firewalld runs", || {
            let mut state = self.command("usr/bin/firewall-cmd");
            state.arg("--state").output().unwrap().status.success()
        });
    }
}

impl Drop for Firewalld<'_> {
    fn drop(&mut self) {
        for process in self.processes.iter_mut().rev() {
            let _ended = process.kill();
            let _reaped = process.wait();
        }
    }
}

/// Its zone `public` lets SSH in at first.
fn without_ssh(scene: &Scene) -> Firewalld<'_> {
    let firewalld = Firewalld::new(&scene.lab.server);
    firewalld.cmd(&["--permanent", "--remove-service", "ssh"]);
    firewalld.cmd(&["--remove-service", "ssh"]);
    firewalld
}

#[test]
fn side_by_side() {
    let scene = Scene::new();
    let mut firewalld = without_ssh(&scene);
    live_beside(&scene, &mut firewalld);
}

#[test]
fn as_documented() {
    let scene = Scene::new();
    let firewalld = without_ssh(&scene);
    let_in_as_documented(&scene, "firewalld", |words| firewalld.cmd(words));
}
