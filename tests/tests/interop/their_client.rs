//! letmein 12.6.2's client knocks on our server, with and without XDP.

use crate::scenario::{ADMIN, Attempt, Ending, Policy, SSH, Scene, WEB, Way};
use anyhow::anyhow;
use letmein_tests::{gate::Gate, peer};

each_way!(native_xdp_always: check("native", Policy::Always));
each_way!(native_xdp_basic_auth: check("native", Policy::BasicAuth));
each_way!(native_xdp_full_auth: check("native", Policy::FullAuth));
each_way!(no_xdp_always: check("off", Policy::Always));
each_way!(no_xdp_basic_auth: check("off", Policy::BasicAuth));
each_way!(no_xdp_full_auth: check("off", Policy::FullAuth));

fn check(way: Way, xdp: &str, policy: Policy) {
    let scene = Scene::new(way, policy);
    let mut gate = Gate::start_with(&scene.lab.server, &configuration(xdp, policy)).unwrap();
    scene.play(&|attempt| knock(&scene, attempt));
    // Nothing was refused for another reason than meant: over UDP, the client sends each message once.
    let expected: &[_] = if way.is_udp() {
        // Two knocks and one revocation came as far as their RESPONSE.
        &[
            ("genuine", 6),
            ("auth", 2),
            ("unknown-user", 1),
            ("not-permitted", 2),
        ]
    } else {
        &[("genuine", 0)]
    };
    let expected = expected
        .iter()
        .map(|(name, count)| ((*name).to_owned(), *count))
        .collect();
    assert_eq!(gate.counters().unwrap(), expected);
    gate.stop().unwrap();
}

pub fn configuration(xdp: &str, policy: Policy) -> String {
    let policy = policy.name();
    let [ssh, admin, web] =
        [SSH, ADMIN, WEB].map(|(id, port)| format!("id = \"{id:X}\"\nports = [\"tcp/{port}\"]"));
    format!(
        "[gate]\ninterfaces = [\"to-peer1\", \"to-peer2\"]\nxdp = \"{xdp}\"\nerror-policy = \"{policy}\"\n\
         [firewall]\nclosed = \"reject\"\nmax-leases = 1\n\
         [resources.ssh]\n{ssh}\n[resources.admin]\n{admin}\n[resources.web]\n{web}\n\
         [users.alice]\nid = \"1\"\nkey-file = \"alice.key\"\nresources = [\"ssh\", \"web\"]\n"
    )
}

/// Every failure has the same exit code; what it says tells them apart.
pub fn knock(scene: &Scene, attempt: &Attempt) -> anyhow::Result<Ending> {
    let (user, key) = (attempt.user, peer::hexadecimal(&attempt.key));
    let configuration = format!(
        "[GENERAL]\ncontrol-timeout = {}\n[CLIENT]\ndefault-user = {user:08X}\n[KEYS]\n{user:08X} = {key}\n",
        attempt.patience.as_secs(),
    );
    let (server, resource) = (scene.way.server().to_string(), format!("{:X}", attempt.resource));
    let arguments = [attempt.verb, &server, "-r", &resource, scene.way.option()];
    let output = peer::letmein(&scene.lab.client, &configuration, &arguments)?;
    let said = String::from_utf8_lossy(&output.stderr);
    let says = |text| said.contains(text);
    match output.status.code() {
        // A doubtful answer would have made it warn.
        Some(0) if said.is_empty() => Ok(Ending::Done),
        Some(1) if says("The server rejected the request") => Ok(Ending::Refused),
        Some(1) if says("RX communication with peer timed out") || says("Connection terminated") => {
            Ok(Ending::NoAnswer)
        }
        code => Err(anyhow!("exit code {code:?}: {attempt:?}: {said}")),
    }
}
