//! `letmeind rules`: what it prints is what is loaded. Needs root.

#![expect(
    clippy::unwrap_used,
    reason = "what a test cannot do without, it must fail without"
)]

use letmein_tests::{
    gate::configuration,
    lab::{Host, Lab},
    letmeind::Letmeind,
};
use std::{fs, process::Stdio};

const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../nftables.conf");
/// Neither for the machine nor for new namespaces, but anybody may make user namespaces.
const WITHOUT_PRIVILEGES: &[&str] = &["setpriv", "--bounding-set=-sys_admin,-net_admin"];

fn rules(letmeind: &Letmeind<'_>) -> String {
    let output = letmeind
        .command("rules")
        .unwrap()
        .stdout(Stdio::piped())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    String::from_utf8(output.stdout).unwrap()
}

fn list(host: &Host, table: &str) -> String {
    host.run("nft", &["list", "table", "inet", table]).unwrap()
}

/// They are printed without changing anything, and a file of them loads and means the same.
fn a_file_of_it_is_the_same(rules: &str, table: &str) {
    let lab = Lab::new().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rules.nft");
    fs::write(&file, rules).unwrap();
    lab.client.run("nft", &["-f", file.to_str().unwrap()]).unwrap();
    assert_eq!(list(&lab.client, table), rules);
}

fn guard(firewall: &str) {
    let lab = Lab::new().unwrap();
    let letmeind = Letmeind::new(&lab.server, &configuration("", firewall, "1h")).unwrap();
    let rules = rules(&letmeind);
    assert_eq!(lab.server.run("nft", &["list", "ruleset"]).unwrap(), "");
    let _gate = letmeind.start().unwrap();
    assert_eq!(list(&lab.server, "letmein"), rules);
    a_file_of_it_is_the_same(&rules, "letmein");
}

#[test]
fn of_the_guard() {
    guard("");
}

#[test]
fn of_the_guard_that_rejects() {
    guard("closed = \"reject\"");
}

/// Everything that a resource may ask for.
fn with_everything(firewall: &str) -> String {
    let more = "forward = true\ncut = true\nipv6-prefix = 64\n[resources.range]\nid = \"00000003\"\n\
                ports = [\"udp/60000-60010\"]\n";
    configuration("", firewall, "1h")
        .replace("ports = [\"tcp/23\"]\n", &format!("ports = [\"tcp/23\"]\n{more}"))
}

#[test]
fn of_the_guard_with_everything() {
    let lab = Lab::new().unwrap();
    let letmeind = Letmeind::new(&lab.server, &with_everything("")).unwrap();
    let rules = rules(&letmeind);
    for part in ["chain forward", "60000-60010", "chain cut"] {
        assert!(rules.contains(part), "{part} is not in {rules}");
    }
    let _gate = letmeind.start().unwrap();
    assert_eq!(list(&lab.server, "letmein"), rules);
    a_file_of_it_is_the_same(&rules, "letmein");
}

#[test]
fn of_chains_with_everything() {
    let lab = Lab::new().unwrap();
    let chains =
        ["LETMEIN-INPUT", "LETMEIN-FORWARD", "MINE"].map(|name| format!("add chain inet filter {name};"));
    let users = format!("add table inet filter; {}", chains.concat());
    lab.server.run("nft", &[&users]).unwrap();
    let jump = "[resources.jump]\nid = \"00000004\"\njump-input = \"MINE\"\n";
    let configuration = with_everything("mode = \"chain\"").replace("[users.", &format!("{jump}[users."));
    let letmeind = Letmeind::new(&lab.server, &configuration).unwrap();
    let rules = rules(&letmeind);
    assert!(rules.contains("jump MINE"), "{rules}");
    let _gate = letmeind.start().unwrap();
    assert_eq!(list(&lab.server, "filter"), rules);
    a_file_of_it_is_the_same(&rules, "filter");
}

#[test]
fn of_a_chain() {
    let lab = Lab::new().unwrap();
    lab.server.run("nft", &["-f", EXAMPLE]).unwrap();
    let before = lab.server.run("nft", &["-a", "list", "ruleset"]).unwrap();
    let letmeind = Letmeind::new(&lab.server, &configuration("", "mode = \"chain\"", "1h")).unwrap();
    let rules = rules(&letmeind);
    assert_eq!(lab.server.run("nft", &["-a", "list", "ruleset"]).unwrap(), before);
    let _gate = letmeind.start().unwrap();
    // The user's own chain is not part of it.
    lab.server
        .run(
            "nft",
            &["flush chain inet filter input; delete chain inet filter input"],
        )
        .unwrap();
    assert_eq!(list(&lab.server, "filter"), rules);
    a_file_of_it_is_the_same(&rules, "filter");
}

#[test]
fn without_privileges() {
    let lab = Lab::new().unwrap();
    let configuration = configuration("", "", "1h");
    let letmeind = Letmeind::new(&lab.server, &configuration).unwrap();
    let rules_as_root = rules(&letmeind);
    let letmeind = Letmeind::new(&lab.server, &configuration).unwrap();
    assert_eq!(rules(&letmeind.under(WITHOUT_PRIVILEGES)), rules_as_root);
}
