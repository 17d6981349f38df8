//! `log-format = "journald"`, with a socket that plays the journal; `tests/tests/systemd/journal.rs` asks the real one.

use super::run::everything;
use std::{
    collections::BTreeMap,
    fs::{self, Permissions},
    io::ErrorKind,
    os::unix::{fs::PermissionsExt as _, net::UnixDatagram},
    path::Path,
    thread,
    time::Duration,
};
use tempfile::TempDir;

type Entry = BTreeMap<String, String>;

/// A `/run` in which there is this folder as the journal's, or no journal at all.
const RUN: &str = "mount -t tmpfs -o mode=755 none /run
if test -n \"$0\"; then mkdir -p /run/systemd/journal; mount --bind \"$0\" /run/systemd/journal; fi
exec \"$@\"";

fn under(journal: &str) -> [&str; 6] {
    ["unshare", "--mount", "sh", "-ec", RUN, journal]
}

/// As the journal reads it.
fn parse(mut datagram: &[u8]) -> Entry {
    let mut entry = Entry::new();
    let up_to = |datagram: &mut &[u8], end: usize| {
        let (part, rest) = datagram.split_at(end);
        *datagram = &rest[1..];
        String::from_utf8(part.to_vec()).unwrap()
    };
    while !datagram.is_empty() {
        let end = datagram.iter().position(|byte| *byte == b'\n').unwrap();
        let line = up_to(&mut datagram, end);
        let (name, value) = if let Some((name, value)) = line.split_once('=') {
            (name.to_owned(), value.to_owned())
        } else {
            let (length, rest) = datagram.split_first_chunk().unwrap();
            datagram = rest;
            let length = usize::try_from(u64::from_le_bytes(*length)).unwrap();
            (line, up_to(&mut datagram, length))
        };
        assert!(entry.insert(name, value).is_none());
    }
    entry
}

/// A journal until the gate has stopped.
fn listen(folder: &Path) -> thread::JoinHandle<Vec<Entry>> {
    fs::set_permissions(folder, Permissions::from_mode(0o755)).unwrap();
    let path = folder.join("socket");
    let socket = UnixDatagram::bind(&path).unwrap();
    fs::set_permissions(path, Permissions::from_mode(0o666)).unwrap();
    socket.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
    thread::spawn(move || {
        let mut entries: Vec<Entry> = Vec::new();
        let stopping = |entry: &Entry| {
            entry
                .get("LETMEIN_EVENT")
                .is_some_and(|event| event == "stopping")
        };
        while !entries.last().is_some_and(stopping) {
            let mut datagram = vec![0; 1 << 18];
            let length = match socket.recv(&mut datagram) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                received => received.unwrap(),
            };
            entries.push(parse(&datagram[..length]));
        }
        entries
    })
}

fn found<'e>(entries: &'e [Entry], event: &str) -> &'e Entry {
    let mut all = entries
        .iter()
        .filter(|entry| entry.get("LETMEIN_EVENT").is_some_and(|name| name == event));
    all.next().unwrap()
}

#[test]
fn entries_have_a_field_for_each_fact() {
    let folder = TempDir::new().unwrap();
    let journal = listen(folder.path());
    let left = everything("journald", &under(&folder.path().display().to_string()));
    assert_eq!(left, "", "all of it is in the journal");
    let entries = journal.join().unwrap();
    for entry in &entries {
        assert!(!entry["MESSAGE"].is_empty());
        assert_eq!(entry["SYSLOG_IDENTIFIER"], "letmeind");
        assert!(["3", "4", "6"].contains(&&*entry["PRIORITY"]), "{entry:?}");
    }
    let mut opened = found(&entries, "opened").clone();
    assert!(
        opened
            .remove("MESSAGE")
            .unwrap()
            .starts_with("alice opened ssh (tcp/22)")
    );
    let expected = [
        ("LETMEIN_ADDRESS", "10.77.1.2"),
        ("LETMEIN_EVENT", "opened"),
        ("LETMEIN_LEASE_SECONDS", "2"),
        ("LETMEIN_PORTS", "tcp/22"),
        ("LETMEIN_RESOURCE", "ssh"),
        ("LETMEIN_USER", "alice"),
        ("PRIORITY", "6"),
        ("SYSLOG_IDENTIFIER", "letmeind"),
    ];
    let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(opened, Entry::from(expected));
    // This one is the gatekeeper's, from within its sandbox.
    let refused = found(&entries, "refused");
    assert_eq!((&*refused["LETMEIN_USER"], &*refused["PRIORITY"]), ("alice", "4"));
    let several_lines = found(&entries, "reload-refused");
    assert!(several_lines["MESSAGE"].contains('\n'), "{several_lines:?}");
}

#[test]
fn without_a_journal_the_log_is_text() {
    let log = everything("journald", &under(""));
    assert!(
        log.contains("WARN no journal at /run/systemd/journal/socket"),
        "{log}"
    );
    assert!(
        log.contains("INFO alice opened ssh") && log.contains("WARN alice may not open"),
        "{log}"
    );
}
