//! letmeind beside other firewalls, the real ones: neither breaks what the other does, and a port is open if both say
//! so. They come from Debian's packages, unpacked below the target folder by `cargo xtask test`. Needs root.

#![expect(
    clippy::unwrap_used,
    reason = "what a test cannot do without, it must fail without"
)]

mod docker;
mod firewalld;
mod plain;
mod scene;
mod ufw;
mod unpacked;

use letmein_tests::document;
use scene::{Scene, assert_same};

/// Another firewall on the server.
trait Neighbour {
    /// Lets everybody in at a port of the server, as `80/tcp`, from now on.
    fn allow(&mut self, port: &str);
    /// Loads its rules again.
    fn reload(&mut self);
    /// Takes all of its rules away.
    fn stop(&mut self);
    /// And brings them back.
    fn start(&mut self);
}

/// What `docs/firewalls.md` has for this neighbour, typed with this function, lets the knock in and what it opens.
fn let_in_as_documented(scene: &Scene, name: &str, type_in: impl Fn(&[&str])) {
    let gate = scene.letmeind().start().unwrap();
    assert_ne!(scene.knock(&gate), 0, "nothing lets knocks in");
    for command in document::commands_for("docs/firewalls.md", name, "").unwrap() {
        let words: Vec<_> = command.split_whitespace().skip(1).collect();
        type_in(&words);
    }
    assert_eq!(scene.knock(&gate), 0);
    scene.only_the_client_gets_in();
}

/// From the start of letmeind to `letmeind down`, beside a neighbour that drops what it does not know.
fn live_beside(scene: &Scene, neighbour: &mut dyn Neighbour) {
    neighbour.allow("80/tcp");
    scene.neighbours_services_work();
    let closed = scene.theirs();

    // The neighbour has a say in what letmein opens: its drop is final, whatever our chain says.
    let gate = scene.letmeind().start().unwrap();
    assert_same(&scene.theirs(), &closed);
    scene.neighbours_services_work();
    assert_ne!(scene.knock(&gate), 0, "nothing lets knocks in");
    neighbour.allow("5800/udp");
    assert_eq!(scene.knock(&gate), 0);
    assert!(!scene.client_gets_in(), "the neighbour opened port 22 to nobody");
    neighbour.allow("22/tcp");
    // ufw orders its rules otherwise when it loads all of them.
    neighbour.reload();
    let opened = scene.theirs();
    let check = || {
        scene.neighbours_services_work();
        scene.only_the_client_gets_in();
    };
    check();
    assert_eq!(scene.knock_to(&gate, "revoke"), 0);
    assert!(
        !scene.client_gets_in(),
        "the neighbour accepts it, and letmein does not"
    );
    assert_eq!(scene.knock(&gate), 0);
    check();

    // What becomes of its rules does not matter to ours.
    neighbour.reload();
    check();
    assert_same(&scene.theirs(), &opened);
    neighbour.stop();
    scene.only_the_client_gets_in();
    neighbour.start();
    check();
    gate.stop().unwrap();
    check();
    let gate = scene.letmeind().start().unwrap();
    check();
    gate.stop().unwrap();
    assert_same(&scene.theirs(), &opened);

    // What becomes of ours does not matter to its.
    scene.letmeind().down().unwrap();
    assert_same(&scene.theirs(), &opened);
    assert_same(&scene.everything(), &opened);
    scene.neighbours_services_work();
    assert!(scene.other_gets_in(), "only the neighbour decides now");
}
