//! What cannot work ends with one clear error that says what to do, and with exit code 1. However the daemon ends,
//! ports that it has closed stay closed.
//! Needs root.

#![expect(
    clippy::unwrap_used,
    reason = "what a test cannot do without, it must fail without"
)]

mod scene;

use letmein_tests::{
    gate::{Gate, configuration, program},
    lab::Outcome,
    letmeind::Letmeind,
    memory_limit::MemoryLimit,
};
use scene::{Scene, assert_error};
use std::{fs, net::UdpSocket, os::unix::fs::PermissionsExt as _};

/// Without `nft`, wherever it is installed: `ip netns exec` gives every command a mount namespace of its own.
const WITHOUT_NFT: &[&str] = &[
    "sh",
    "-c",
    "for folder in /usr/local/sbin /usr/sbin /sbin; do mount -t tmpfs none $folder; done; exec \"$@\"",
    "sh",
];
const WITHOUT_CAPABILITIES: &[&str] = &["setpriv", "--inh-caps", "-all", "--bounding-set", "-all"];
const WITHOUT_BPF: &[&str] = &[
    "setpriv",
    "--inh-caps",
    "-all",
    "--bounding-set",
    "-all,+net_admin,+setuid,+setgid,+setpcap",
];
const WITHOUT_PERFMON: &[&str] = &[
    "setpriv",
    "--inh-caps",
    "-all",
    "--bounding-set",
    "-all,+net_admin,+setuid,+setgid,+setpcap,+bpf",
];

#[test]
fn an_unknown_option() {
    Scene::new().fails_without_a_change(
        |scene| scene.letmeind("colour = \"red\""),
        &["/letmeind.toml:3:1: unknown field `colour`, expected one of `interfaces`"],
    );
}

#[test]
fn a_key_that_others_can_read() {
    let open = |scene| {
        let letmeind = Scene::letmeind(scene, "");
        fs::set_permissions(letmeind.key_file(), fs::Permissions::from_mode(0o640)).unwrap();
        letmeind
    };
    let texts = ["alice.key holds a key, but is open to others (mode 0640); run `chmod 600 "];
    Scene::new().fails_without_a_change(open, &texts);
}

#[test]
fn no_nft() {
    Scene::new().fails_without_a_change(
        |scene| scene.letmeind("").under(WITHOUT_NFT),
        &["the program `nft` was not found: install nftables"],
    );
}

#[test]
fn no_capabilities() {
    Scene::new().fails_without_a_change(
        |scene| scene.letmeind("").under(WITHOUT_CAPABILITIES),
        &["no permission to change the firewall: run as root, or with CAP_NET_ADMIN"],
    );
}

#[test]
fn no_capability_for_bpf() {
    let scene = Scene::new();
    let texts = ["the kernel does not let this process use BPF; run letmeind as root"];
    assert_eq!(scene.ssh(), Outcome::Open);
    scene.fails_closed(scene.letmeind("").under(WITHOUT_BPF), &texts);
    scene.fails_closed(scene.letmeind("").under(WITHOUT_PERFMON), &texts);
    // Which is true: BPF is all that it lacks.
    let _gate = scene
        .letmeind("xdp = \"off\"")
        .under(WITHOUT_BPF)
        .start()
        .unwrap();
}

/// Less than the maps take: the error names the first for which there was nothing left.
#[test]
fn no_memory_for_a_map() {
    let scene = Scene::new();
    let limit = MemoryLimit::new(64 << 20).unwrap();
    let starter = limit.starter();
    let starter: Vec<_> = starter.iter().map(String::as_str).collect();
    assert_eq!(scene.ssh(), Outcome::Open);
    scene.fails_closed(
        scene.letmeind("seen-salts = 4000000").under(&starter),
        &["the kernel has no memory for BPF map SALTS; set lower seen-salts"],
    );
    // It is enough for smaller ones.
    let gate = scene.letmeind("").under(&starter).start().unwrap();
    assert_eq!(scene.knock(&gate, "knock"), 0);
}

#[test]
fn no_such_interface() {
    let scene = Scene::new();
    let configuration = configuration("", "", "1h").replace("to-peer2", "eth7");
    let letmeind = Letmeind::new(&scene.lab.server, &configuration).unwrap();
    assert_eq!(scene.ssh(), Outcome::Open);
    scene.fails_closed(
        letmeind,
        &["there is no network interface \"eth7\"; `ip link` lists them, gate.interfaces names them"],
    );
    // The first interface is not left with a program that nobody serves.
    assert!(!scene.lab.server.run("ip", &["link"]).unwrap().contains("xdp"));
}

#[test]
fn a_control_port_that_is_taken() {
    let scene = Scene::new();
    assert_eq!(scene.ssh(), Outcome::Open);
    let udp = (scene.lab.server)
        .enter(|| UdpSocket::bind("0.0.0.0:5800"))
        .unwrap();
    let remedy = "is another program on that port (`ss -lnp`)";
    scene.fails_closed(
        scene.letmeind(""),
        &["cannot listen on udp 0.0.0.0:5800", remedy, "in use"],
    );
    drop(udp);
    let tcp = scene.lab.server.listen(5800).unwrap();
    scene.fails_closed(scene.letmeind(""), &["cannot listen on tcp ", remedy, "in use"]);
    drop(tcp);
    let elsewhere = "addresses = [\"192.0.2.1\"]";
    scene.fails_closed(
        scene.letmeind(elsewhere),
        &[
            "192.0.2.1:5800",
            "is the address in gate.addresses not this machine's?",
        ],
    );
    assert_eq!(scene.knock(&scene.start(), "knock"), 0);
}

/// Ours is refused whether the other program is in the driver or in the stack. What the error advises helps.
#[test]
fn another_xdp_program() {
    let scene = Scene::new();
    let object = program("ebpf/bare.bpf.o").unwrap();
    let object = object.to_str().unwrap();
    let ip_link = |words: &[&str]| {
        let words = [&["link", "set", "dev", "to-peer1"], words].concat();
        scene.lab.server.run("ip", &words).unwrap()
    };
    assert_eq!(scene.ssh(), Outcome::Open);
    for hook in ["xdpdrv", "xdpgeneric"] {
        ip_link(&[hook, "obj", object, "sec", "xdp.frags"]);
        scene.fails_closed(
            scene.letmeind(""),
            &[
                "another XDP program is attached to \"to-peer1\"",
                "`ip link set dev to-peer1 xdp off` (or `xdpgeneric off`) removes one that nobody needs",
            ],
        );
        ip_link(&[if hook == "xdpdrv" { "xdp" } else { hook }, "off"]);
    }
    assert_eq!(scene.knock(&scene.start(), "knock"), 0);
}

/// Started twice by mistake, be it with another control port and other resources: the first goes on, and what it
/// protects stays so.
#[test]
fn a_second_letmeind() {
    let scene = Scene::new();
    let gate = scene.start();
    assert_eq!(scene.knock(&gate, "knock"), 0);
    let others = configuration("port = 5801", "", "1h").replace("tcp/22", "tcp/2222");
    for letmeind in [
        scene.letmeind(""),
        Letmeind::new(&scene.lab.server, &others).unwrap(),
    ] {
        assert_error(&letmeind.fail().unwrap(), &["another letmeind runs here already"]);
        assert_eq!(scene.ssh_of_both(), (Outcome::Open, Outcome::Silent));
    }
    assert_eq!(scene.knock(&gate, "revoke"), 0);
    assert_eq!(scene.ssh_of_both(), (Outcome::Silent, Outcome::Silent));
}

/// A bridge has no XDP of its own: the stack's does.
#[test]
fn an_interface_without_native_xdp() {
    let scene = Scene::new();
    for words in [
        "link add br0 type bridge",
        "link set br0 up",
        "addr del 10.77.1.1/24 dev to-peer1",
        "link set to-peer1 master br0",
        "addr add 10.77.1.1/24 dev br0",
    ] {
        let words: Vec<_> = words.split(' ').collect();
        scene.lab.server.run("ip", &words).unwrap();
    }
    let letmeind = |xdp: &str| {
        let gate = format!("xdp = \"{xdp}\"");
        let configuration = configuration(&gate, "", "1h").replace("to-peer1", "br0");
        Letmeind::new(&scene.lab.server, &configuration).unwrap()
    };
    assert_eq!(scene.ssh(), Outcome::Open);
    scene.fails_closed(
        letmeind("native"),
        &[
            "the driver of \"br0\" does not take XDP programs; set xdp = \"generic\" in section [gate]",
            "Operation not supported",
        ],
    );
    let mut gate = letmeind("auto").start().unwrap();
    assert_eq!(scene.knock(&gate, "knock"), 0);
    assert_eq!(scene.ssh(), Outcome::Open);
    // It is the XDP program that let KNOCK and RESPONSE through.
    assert_eq!(gate.counters().unwrap()["genuine"], 2);
}

/// What was closed is closed, who was let in is in, and the next daemon goes on from there.
fn ends_without_opening(end: fn(Gate) -> anyhow::Result<()>) {
    use Outcome::{Open, Silent};

    let scene = Scene::new();
    let gate = scene.start();
    assert_eq!(scene.knock(&gate, "knock"), 0);
    end(gate).unwrap();
    assert_eq!(scene.ssh_of_both(), (Open, Silent));
    let gate = scene.start();
    assert_eq!(scene.ssh_of_both(), (Open, Silent));
    assert_eq!(scene.knock(&gate, "revoke"), 0);
    end(gate).unwrap();
    assert_eq!(scene.ssh_of_both(), (Silent, Silent));
}

#[test]
fn an_end_by_sigterm() {
    ends_without_opening(Gate::stop);
}

#[test]
fn an_end_by_sigkill() {
    ends_without_opening(Gate::kill);
}
