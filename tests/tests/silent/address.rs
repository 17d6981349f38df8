//! Whose address a knock opens for.

use crate::scene::{Scene, port};
use letmein_tests::{
    gate::{Client, Gate, KEY},
    lab::Outcome,
    silent::Draft,
};

fn named(address: &str) -> [u8; 88] {
    let draft = Draft {
        address: Some(address.parse().unwrap()),
        ..Draft::default()
    };
    draft.seal()
}

#[test]
fn the_address_that_it_names_is_the_one_that_it_comes_from() {
    let scene = Scene::new();
    let mut gate = scene.start("", "1h");
    scene.knock(&[&named("10.77.2.2")]);
    gate.wait_for("alice knocked from 10.77.1.2 for 10.77.2.2, but may not open for other addresses")
        .unwrap();
    scene.knock(&[&named("fd77:1::2")]);
    gate.wait_for("for fd77:1::2, but may not").unwrap();
    assert_eq!(scene.port(), Outcome::Silent);
    scene.knock(&[&named("10.77.1.2")]);
    gate.wait_for("alice opened ssh (tcp/22) for 10.77.1.2").unwrap();
    assert_eq!(scene.port(), Outcome::Open);
}

/// A knock that names an address is no use from anywhere else, even if it never arrived.
#[test]
fn who_takes_a_knock_away_cannot_use_it_from_elsewhere() {
    let scene = Scene::new();
    let mut gate = scene.start("", "1h");
    let taken = named("10.77.1.2");
    let gate_of_other = "10.77.2.1:5800".parse().unwrap();
    letmein_tests::silent::send(&scene.lab.other, gate_of_other, &[&taken]).unwrap();
    gate.wait_for("alice knocked from 10.77.2.2 for 10.77.1.2, but may not")
        .unwrap();
    let ssh_of_other = "10.77.2.1:22".parse().unwrap();
    assert_eq!(scene.lab.other.connect(ssh_of_other).unwrap(), Outcome::Silent);
    assert_eq!(scene.port(), Outcome::Silent);
}

#[test]
fn who_may_opens_for_another_address() {
    let scene = Scene::new();
    let configuration = scene.configuration("", "1h").replace(
        "resources = [\"ssh\"]",
        "resources = [\"ssh\"]\nother-addresses = true",
    );
    let mut gate = Gate::start_with(&scene.lab.server, &configuration).unwrap();
    scene
        .letmein(&[], &KEY, "", &["knock", "gate", "ssh", "--address", "10.77.2.2"])
        .said("silent knock sent");
    gate.wait_for("alice opened ssh (tcp/22) for 10.77.2.2").unwrap();
    let ssh_of_other = "10.77.2.1:22".parse().unwrap();
    assert_eq!(scene.lab.other.connect(ssh_of_other).unwrap(), Outcome::Open);
    assert_eq!(scene.lab.client.connect(port(22)).unwrap(), Outcome::Silent);
}

/// What is not permitted has no tag, so there is nothing to tell it from junk.
#[test]
fn a_resource_that_is_not_the_users_is_junk() {
    let scene = Scene::new();
    let mut gate = scene.start("", "1h");
    let draft = Draft {
        resource: 2,
        ..Draft::default()
    };
    scene.knock(&[&draft.seal()]);
    crate::scene::counted(&mut gate, &[("genuine", 0), ("unknown-tag", 1)]);
}

/// Behind NAT a client does not know the address that the gate will see. Otherwise it names its own, so that nobody on
/// the way can have the port opened for another one.
#[test]
fn a_client_names_the_address_that_the_internet_knows_it_by() {
    let scene = Scene::new();
    let mut gate = scene.start("", "1h");
    for (host, interface, address) in [
        (&scene.lab.server, "to-peer1", "20.77.1.1/24"),
        (&scene.lab.client, "to-server", "20.77.1.2/24"),
    ] {
        host.run("ip", &["addr", "add", address, "dev", interface])
            .unwrap();
    }
    let knock = ["knock", "gate", "ssh", "--verbose"];
    for (host, address, named, opened) in [
        (
            "10.77.1.1",
            "auto",
            "for the address that the knock arrives from",
            "10.77.1.2",
        ),
        ("20.77.1.1", "auto", "for 20.77.1.2", "20.77.1.2"),
        (
            "20.77.1.1",
            "source",
            "for the address that the knock arrives from",
            "20.77.1.2",
        ),
    ] {
        let configuration = format!(
            "[servers.gate]\nhost = \"{host}\"\nuser = \"1\"\nkey-file = \"alice.key\"\nmode = \"silent\"\n\
             address = \"{address}\"\n[servers.gate.resources]\nssh = {{ id = \"1\", port = 22 }}\n"
        );
        let client = Client::new(&configuration, &KEY).unwrap();
        let run = scene
            .lab
            .client
            .enter(|| client.command(&knock).output())
            .unwrap()
            .unwrap();
        let told = String::from_utf8(run.stderr).unwrap();
        assert!(run.status.success() && told.contains(named), "{told}");
        gate.wait_for(&format!("alice opened ssh (tcp/22) for {opened}"))
            .unwrap();
    }
}
