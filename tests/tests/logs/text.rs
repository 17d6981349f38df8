//! `log-format = "text"`.

use super::run::everything;

#[test]
fn lines_are_for_people() {
    let log = everything("text", &[]);
    let (first, rest) = log.split_once('\n').unwrap();
    assert!(
        first.ends_with("Z  INFO firewall installed table=\"letmein\""),
        "{first}"
    );
    assert!(
        rest.contains("Z  INFO alice opened ssh (tcp/22) for 10.77.1.2 until "),
        "{rest}"
    );
    assert!(
        rest.contains("Z  WARN alice may not open resource 00000002 (from 10.77.1.2)\n"),
        "{rest}"
    );
    // A fact that is in the message is not told twice.
    assert!(
        !rest.contains("event=") && !rest.contains("lease_seconds"),
        "{rest}"
    );
}
