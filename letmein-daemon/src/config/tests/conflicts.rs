//! Resources that are in the way of each other, of the control port, or of the firewall's mode.

use super::{GATE, bad::refused};

const SSH: &str = "[resources.ssh]\nid = \"1\"\nports = [\"tcp/22\"]\n";

#[test]
fn ports_belong_to_one_resource_and_both_lines_are_named() {
    for (sections, line, part) in [
        (
            "[resources.a]\nid = \"2\"\nports = [\"tcp/1-9\",\n\"tcp/9-10\"]",
            9,
            "names tcp/9-10, which overlaps its tcp/1-9 (line 8)",
        ),
        (
            "[resources.a]\nid = \"2\"\nports = [\"tcp/20-30\"]",
            8,
            "uses tcp/20-30, which overlaps tcp/22 of resource \"ssh\" (line 5)",
        ),
        (
            "[resources.a]\nid = \"2\"\nports = [\"udp/5000-6000\"]",
            8,
            "uses udp/5000-6000, which includes the control port, 5800 unless gate.port names another",
        ),
    ] {
        refused(&format!("{GATE}{SSH}{sections}"), &[(line, part)]);
    }
    // Both lines are named, that of the control port as well.
    refused(
        &format!("{GATE}port = 22\n{SSH}"),
        &[(6, "uses tcp/22, which is the control port (line 3)")],
    );
    // Silent knocks are taken from the wire at the control port, though there is no socket.
    refused(
        &format!("{GATE}silent = true\nchallenge = false\n[resources.a]\nid = \"2\"\nports = [\"udp/5800\"]"),
        &[(7, "uses udp/5800, which is the control port")],
    );
    // The later one is to blame, whatever their names.
    refused(
        &format!(
            "{GATE}[resources.z]\nid = \"1\"\nports = [\"tcp/22\"]\n[resources.a]\nid = \"1\"\nports = [\"tcp/22\"]"
        ),
        &[(7, "resource \"z\" (line 4)"), (8, "resource \"z\" (line 5)")],
    );
}

#[test]
fn jumps() {
    let chain = "[firewall]\nmode = \"chain\"\n";
    for (options, line, part) in [
        ("jump-input = \"a b\"", 7, "name of a chain in nftables"),
        (
            "jump-output = \"LETMEIN-OUTPUT\"",
            7,
            "jump-output leads to \"LETMEIN-OUTPUT\", which is letmeind's own",
        ),
        (
            "jump-input = \"MINE\"\njump-for-all = [\"forward\"]",
            8,
            "has no jump-forward that could be for all",
        ),
        (
            "jump-input = \"MINE\"\njump-for-all = [\"prerouting\"]",
            8,
            "expected one of `input`, `forward`, `output`",
        ),
        (
            "jump-input = \"MINE\"\nforward = true",
            8,
            "has no ports for forward to be about",
        ),
    ] {
        refused(
            &format!("{GATE}{chain}[resources.a]\nid = \"2\"\n{options}"),
            &[(line, part)],
        );
    }
    refused(
        &format!("{GATE}[resources.a]\nid = \"2\"\njump-input = \"MINE\""),
        &[(5, "jump-input belongs to firewall.mode = \"chain\"")],
    );
}
