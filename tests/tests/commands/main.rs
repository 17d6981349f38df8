//! What the documents tell their readers to type works as it is written there. Needs root.

#![expect(
    clippy::unwrap_used,
    reason = "what a test cannot do without, it must fail without"
)]

mod checkout;
mod inline;
mod marks;
mod nic;
mod story;

use story::Story;

#[test]
fn of_the_readme() {
    Story::begin().tell("README.md");
}

#[test]
fn of_the_client() {
    let story = Story::begin();
    story.configure_gate();
    story.tell("docs/client.md");
}

#[test]
fn of_firewalls() {
    let story = Story::begin();
    story.configure_gate();
    story.tell("docs/firewalls.md");
}

#[test]
fn of_configuration() {
    let story = Story::begin();
    story.configure_gate();
    story.tell("docs/configuration.md");
}

#[test]
fn of_monitoring() {
    let mut story = Story::begin();
    story.configure_gate();
    story.serve("letmeind run");
    story.tell("docs/monitoring.md");
}

#[test]
fn of_operation() {
    let mut story = Story::begin();
    story.configure_gate();
    story.serve("letmeind run");
    story.tell("docs/operations.md");
}

#[test]
fn of_switching() {
    let story = Story::begin();
    let key = "5a".repeat(32);
    story.put_on_gate(
        "/etc/letmeind.conf",
        &format!(
            "[GENERAL]\nport = 5800 / tcp, udp\n\
             [NFTABLES]\nfamily = inet\ntable = filter\nchain-input = LETMEIN-INPUT\ntimeout = 600\n\
             [KEYS]\n00000001 = {key}\n[RESOURCES]\n0000001A = port: 22 / users: 00000001\n"
        ),
    );
    story.put_on_client(
        "/etc/letmein.conf",
        &format!(
            "[CLIENT]\ndefault-user = 00000001\n[KEYS]\n00000001 = {key}\n[RESOURCES]\n0000001A = port: 22\n"
        ),
    );
    story.tell("docs/switching.md");
}
