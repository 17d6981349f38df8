//! A key that either implementation's `gen-key` makes is good for both, as it is written.

use crate::{
    our_client,
    scenario::{Attempt, Ending, Policy, SSH, Scene, Way},
    their_client,
};
use letmein_tests::{
    gate::{self, Gate, KEY},
    peer::{self, Servers, hexadecimal},
};
use std::{fs, os::unix::fs::PermissionsExt as _, time::Duration};
use tempfile::TempDir;

#[test]
fn their_key_for_our_server() {
    let scene = Scene::new(Way::UdpIpv4, Policy::BasicAuth);
    let output = peer::letmein(&scene.lab.client, "", &["gen-key", "--user", "1"]).unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    let (user, key) = printed.trim().split_once(" = ").unwrap();
    assert_eq!(user, "00000001");

    let folder = TempDir::new().unwrap();
    let file = folder.path().join("their.key");
    fs::write(&file, key).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let configuration = their_client::configuration("off", scene.policy);
    let configuration = configuration.replace("alice.key", file.to_str().unwrap());
    let _gate = Gate::start_with(&scene.lab.server, &configuration).unwrap();
    assert_eq!(their_client::knock(&scene, &knock(key)).unwrap(), Ending::Done);
}

#[test]
fn our_key_for_their_servers() {
    let scene = Scene::new(Way::UdpIpv4, Policy::BasicAuth);
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("our.key");
    let arguments = ["gen-key", "--output", file.to_str().unwrap()];
    assert_eq!(gate::letmein(&scene.lab.client, "", &KEY, &arguments).unwrap(), 0);
    let key = fs::read_to_string(&file).unwrap();

    our_client::close_all(&scene);
    let configuration = our_client::configuration(scene.policy).replace(&hexadecimal(&KEY), key.trim());
    let _servers = Servers::start(&scene.lab.server, &configuration).unwrap();
    assert_eq!(
        our_client::knock(&scene, &knock(key.trim())).unwrap(),
        Ending::Done
    );
}

fn knock(key: &str) -> Attempt {
    let bytes: Vec<_> = (0..key.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&key[at..at + 2], 16).unwrap())
        .collect();
    Attempt {
        verb: "knock",
        user: 1,
        key: bytes.try_into().unwrap(),
        resource: SSH.0,
        patience: Duration::from_secs(15),
    }
}
