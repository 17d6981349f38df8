//! Docker's rules, as dockerd 28 writes them for a container that publishes a port.

use crate::scene::{Scene, assert_same, eventually, reaches};
use letmein_tests::{
    gate::{Gate, configuration},
    lab::Host,
};
use std::{fs, net::TcpListener};

/// The container is 172.17.0.2 behind `docker0`; its port 80 is published as 8080.
const RULES: &str = "\
*raw
:PREROUTING ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
-A PREROUTING -d 172.17.0.2/32 ! -i docker0 -j DROP
COMMIT
*nat
:PREROUTING ACCEPT [0:0]
:INPUT ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
:DOCKER - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER
-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
-A DOCKER ! -i docker0 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80
COMMIT
*filter
:INPUT ACCEPT [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
:DOCKER - [0:0]
:DOCKER-BRIDGE - [0:0]
:DOCKER-CT - [0:0]
:DOCKER-FORWARD - [0:0]
:DOCKER-ISOLATION-STAGE-1 - [0:0]
:DOCKER-ISOLATION-STAGE-2 - [0:0]
:DOCKER-USER - [0:0]
-A FORWARD -j DOCKER-USER
-A FORWARD -j DOCKER-FORWARD
-A DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT
-A DOCKER ! -i docker0 -o docker0 -j DROP
-A DOCKER-BRIDGE -o docker0 -j DOCKER
-A DOCKER-CT -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A DOCKER-FORWARD -j DOCKER-CT
-A DOCKER-FORWARD -j DOCKER-ISOLATION-STAGE-1
-A DOCKER-FORWARD -j DOCKER-BRIDGE
-A DOCKER-FORWARD -i docker0 -j ACCEPT
-A DOCKER-ISOLATION-STAGE-1 -i docker0 ! -o docker0 -j DOCKER-ISOLATION-STAGE-2
-A DOCKER-ISOLATION-STAGE-2 -o docker0 -j DROP
COMMIT
";

/// The server runs a container with a service on port 80, which others reach at the server's port 8080.
struct Docker<'a> {
    scene: &'a Scene,
    container: Host,
    _service: TcpListener,
}

impl<'a> Docker<'a> {
    fn new(scene: &'a Scene) -> Self {
        let container = Host::new("container").unwrap();
        let server = &scene.lab.server;
        let ip = |host: &Host, command: &str| {
            let words: Vec<_> = command.split_whitespace().collect();
            host.run("ip", &words).unwrap();
        };
        ip(server, "link add docker0 type bridge");
        ip(server, "addr add 172.17.0.1/16 dev docker0");
        ip(
            server,
            &format!(
                "link add veth0 type veth peer name eth0 netns {}",
                container.name()
            ),
        );
        ip(server, "link set veth0 master docker0 up");
        ip(server, "link set docker0 up");
        ip(&container, "addr add 172.17.0.2/16 dev eth0");
        ip(&container, "link set eth0 up");
        ip(&container, "route add default via 172.17.0.1");
        server.run("sysctl", &["-q", "net.ipv4.ip_forward=1"]).unwrap();
        let service = container.listen(80).unwrap();
        let docker = Self {
            scene,
            container,
            _service: service,
        };
        docker.restore();
        docker
    }

    fn restore(&self) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("rules");
        fs::write(&file, RULES).unwrap();
        let server = &self.scene.lab.server;
        server
            .run("iptables-nft-restore", &[file.to_str().unwrap()])
            .unwrap();
    }

    #[track_caller]
    fn container_works(&self) {
        eventually("the published port", || {
            reaches(&self.scene.lab.other, "10.77.2.1:8080")
        });
        assert!(
            reaches(&self.container, "10.77.1.2:7"),
            "the container reaches others"
        );
    }
}

#[test]
fn side_by_side() {
    let scene = Scene::new();
    let docker = Docker::new(&scene);
    docker.container_works();
    assert!(scene.other_gets_in());
    let theirs = scene.theirs();

    let gate = scene.letmeind().start().unwrap();
    assert_same(&scene.theirs(), &theirs);
    docker.container_works();
    assert!(!scene.other_gets_in());
    assert_eq!(scene.knock(&gate), 0);
    scene.only_the_client_gets_in();

    let ours = scene.ours();
    for arguments in [&["-F"][..], &["-t", "nat", "-F"]] {
        scene.lab.server.run("iptables-nft", arguments).unwrap();
    }
    assert_same(&scene.ours(), &ours);
    scene.only_the_client_gets_in();
    docker.restore();
    docker.container_works();
    gate.stop().unwrap();
    assert_same(&scene.theirs(), &theirs);

    scene.letmeind().down().unwrap();
    assert_same(&scene.everything(), &theirs);
    docker.container_works();
    assert!(scene.other_gets_in());
}

/// A published port is forwarded, and the guard closes what comes to this machine, unless it is told otherwise.
#[test]
fn a_published_port_takes_forward() {
    let scene = Scene::new();
    let docker = Docker::new(&scene);
    let theirs = scene.theirs();
    // The port that clients ask for, not the container's.
    let without = configuration("", "shield = \"off\"", "1h").replace("tcp/22", "tcp/8080");
    let gate = Gate::start_with(&scene.lab.server, &without).unwrap();
    docker.container_works();
    gate.stop().unwrap();

    let with = without.replace("tcp/8080\"]", "tcp/8080\"]\nforward = true");
    let gate = Gate::start_with(&scene.lab.server, &with).unwrap();
    let published = |host: &Host, server: &str| reaches(host, &format!("{server}:8080"));
    assert!(!published(&scene.lab.other, "10.77.2.1"));
    assert!(!published(&scene.lab.client, "10.77.1.1"));
    assert_eq!(scene.knock(&gate), 0);
    assert!(published(&scene.lab.client, "10.77.1.1"));
    assert!(!published(&scene.lab.other, "10.77.2.1"));
    gate.stop().unwrap();
    assert_same(&scene.theirs(), &theirs);
}
