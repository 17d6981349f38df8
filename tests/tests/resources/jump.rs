//! Jumps into chains of the administrator's own.

use super::{SERVER, alice, gate};
use letmein_tests::lab::{Lab, Outcome};

use Outcome::{Open, Silent};

const RULES: &str = "table inet filter {
    chain input { type filter hook input priority filter; policy drop;
        ct state established,related accept
        jump LETMEIN-INPUT;
    }
    chain MINE { tcp dport 24 accept;
    }
    chain LETMEIN-INPUT { }
}";
const JUMP: &str = "[resources.mine]\nid = \"00000001\"\nlease = \"1h\"\njump-input = \"MINE\"";

#[test]
fn a_knock_sends_the_clients_packets_through_a_chain_and_a_restart_keeps_it() {
    let lab = Lab::new().unwrap();
    let _service = lab.server.listen(24).unwrap();
    let reached = || {
        [(&lab.client, "10.77.1.1:24"), (&lab.other, "10.77.2.1:24")]
            .map(|(host, to)| host.connect(to.parse().unwrap()).unwrap())
    };
    lab.server.run("nft", &[RULES]).unwrap();
    let mut running = gate(&lab, "mode = \"chain\"", JUMP);
    assert_eq!(reached(), [Silent, Silent]);
    assert_eq!(alice(&lab.client, SERVER, "knock"), 0);
    running
        .wait_for("alice opened mine (jump to MINE) for 10.77.1.2 until")
        .unwrap();
    assert_eq!(reached(), [Open, Silent]);
    running.stop().unwrap();
    running = gate(&lab, "mode = \"chain\"", JUMP);
    assert_eq!(reached(), [Open, Silent]);
    assert_eq!(alice(&lab.client, SERVER, "revoke"), 0);
    assert_eq!(reached(), [Silent, Silent]);
    running.stop().unwrap();

    // For everybody, which either of them may begin and end.
    let for_all = format!("{JUMP}\njump-for-all = [\"input\"]");
    running = gate(&lab, "mode = \"chain\"", &for_all);
    assert_eq!(alice(&lab.client, SERVER, "knock"), 0);
    assert_eq!(reached(), [Open, Open]);
    assert_eq!(alice(&lab.other, "10.77.2.1", "revoke"), 0);
    assert_eq!(reached(), [Silent, Silent]);
    drop(running);
}
