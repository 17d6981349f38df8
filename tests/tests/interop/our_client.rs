//! Our client knocks on letmein 12.6.2's servers.

use crate::scenario::{ADMIN, Attempt, Ending, Policy, SSH, Scene, WEB, Way};
use anyhow::anyhow;
use letmein_tests::{
    gate::{self, KEY},
    peer::{Servers, hexadecimal},
};
use std::path::Path;

each_way!(always: check(Policy::Always));
each_way!(basic_auth: check(Policy::BasicAuth));
each_way!(full_auth: check(Policy::FullAuth));

fn check(way: Way, policy: Policy) {
    let scene = Scene::new(way, policy);
    close_all(&scene);
    let mut servers = Servers::start(&scene.lab.server, &configuration(policy)).unwrap();
    scene.play(&|attempt| knock(&scene, attempt));
    // Nothing was refused for another reason than meant.
    for line in [
        "Knock: Authentication failed",
        "Unknown user: 00000007",
        "Unknown resource: 00000009",
        "Resource 00000002 not allowed for user 00000001",
        "Resource 00000001 successfully knocked",
        "letmeinfwd firewall: The firewall rejected the request",
        "Resource 00000001 successfully revoked",
    ] {
        servers.wait_for(line).unwrap();
    }
}

/// Loads our example ruleset, which is for their servers as well, and adds that the services' ports are refused
/// audibly.
pub fn close_all(scene: &Scene) {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../nftables.conf");
    let reject = "add rule inet filter input tcp dport { 22, 23, 24 } reject with tcp reset";
    for arguments in [["--file", example.to_str().unwrap()].as_slice(), &[reject]] {
        let status = scene.lab.server.command("nft").args(arguments).status().unwrap();
        assert!(status.success(), "nft {arguments:?}");
    }
}

pub fn configuration(policy: Policy) -> String {
    let (policy, key) = (policy.name(), hexadecimal(&KEY));
    let [ssh, admin, web] = [SSH, ADMIN, WEB].map(|(id, port)| format!("{id:08X} = port: {port}"));
    // The control port takes two of three rules.
    format!(
        "[GENERAL]\ndebug = true\nport = 5800 / tcp, udp\ncontrol-error-policy = {policy}\n\
         [NFTABLES]\nfamily = inet\ntable = filter\nchain-input = LETMEIN-INPUT\nmax-nr-rules = 3\n\
         [KEYS]\n00000001 = {key}\n\
         [RESOURCES]\n{ssh} / users: 00000001\n{admin} / users: 00000002\n{web}\n"
    )
}

/// The exit codes are those that `letmein --help` tells.
pub fn knock(scene: &Scene, attempt: &Attempt) -> anyhow::Result<Ending> {
    let configuration = format!(
        "[servers.gate]\nhost = \"{}\"\nuser = \"{:08X}\"\ntimeout = \"{}s\"\nkey-file = \"alice.key\"\n",
        scene.way.server(),
        attempt.user,
        attempt.patience.as_secs(),
    );
    let resource = attempt.resource.to_string();
    let arguments = [attempt.verb, "gate", "-r", &resource, scene.way.option()];
    match gate::letmein(&scene.lab.client, &configuration, &attempt.key, &arguments)? {
        0 => Ok(Ending::Done),
        1 => Ok(Ending::Refused),
        3 => Ok(Ending::NoAnswer),
        code => Err(anyhow!("exit code {code}: {attempt:?}")),
    }
}
