//! A connection that the server's side seems to have begun: conntrack had forgotten it, and took it up again in the middle,
//! when the service sent something.

use crate::{
    PORTS, later, lets_in, nobody_is_served,
    scene::{PAST, PRESENT, Scene, open},
    stage::{ACK, Flow, Stage},
};
use letmein_tests::{
    frames::{Link, Segment},
    nft::CHAIN_RULES,
    tap::Tap,
};
use std::{
    collections::HashSet,
    net::{IpAddr, SocketAddr},
};

fn begins_nothing(firewall: &str, rules: &[&str]) {
    let mut scene = Scene::new(rules);
    let running = scene.gate("xdp = \"off\"", firewall, "");
    open(&running, &PRESENT);
    scene.conntrack("tcp_loose", 1);
    let tap = Tap::open(&scene.inside, "to-server").unwrap();
    let link = Link {
        source: tap.address(),
        destination: Tap::open(&scene.lab.server, "inside0").unwrap().address(),
    };
    let services = ["10.77.3.2:22", "[fd77:3::2]:7005"];
    let mut attacks = Vec::new();
    for service in services.map(|service| service.parse::<SocketAddr>().unwrap()) {
        let here: IpAddr = PAST[usize::from(service.is_ipv6())].parse().unwrap();
        let flows: Vec<_> = PORTS
            .zip(0..=u8::MAX)
            .map(|(port, flags)| {
                let flow = Flow {
                    stage: Stage::Established,
                    here: (here, port).into(),
                    there: service,
                    sequence: 1,
                    acknowledgment: 2,
                };
                (flow, flags)
            })
            .collect();
        let ports: HashSet<_> = flows.iter().map(|(flow, _)| flow.here.port()).collect();
        for (flow, _) in &flows {
            let segment = Segment {
                source: flow.there,
                destination: flow.here,
                sequence: 1,
                acknowledgment: 1,
                flags: ACK,
            };
            tap.send(&segment.frame(&link)).unwrap();
        }
        scene.guest.await_at(&ports, |segment| {
            segment.source == service && segment.flags == ACK
        });
        attacks.extend(flows);
    }
    let segments: Vec<_> = attacks.iter().map(|(flow, flags)| later(flow, *flags)).collect();
    scene.guest.send(&segments);
    let answers = crate::everything_has_arrived(&mut scene, 0);
    let from_inside = |segment: &&Segment| {
        let source = segment.source.to_string();
        services.contains(&source.as_str()) && segment.destination.port() < PORTS.end && lets_in(segment)
    };
    assert_eq!(answers.iter().find(from_inside), None);
    nobody_is_served(&scene);
}

#[test]
fn of_a_guard() {
    begins_nothing("", &[]);
}

#[test]
fn of_a_chain() {
    begins_nothing("mode = \"chain\"", &[CHAIN_RULES]);
}
