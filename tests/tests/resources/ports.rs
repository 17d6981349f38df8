//! Which ports a knock opens, for whom, and for which addresses.

use super::{BOB, SERVER, SERVER_V6, alice, as_user, echo, echoes, gate};
use letmein_tests::{
    lab::{Lab, Outcome},
    nft::leases,
};

const MOSH: &str = "[resources.mosh]\nid = \"00000001\"\nports = [\"tcp/22\", \"tcp/8000-8010\", \"udp/60000-61000\"]\nlease = \"1h\"";

#[test]
fn a_knock_opens_a_port_and_a_range_and_a_restart_keeps_both() {
    let lab = Lab::new().unwrap();
    let _services = [22, 8000, 8005, 8010].map(|port| lab.server.listen(port).unwrap());
    for port in [60000, 60777, 61000] {
        echo(&lab.server, port);
    }
    let reached = || {
        // With the shield in front, which knows of ranges, too.
        let tcp = [22, 8000, 8005, 8010].map(|port| {
            let to = format!("{SERVER}:{port}").parse().unwrap();
            lab.client.connect(to).unwrap() == Outcome::Open
        });
        let range = [60000, 60777, 61000].map(|port| echoes(&lab.client, &format!("{SERVER}:{port}")));
        (tcp, range)
    };
    // Three leases: a range is one.
    let mut running = gate(&lab, "max-leases = 3", MOSH);
    assert_eq!(reached(), ([false; 4], [false; 3]));
    assert_eq!(alice(&lab.client, SERVER, "knock"), 0);
    running
        .wait_for("alice opened mosh (tcp/22, tcp/8000-8010, udp/60000-61000) for 10.77.1.2 until")
        .unwrap();
    assert_eq!(reached(), ([true; 4], [true; 3]));
    assert!(!echoes(&lab.other, "10.77.2.1:60777"));

    running.stop().unwrap();
    running = gate(&lab, "max-leases = 3", MOSH);
    assert_eq!(reached(), ([true; 4], [true; 3]));
    // The next daemon knows that there is no room.
    assert_eq!(alice(&lab.other, "10.77.2.1", "knock"), 1);
    assert_eq!(alice(&lab.client, SERVER, "revoke"), 0);
    running.wait_for("alice closed mosh").unwrap();
    assert_eq!(reached(), ([false; 4], [false; 3]));
}

#[test]
fn a_resource_for_all_users_is_bobs_too() {
    let lab = Lab::new().unwrap();
    let _ssh = lab.server.listen(22).unwrap();
    let one = "[resources.one]\nid = \"00000001\"\nports = [\"tcp/22\"]\nlease = \"1h\"";
    let other = "[resources.other]\nid = \"00000002\"\nports = [\"tcp/23\"]\nall-users = true";
    let running = gate(&lab, "", &format!("{one}\n{other}\n{BOB}"));
    // Bob may open the other one.
    assert_eq!(as_user(2, &lab.client, SERVER, "knock"), 1);
    running.stop().unwrap();
    let running = gate(&lab, "", &format!("{one}\nall-users = true\n{other}\n{BOB}"));
    assert_eq!(as_user(2, &lab.client, SERVER, "knock"), 0);
    assert_eq!(
        lab.client.connect("10.77.1.1:22".parse().unwrap()).unwrap(),
        Outcome::Open
    );
    drop(running);
}

#[test]
fn a_lease_for_a_prefix_outlives_a_change_of_address() {
    let lab = Lab::new().unwrap();
    let _ssh = lab.server.listen(22).unwrap();
    let resource =
        "[resources.ssh]\nid = \"00000001\"\nports = [\"tcp/22\"]\nlease = \"1h\"\nipv6-prefix = 64";
    let mut running = gate(&lab, "", resource);
    assert_eq!(alice(&lab.client, SERVER_V6, "knock"), 0);
    running
        .wait_for("alice opened ssh (tcp/22) for fd77:1::/64 until")
        .unwrap();
    let keys: Vec<_> = leases(&lab.server, "letmein", "leases6_64")
        .unwrap()
        .into_iter()
        .map(|lease| lease.key)
        .collect();
    assert_eq!(keys, ["fd77:1:: . tcp . 22"]);
    let ssh = || lab.client.connect("[fd77:1::1]:22".parse().unwrap()).unwrap();
    assert_eq!(ssh(), Outcome::Open);

    let address = |verb, address| {
        let arguments = ["-6", "address", verb, address, "dev", "to-server", "nodad"];
        lab.client.run("ip", &arguments).unwrap();
    };
    address("add", "fd77:1::abcd/64");
    address("delete", "fd77:1::2/64");
    assert_eq!(ssh(), Outcome::Open);
    // From the new address as well, it is the lease of them all.
    assert_eq!(alice(&lab.client, SERVER_V6, "revoke"), 0);
    running
        .wait_for("alice closed ssh (tcp/22) for fd77:1::/64")
        .unwrap();
    assert_eq!(ssh(), Outcome::Silent);
}
