//! A ruleset of the user's in `/etc/nftables.conf`, as Debian's begins: with `flush ruleset`.

use crate::{Neighbour, live_beside, scene::Scene};
use letmein_tests::lab::Host;
use std::{fmt::Write as _, fs};
use tempfile::TempDir;

struct Plain<'a> {
    host: &'a Host,
    folder: TempDir,
    allowed: Vec<String>,
    /// How the file begins.
    begin: &'static str,
}

impl<'a> Plain<'a> {
    fn new(host: &'a Host, begin: &'static str) -> Self {
        let mut plain = Self {
            host,
            folder: tempfile::tempdir().unwrap(),
            allowed: Vec::new(),
            begin,
        };
        plain.reload();
        plain
    }

    fn ruleset(&self) -> String {
        let mut accept = String::new();
        for port in &self.allowed {
            let (number, protocol) = port.split_once('/').unwrap();
            writeln!(accept, "{protocol} dport {number} accept").unwrap();
        }
        format!(
            "#!/usr/sbin/nft -f
            {}
            table inet filter {{
                chain input {{
                    type filter hook input priority filter; policy drop;
                    ct state established,related accept
                    iif lo accept
                    meta l4proto {{ icmp, ipv6-icmp }} accept
                    {accept}
                }}
                chain forward {{ type filter hook forward priority filter; policy drop; }}
                chain output {{ type filter hook output priority filter; policy accept; }}
            }}",
            self.begin
        )
    }
}

impl Neighbour for Plain<'_> {
    fn allow(&mut self, port: &str) {
        self.allowed.push(port.to_owned());
        self.reload();
    }

    fn reload(&mut self) {
        let file = self.folder.path().join("nftables.conf");
        fs::write(&file, self.ruleset()).unwrap();
        self.host.run("nft", &["-f", file.to_str().unwrap()]).unwrap();
    }

    fn stop(&mut self) {
        self.host.run("nft", &["delete table inet filter"]).unwrap();
    }

    fn start(&mut self) {
        self.reload();
    }
}

/// letmeind notices, and puts its own table back.
#[test]
fn that_flushes_everything_first() {
    let scene = Scene::new();
    let mut plain = Plain::new(&scene.lab.server, "flush ruleset");
    live_beside(&scene, &mut plain);
}

#[test]
fn that_replaces_its_own_table() {
    let scene = Scene::new();
    let begin = "table inet filter\ndelete table inet filter";
    let mut plain = Plain::new(&scene.lab.server, begin);
    live_beside(&scene, &mut plain);
}
