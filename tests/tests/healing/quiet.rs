//! Healing ends. A rule that is written anew has a new handle, so rules that keep theirs have not been touched.

use super::scene::Scene;
use letmein_tests::wait::wait_until;
use std::{thread::sleep, time::Duration};

/// Waits until the rules stay as they are for a second.
#[track_caller]
pub fn wait_for_quiet(scene: &Scene) {
    wait_until("the rules stay as they are", || {
        let rules = scene.rules();
        sleep(Duration::from_secs(1));
        !rules.is_empty() && scene.rules() == rules
    });
}

#[test]
fn one_break_is_healed_once() {
    for scene in [Scene::guard(), Scene::chain()] {
        let mut gate = scene.with_guests();
        let handle = scene.handle("IPv4 leases");
        let chain = if scene.leases4() == "leases4" {
            "letmein input"
        } else {
            "filter LETMEIN-INPUT"
        };
        scene.heals(&mut gate, &format!("delete rule inet {chain} handle {handle}"));
        let rules = scene.rules();
        sleep(Duration::from_secs(2));
        assert_eq!(scene.rules(), rules);
        let log = gate.log_so_far();
        assert!(log.is_empty(), "{log:?}");
    }
}

#[test]
fn a_start_and_knocks_heal_nothing() {
    for scene in [Scene::guard(), Scene::chain()] {
        let mut gate = scene.with_guests();
        let rules = scene.rules();
        for _ in 0..10 {
            scene.knock(&gate);
            assert_eq!(scene.letmein(&gate, "revoke", "10.77.1.1"), 0);
        }
        sleep(Duration::from_secs(1));
        assert_eq!(scene.rules(), rules);
        let log = gate.log_so_far();
        assert!(
            log.iter().all(|line| !line.contains("changed the firewall")),
            "{log:?}"
        );
    }
}
