//! Interfaces of which one hands its packets on to the other, both in the configuration.

use crate::scene::{Scene, Way};
use letmein_tests::{gate::Gate, lab::Outcome, wait::wait_until};

fn client(scene: &Scene) -> Way<'_> {
    Way {
        client: &scene.lab.client,
        server: "10.77.1.1",
    }
}

/// Puts the server's end of the cable to the client into a bridge, which gets its addresses.
fn bridge(scene: &Scene) {
    scene.ip("link add br0 type bridge");
    scene.ip("link set br0 up");
    bridge_now(scene);
}

fn check(scene: &Scene, interfaces: &[&str]) -> String {
    scene.letmeind(interfaces, "").check().unwrap()
}

fn guards(scene: &Scene, gate: &mut Gate) {
    client(scene).is_guarded(gate);
    let v6 = Way {
        client: &scene.lab.client,
        server: "fd77:1::1",
    };
    v6.is_guarded(gate);
}

#[test]
fn a_bridge_and_its_port() {
    let scene = Scene::new();
    bridge(&scene);
    let said =
        "to-peer1 is a port of br0, which receives what to-peer1 receives: the XDP program runs on br0 alone";
    for interfaces in [["br0", "to-peer1"], ["to-peer1", "br0"]] {
        assert!(check(&scene, &interfaces).contains(said));
        let mut gate = scene.letmeind(&interfaces, "").start_and_wait_for(said).unwrap();
        assert!(scene.has_program("br0") && !scene.has_program("to-peer1"));
        guards(&scene, &mut gate);
        gate.stop().unwrap();
    }
    // By hand: a port alone is as good as any interface, and gives way when the bridge is named, too.
    let alone = scene.start(&["to-peer1"], "");
    assert!(scene.has_program("to-peer1"));
    alone.stop().unwrap();
    let mut gate = scene.start(&["br0", "to-peer1"], "xdp = \"generic\"");
    assert!(scene.has_program("br0") && !scene.has_program("to-peer1"));
    guards(&scene, &mut gate);
    let reloaded = gate.operate("reload", &[]).unwrap();
    assert!(reloaded.status.success(), "{reloaded:?}");
    guards(&scene, &mut gate);
}

#[test]
fn a_macvlan_and_what_it_is_on() {
    let scene = Scene::new();
    scene.ip("link add link to-peer1 name mac0 type macvlan mode bridge");
    scene.ip("address flush dev to-peer1");
    scene.ip("link set mac0 up");
    scene.ip("address add 10.77.1.1/24 dev mac0");
    scene.ip("address add fd77:1::1/64 dev mac0 nodad");
    let said = "mac0 receives a part of what to-peer1 receives: the XDP program runs on to-peer1 alone";
    // The macvlan first alone: its program makes way for the one below.
    let alone = scene.start(&["mac0"], "");
    assert!(scene.has_program("mac0"));
    alone.stop().unwrap();
    assert!(check(&scene, &["mac0", "to-peer1"]).contains(said));
    let mut gate = scene
        .letmeind(&["mac0", "to-peer1"], "")
        .start_and_wait_for(said)
        .unwrap();
    assert!(scene.has_program("to-peer1") && !scene.has_program("mac0"));
    guards(&scene, &mut gate);
}

/// Where the kernel has VLANs. Where it has none, that is what `ip` says, and nothing else.
#[test]
fn a_vlan_and_its_card() {
    let scene = Scene::new();
    let add = [
        "link", "add", "link", "to-peer1", "name", "vlan7", "type", "vlan", "id", "7",
    ];
    if let Err(error) = scene.lab.server.run("ip", &add) {
        let error = error.to_string();
        assert!(
            error.contains("Unknown device type") || error.contains("not supported"),
            "{error}"
        );
        return;
    }
    let far = [
        "link",
        "add",
        "link",
        "to-server",
        "name",
        "vlan7",
        "type",
        "vlan",
        "id",
        "7",
    ];
    scene.lab.client.run("ip", &far).unwrap();
    for (host, number) in [(&scene.lab.server, 1), (&scene.lab.client, 2)] {
        letmein_tests::tun::set_up(host, "vlan7", number).unwrap();
    }
    let mut gate = scene.start(&["vlan7", "to-peer1"], "");
    assert!(scene.has_program("to-peer1") && !scene.has_program("vlan7"));
    guards(&scene, &mut gate);
    for server in ["10.77.5.1", "fd77:5::1"] {
        let way = Way {
            client: &scene.lab.client,
            server,
        };
        way.is_guarded(&mut gate);
    }
}

/// An interface may become a port of the other one, and leave it again.
#[test]
fn later() {
    let scene = Scene::new();
    scene.ip("link add br0 type bridge");
    scene.ip("link set br0 up");
    let mut gate = scene.start(&["br0", "to-peer1"], "");
    assert!(scene.has_program("br0") && scene.has_program("to-peer1"));
    guards(&scene, &mut gate);
    bridge_now(&scene);
    gate.wait_for("XDP program detached from to-peer1").unwrap();
    gate.wait_for("to-peer1 is a port of br0").unwrap();
    wait_until("it is found again", || client(&scene).letmein(&["revoke"]) == 0);
    guards(&scene, &mut gate);
    for words in [
        "link set to-peer1 nomaster",
        "address flush dev br0",
        "address add 10.77.1.1/24 dev to-peer1",
        "address add fd77:1::1/64 dev to-peer1 nodad",
    ] {
        scene.ip(words);
    }
    gate.wait_for("XDP program attached again to to-peer1").unwrap();
    wait_until("it is found again", || client(&scene).letmein(&["revoke"]) == 0);
    guards(&scene, &mut gate);
    assert_eq!(client(&scene).meets(), Outcome::Silent);
}

fn bridge_now(scene: &Scene) {
    for words in [
        "address flush dev to-peer1",
        "link set to-peer1 master br0",
        "address add 10.77.1.1/24 dev br0",
        "address add fd77:1::1/64 dev br0 nodad",
    ] {
        scene.ip(words);
    }
}

/// Somebody else's program on the bridge keeps ours from its port: that is what is said.
#[test]
fn somebody_elses_program_above() {
    let scene = Scene::new();
    bridge(&scene);
    let object = letmein_tests::gate::program("ebpf/bare.bpf.o").unwrap();
    scene.ip(&format!(
        "link set dev br0 xdpgeneric obj {} sec xdp.frags",
        object.display()
    ));
    let failure = scene.letmeind(&["to-peer1"], "").fail().unwrap();
    let error = failure.error().unwrap();
    assert!(
        error.contains("\"to-peer1\" cannot have the XDP program while another one is attached to \"br0\""),
        "{error}"
    );
}

#[test]
fn what_sees_no_packets_is_refused() {
    let scene = Scene::new();
    scene.ip("link add ifb7 type ifb");
    scene.ip("link set ifb7 up");
    let said = "packets leave an ifb for the interface that they came in by";
    assert!(check(&scene, &["ifb7"]).contains(said));
    let failure = scene.letmeind(&["ifb7", "to-peer1"], "").fail().unwrap();
    assert!(failure.error().unwrap().contains(said), "{failure:?}");
}
