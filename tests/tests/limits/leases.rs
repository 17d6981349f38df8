//! How many leases there may be, and for how long.

use letmein_tests::{
    gate::{Gate, KEY, configuration},
    lab::{Lab, Outcome},
    nft::leases,
    wait::wait_until,
};
use std::{net::TcpListener, time::Duration};

const SERVER: &str = "10.77.1.1";
const SERVER_V6: &str = "fd77:1::1";
const SERVER_OF_OTHER: &str = "10.77.2.1";
const HOUR: Duration = Duration::from_hours(1);

/// A lab whose server has a service on port 22.
struct Scene {
    lab: Lab,
    _service: TcpListener,
}

impl Scene {
    fn new() -> Self {
        let lab = Lab::new().unwrap();
        let service = lab.server.listen(22).unwrap();
        Self {
            lab,
            _service: service,
        }
    }

    fn letmein(&self, gate: &Gate, verb: &str, server: &str) -> i32 {
        let host = if server == SERVER_OF_OTHER {
            &self.lab.other
        } else {
            &self.lab.client
        };
        gate.letmein(host, server, &KEY, &[verb, "gate", "ssh"]).unwrap()
    }

    fn ssh(&self) -> [Outcome; 3] {
        [
            self.lab.client.connect("10.77.1.1:22".parse().unwrap()).unwrap(),
            (self.lab.client)
                .connect("[fd77:1::1]:22".parse().unwrap())
                .unwrap(),
            self.lab.other.connect("10.77.2.1:22".parse().unwrap()).unwrap(),
        ]
    }
}

#[test]
fn no_more_than_max_leases() {
    use Outcome::{Open, Silent};

    let scene = Scene::new();
    let start = || Gate::start(&scene.lab.server, "", "max-leases = 2", "1h").unwrap();
    let mut gate = start();
    assert_eq!(scene.letmein(&gate, "knock", SERVER), 0);
    assert_eq!(scene.letmein(&gate, "knock", SERVER_V6), 0);
    for _ in 0..2 {
        // Refused, by a GOAWAY, and nothing of the others' is lost for it.
        assert_eq!(scene.letmein(&gate, "knock", SERVER_OF_OTHER), 1);
        let refusal = "10.77.2.2, but: 2 leases live already, which is firewall.max-leases";
        gate.wait_for(refusal).unwrap();
        assert_eq!(scene.ssh(), [Open, Open, Silent]);
        // Who has one may extend it.
        assert_eq!(scene.letmein(&gate, "knock", SERVER), 0);
        // The next daemon knows of them too.
        gate.stop().unwrap();
        gate = start();
    }
    assert_eq!(scene.letmein(&gate, "revoke", SERVER_V6), 0);
    assert_eq!(scene.letmein(&gate, "knock", SERVER_OF_OTHER), 0);
    assert_eq!(scene.ssh(), [Open, Silent, Open]);
}

#[test]
fn a_lease_that_has_run_out_makes_room() {
    let scene = Scene::new();
    let gate = Gate::start(&scene.lab.server, "", "max-leases = 1", "2s").unwrap();
    assert_eq!(scene.letmein(&gate, "knock", SERVER), 0);
    wait_until("there is room again", || {
        scene.letmein(&gate, "knock", SERVER_OF_OTHER) == 0
    });
}

/// Each port counts, and a resource is opened whole or not at all.
#[test]
fn not_a_part_of_a_resource() {
    let scene = Scene::new();
    let configuration =
        configuration("", "max-leases = 3", "1h").replace("[\"tcp/22\"]", "[\"tcp/22\", \"udp/22\"]");
    let gate = Gate::start_with(&scene.lab.server, &configuration).unwrap();
    assert_eq!(scene.letmein(&gate, "knock", SERVER), 0);
    assert_eq!(scene.letmein(&gate, "knock", SERVER_OF_OTHER), 1);
    let open = leases(&scene.lab.server, "letmein", "leases4").unwrap();
    let keys: Vec<_> = open.iter().map(|lease| lease.key.as_str()).collect();
    assert_eq!(keys, ["10.77.1.2 . tcp . 22", "10.77.1.2 . udp . 22"]);
}

/// Knocking again begins the lease anew: it is neither kept as it was nor added to.
#[test]
fn a_second_knock_extends_the_lease_up_to_its_length() {
    let scene = Scene::new();
    // The longest, which is what a resource without a length of its own gets here.
    let configuration =
        configuration("", "max-lease = \"1h\"\ndefault-lease = \"1h\"", "?").replace("lease = \"?\"\n", "");
    let gate = Gate::start_with(&scene.lab.server, &configuration).unwrap();
    let lease = || {
        let leases = leases(&scene.lab.server, "letmein", "leases4").unwrap();
        assert_eq!(leases.len(), 1, "{leases:?}");
        assert_eq!(leases[0].key, "10.77.1.2 . tcp . 22");
        leases[0].clone()
    };
    for _ in 0..3 {
        assert_eq!(scene.letmein(&gate, "knock", SERVER), 0);
    }
    assert_eq!(lease().timeout, HOUR);
    assert!(lease().left <= HOUR && lease().left > HOUR / 2, "{:?}", lease());
    // As if most of the hour were over.
    let element = "element inet letmein leases4 { 10.77.1.2 . tcp . 22";
    let aged = format!("delete {element} }}; add {element} timeout 1h expires 5m }}");
    scene.lab.server.run("nft", &[&aged]).unwrap();
    assert!(lease().left < HOUR / 2, "{:?}", lease());
    assert_eq!(scene.letmein(&gate, "knock", SERVER), 0);
    assert!(lease().left <= HOUR && lease().left > HOUR / 2, "{:?}", lease());
}
