//! Commands for network cards, which a veth pair only takes in part: what it cannot do, it has to have understood.

use letmein_tests::{document::commands_for, lab::Lab};

/// What it means that a setting is known, and this interface does not have it.
const UNDERSTOOD: &str = "requested channel count exceeds maximum";

#[test]
fn are_understood() {
    let lab = Lab::new().unwrap();
    let rename = "ip link set to-peer1 down; ip link set to-peer1 name eth0; ip link set eth0 up";
    lab.server.run("sh", &["-ec", rename]).unwrap();
    for command in commands_for("docs/operations.md", "nic", "").unwrap() {
        let output = lab.server.command("sh").args(["-c", &command]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success() || said.contains(UNDERSTOOD),
            "{command}: {said}"
        );
    }
}
