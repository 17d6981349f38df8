//! Whole files, good and bad.

use super::*;
use std::fs;
use tempfile::TempDir;

const KEY: &str = "5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a";

/// Writes `text` with this mode and loads it.
fn load_text(text: &str, mode: u32) -> (TempDir, anyhow::Result<Config>) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("letmein.toml");
    fs::write(&path, text).unwrap();
    chmod(&path, mode);
    let config = load(&path);
    (folder, config)
}

#[cfg(unix)]
fn chmod(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[cfg(not(unix))]
fn chmod(_: &Path, _: u32) {}

fn error(text: &str, mode: u32) -> String {
    let (folder, config) = load_text(text, mode);
    let error = format!("{:#}", config.err().expect(text));
    assert!(!error.contains("5a5a"), "{error}");
    error.replace(folder.path().to_str().unwrap(), "FOLDER")
}

#[test]
fn defaults_and_all_options() {
    let text = "[servers.small]\nuser = \"1\"\nkey-file = \"k\"\n\
                [servers.full]\nhost = \"gate.example.org\"\nport = 5801\ntransport = \"tcp\"\ntimeout = \"500ms\"\n\
                mode = \"silent\"\ngate-number = 4294967295\naddress = \"192.0.2.7\"\nuser = \"0000001A\"\nkey-file = \"k\"\n\
                [servers.full.resources]\nssh = { id = \"2\", port = 22 }\nvpn = { id = \"3\" }\n";
    let (_folder, config) = load_text(text, 0o644);
    let config = config.unwrap();
    let small = &config.servers["small"];
    assert_eq!(
        (&small.host, small.port, small.transport),
        (&None, 5800, Transport::Udp)
    );
    assert_eq!((small.timeout, small.user), (Duration::from_secs(5), UserId(1)));
    assert_eq!(
        (small.mode, small.gate_number, small.address),
        (Mode::Challenge, 0, Address::Auto)
    );
    let full = &config.servers["full"];
    assert_eq!(
        (full.mode, full.gate_number, full.address),
        (Mode::Silent, u32::MAX, Address::Ip([192, 0, 2, 7].into()))
    );
    assert_eq!(full.host.as_deref(), Some("gate.example.org"));
    assert_eq!((full.port, full.transport), (5801, Transport::Tcp));
    assert_eq!(
        (full.timeout, full.user),
        (Duration::from_millis(500), UserId(0x1A))
    );
    let ssh = &full.resources["ssh"];
    assert_eq!((ssh.id, ssh.port), (ResourceId(2), Some(22)));
    assert_eq!(full.resources["vpn"].port, None);
}

#[test]
fn errors_name_the_line_and_the_remedy() {
    let long = format!("{KEY}5a");
    for (line, hint) in [
        ("prot = 1", "unknown field `prot`, expected one of"),
        ("host = 1", "expected a string"),
        (
            "port = \"5800\"",
            "a port is a number from 1 to 65535, without quotes",
        ),
        ("port = 0", "a port is a number from 1 to 65535"),
        ("port = 65536", "a port is a number from 1 to 65535"),
        (
            "transport = \"tpc\"",
            "unknown variant `tpc`, expected `udp` or `tcp`",
        ),
        (
            "timeout = 5",
            "written in quotes and with its unit, such as \"5s\"",
        ),
        ("timeout = \"5\"", "write \"5s\" if you mean seconds"),
        ("timeout = \"11m\"", "at most 10m"),
        (
            "user = \"alice\"",
            "\"alice\" is no id; write 1 to 8 hexadecimal digits",
        ),
        ("user = \"+1\"", "\"+1\" is no id"),
        ("user = \"123456789\"", "is no id"),
        ("user = 1", "an id is written in quotes"),
        (
            "key = \"5a5a\"",
            "a key is 64 hexadecimal digits, not 4; `letmein gen-key`",
        ),
        ("key = 5555555555", "a key is written in quotes"),
        (
            &format!("key = \"{long}\""),
            "a key is 64 hexadecimal digits, not 66",
        ),
        ("resources = { ssh = { id = \"x\" } }", "\"x\" is no id"),
        ("resources = { ssh = { id = 1 } }", "an id is written in quotes"),
        ("resources = { ssh = { port = 22 } }", "missing field `id`"),
        (
            "resources = { ssh = { id = \"1\", port = 0 } }",
            "a port is a number",
        ),
        (
            "resources = { ssh = { id = \"1\", prot = 1 } }",
            "unknown field `prot`",
        ),
        ("resources = 5", "expected a map"),
        ("timeout = ", "string values must be quoted"),
    ] {
        let error = error(&format!("\n[servers.home]\n{line}\n"), 0o600);
        assert!(error.starts_with("FOLDER/letmein.toml:3:"), "{line}: {error}");
        assert!(error.contains(hint), "{line}: {error}");
        assert!(!error.contains("5555"), "{error}");
    }
}

#[test]
fn a_section_that_lacks_something_is_named_by_its_line() {
    for (section, hint) in [
        (
            "key-file = \"k\"".to_owned(),
            "add user = \"00000001\" with yours",
        ),
        ("user = \"1\"".to_owned(), "this server lacks a key; add key-file"),
        (
            format!("user = \"1\"\nkey-file = \"{KEY}\""),
            "key-file is the name of a file",
        ),
        (
            format!("user = \"1\"\nkey-file = \"k\"\nkey = \"{KEY}\""),
            "has two keys; remove either",
        ),
    ] {
        let error = error(&format!("\n\n[servers.home]\n{section}\n"), 0o600);
        assert!(error.starts_with("FOLDER/letmein.toml:3:"), "{error}");
        assert!(error.contains(hint), "{error}");
    }
    let error = error("[server.home]\n", 0o600);
    assert!(
        error.contains("unknown field `server`, expected `servers`"),
        "{error}"
    );
}

#[cfg(unix)]
#[test]
fn keys_are_for_their_owner_only() {
    let inline = format!("[servers.home]\nuser = \"1\"\nkey = \"{KEY}\"\n");
    for mode in [0o640, 0o604, 0o620, 0o644] {
        let error = error(&inline, mode);
        let expected = format!("mode {mode:04o}); run `chmod 600 FOLDER/letmein.toml`");
        assert!(error.contains(&expected), "{error}");
    }
    let (folder, config) = load_text(&inline, 0o600);
    let path = folder.path().join("letmein.toml");
    let inline = config.unwrap().servers["home"].key(&path).map(|key| *key.lanes());

    fs::write(&path, "[servers.home]\nuser = \"1\"\nkey-file = \"k\"\n").unwrap();
    let read = || {
        load(&path).unwrap().servers["home"]
            .key(&path)
            .map(|key| *key.lanes())
    };
    let missing = read().unwrap_err().to_string();
    assert!(
        missing.contains("/k cannot be read") && missing.contains("is the path right?"),
        "{missing}"
    );
    let key_file = folder.path().join("k");
    fs::write(&key_file, format!("{KEY}\n")).unwrap();
    chmod(&key_file, 0o644);
    let open = read().unwrap_err().to_string();
    assert!(open.contains("mode 0644); run `chmod 600 "), "{open}");
    chmod(&key_file, 0o600);
    assert_eq!(read().unwrap(), inline.unwrap());
    fs::write(&key_file, &KEY[1..]).unwrap();
    let short = read().unwrap_err().to_string();
    assert!(
        short.contains("/k: a key is 64 hexadecimal digits, not 63"),
        "{short}"
    );
    assert!(!short.contains("5a5a"), "{short}");
}

#[test]
fn positions_count_characters() {
    assert_eq!(position("", 0), (1, 1));
    assert_eq!(position("é=1\nüb", 7), (2, 2));
}
