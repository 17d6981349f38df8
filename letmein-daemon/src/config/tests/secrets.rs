//! Keys appear in no error and in no Debug output, wherever they are written.

use super::{GATE, KEY, PIECE_OF_KEY, parse};

#[test]
fn errors_hide_keys() {
    for text in [
        format!("[users.a]\nkey = {KEY}"),
        format!("[users.a]\nkey = \"{KEY}"),
        format!("[users.a]\nkey = \"{KEY}\\q\""),
        format!("[users.a]\nkey = [\"{KEY}\"]"),
        format!("[users.a]\n{KEY} = 1"),
        format!("[users.{KEY}]"),
        format!("[{KEY}]"),
        format!("[users.a]\nid = \"{KEY}\""),
        format!("[users.a]\nid = \"1\"\nresources = [\"{KEY}\"]"),
        format!("[users.a]\nid = \"1\"\nkey-file = \"{KEY}\""),
        format!("[users.a]\nid = \"1\"\nkey-file = \"keys/{KEY}\""),
        format!("[users.a]\nid = \"1\"\nkey-file = [\"{KEY}\"]"),
        format!("[users.a]\nid = \"1\"\nkey = \"{KEY}0\""),
        format!("[users.a]\nid = \"1\"\nkey = \"{}g\"", &KEY[..63]),
        format!("[users.a]\nid = \"1\"\nkey = \"{}\"", &KEY[..20]),
        format!("[users.a]\nid = \"1\"\nkey = \"{KEY}\"\nkey-file = \"k\""),
        format!("[gate]\nport = \"{KEY}\""),
        format!("[gate]\nxdp = \"{KEY}\""),
        format!("[gate]\ncontrol-timeout = \"{KEY}\""),
        format!("[firewall]\nmode = \"chain\"\nchain = \"{KEY}\""),
        format!("[resources.a]\nports = [\"{KEY}\"]"),
    ] {
        let error = parse(&text).expect_err(&text);
        let shown = format!("{error}\n{error:?}\n{error:#?}");
        assert!(!shown.contains(PIECE_OF_KEY), "{text}\n{shown}");
    }
}

#[test]
fn an_integer_for_a_key_is_not_repeated() {
    let error = parse("[users.a]\nkey = 1234567890123456789").unwrap_err();
    assert!(!format!("{error}{error:?}").contains("123456"), "{error}");
}

#[test]
fn a_key_for_a_file_name_gets_a_hint() {
    let error = parse(&format!(
        "{GATE}[users.a]\nid = \"1\"\nkey-file = \"{KEY}\"\nresources = [\"*\"]"
    ))
    .unwrap_err();
    assert_eq!(error.problems().len(), 1);
    assert!(
        error
            .to_string()
            .contains("key-file names a file, but holds a key"),
        "{error}"
    );
}

#[test]
fn debug_hides_keys() {
    let config = parse(&format!(
        "{GATE}[users.alice]\nid = \"1\"\nkey = \"{KEY}\"\nresources = [\"*\"]"
    ))
    .unwrap();
    let shown = format!("{config:?}");
    assert!(shown.contains("User { name: \"alice\", .. }"), "{shown}");
    assert!(!shown.contains(PIECE_OF_KEY), "{shown}");
}
