//! ufw, with files of its own: it takes another root folder than the machine's.

use crate::{
    Neighbour, let_in_as_documented, live_beside,
    scene::Scene,
    unpacked::{self, MODULES, PYTHON, run},
};
use letmein_tests::lab::Host;
use std::{fs, path::Path};
use tempfile::TempDir;

struct Ufw<'a> {
    host: &'a Host,
    root: TempDir,
}

impl<'a> Ufw<'a> {
    fn new(host: &'a Host) -> Self {
        let root = tempfile::tempdir().unwrap();
        unpacked::copy(&["ufw"], root.path());
        configure(root.path());
        let ufw = Self { host, root };
        ufw.run(&["--force", "enable"]);
        ufw
    }

    fn run(&self, arguments: &[&str]) {
        let root = self.root.path();
        let mut ufw = self.host.command(PYTHON);
        ufw.arg(root.join("usr/sbin/ufw"))
            .arg(format!("--rootdir={}", root.display()))
            .arg(format!("--datadir={}", root.display()))
            .args(arguments)
            .env("PYTHONPATH", root.join(MODULES))
            .env("PYTHONDONTWRITEBYTECODE", "1");
        run(&mut ufw);
    }
}

/// What the package's installation does.
fn configure(root: &Path) {
    let (templates, to) = (root.join("usr/share/ufw"), root.join("etc/ufw"));
    for name in ["ufw.conf", "before.init", "after.init"] {
        fs::copy(templates.join(name), to.join(name)).unwrap();
    }
    for name in ["before", "before6", "user", "user6", "after", "after6"] {
        let name = format!("{name}.rules");
        fs::copy(templates.join("iptables").join(&name), to.join(&name)).unwrap();
    }
}

impl Neighbour for Ufw<'_> {
    fn allow(&mut self, port: &str) {
        self.run(&["allow", port]);
    }

    fn reload(&mut self) {
        self.run(&["reload"]);
    }

    fn stop(&mut self) {
        self.run(&["disable"]);
    }

    fn start(&mut self) {
        self.run(&["--force", "enable"]);
    }
}

#[test]
fn side_by_side() {
    let scene = Scene::new();
    let mut ufw = Ufw::new(&scene.lab.server);
    live_beside(&scene, &mut ufw);
}

#[test]
fn as_documented() {
    let scene = Scene::new();
    let ufw = Ufw::new(&scene.lab.server);
    let_in_as_documented(&scene, "ufw", |words| ufw.run(words));
}
