//! `log-format = "journald"` under the real journal, in the sandbox of the real unit.

use crate::scene::Scene;
use letmein_tests::{document::commands_for, machine::Root};
use std::fs;

/// Nobody may.
const ADMIN: &str = "\n[resources.admin]\nid = \"2\"\nports = [\"tcp/23\"]\n";
const SERVICE: &str = "letmeind.service";

fn journald(root: &Root) {
    let file = root.path("etc/letmein/letmeind.toml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(file, text + ADMIN + "\n[daemon]\nlog-format = \"journald\"\n").unwrap();
}

/// This field of the entries that match.
fn field(scene: &Scene, field: &str, event: &str) -> String {
    let event = format!("LETMEIN_EVENT={event}");
    let unit = format!("_SYSTEMD_UNIT={SERVICE}");
    let fields = format!("--output-fields={field}");
    let words = ["journalctl", "--output=cat", &fields, &unit, &event];
    scene.machine.run(&words).unwrap()
}

#[test]
fn both_processes_write_entries_with_fields() {
    let scene = Scene::boot_after("30s", journald);
    scene.machine.wait_for_state(SERVICE, "active").unwrap();
    assert_eq!(scene.knock(), 0);
    scene
        .machine
        .wait_for("the knock is in the journal", |_| {
            field(&scene, "LETMEIN_USER", "opened").trim() == "alice"
        })
        .unwrap();
    assert_eq!(field(&scene, "LETMEIN_RESOURCE", "opened").trim(), "ssh");
    assert_eq!(field(&scene, "PRIORITY", "ready").trim(), "6");
    for command in commands_for("docs/monitoring.md", "journal", "").unwrap() {
        let told = scene.machine.run(&["sh", "-ec", &command]).unwrap();
        assert!(
            told.contains(": alice opened ssh (tcp/22) for 10.77.1.2"),
            "{told}"
        );
        assert_eq!(told.lines().count(), 1, "{told}");
    }
    // Nobody has permitted her this one; the gatekeeper says so.
    assert_ne!(scene.knock_on("2"), 0);
    scene
        .machine
        .wait_for("the refusal is in the journal", |_| {
            field(&scene, "LETMEIN_RESOURCE", "refused").trim() == "00000002"
        })
        .unwrap();
    let user = field(&scene, "_UID", "refused");
    assert_ne!(user.trim(), "0", "it is the gatekeeper's own entry");
    assert_eq!(field(&scene, "_UID", "opened").trim(), "0");
}
