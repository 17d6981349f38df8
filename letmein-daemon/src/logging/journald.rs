//! The log as entries of systemd's journal, by its native protocol (<https://systemd.io/JOURNAL_NATIVE_PROTOCOL/>).

use super::record::Record;
use serde_json::Value;
use std::{
    io,
    os::unix::net::{SocketAddr, UnixDatagram},
    time::Duration,
};
use tracing::Level;

/// Where the journal listens.
pub const SOCKET: &str = "/run/systemd/journal/socket";
/// The longest value. A longer entry would have to be handed over in memory, for which there is no system call left.
const LONGEST: usize = 32 * 1024;

/// How long an entry may wait until the journal has taken some of those before it.
const PATIENCE: Duration = Duration::from_millis(200);

/// A connection, which needs nothing more of the file system.
pub struct Journal(UnixDatagram);

impl Journal {
    pub fn connect() -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        socket.connect_addr(&SocketAddr::from_pathname(SOCKET)?)?;
        // A journal that hangs must not keep knocks waiting for long.
        socket.set_write_timeout(Some(PATIENCE))?;
        Ok(Self(socket))
    }

    /// Hands it over.
    pub fn take(&self, record: &Record) -> io::Result<()> {
        self.0.send(&entry(record)).map(drop)
    }
}

fn entry(record: &Record) -> Vec<u8> {
    let mut entry = Vec::new();
    put(&mut entry, "MESSAGE", &record.message);
    put(&mut entry, "PRIORITY", priority(record.level));
    put(&mut entry, "SYSLOG_IDENTIFIER", "letmeind");
    for (name, value) in &record.fields {
        let name = format!("LETMEIN_{}", name.to_ascii_uppercase());
        match value {
            Value::String(text) => put(&mut entry, &name, text),
            other => put(&mut entry, &name, &other.to_string()),
        }
    }
    entry
}

/// As `syslog(3)` counts.
fn priority(level: Level) -> &'static str {
    match level {
        Level::ERROR => "3",
        Level::WARN => "4",
        Level::INFO => "6",
        Level::DEBUG | Level::TRACE => "7",
    }
}

fn put(entry: &mut Vec<u8>, name: &str, value: &str) {
    let value = value.get(..value.floor_char_boundary(LONGEST)).unwrap_or(value);
    entry.extend_from_slice(name.as_bytes());
    if value.contains('\n') {
        entry.push(b'\n');
        entry.extend_from_slice(&(value.len() as u64).to_le_bytes());
    } else {
        entry.push(b'=');
    }
    entry.extend_from_slice(value.as_bytes());
    entry.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_as_the_journal_reads_it() {
        let record = Record {
            time: jiff::Timestamp::UNIX_EPOCH,
            level: Level::INFO,
            message: "two\nlines".to_owned(),
            fields: vec![("lease_seconds", 600.into()), ("user", "alice".into())],
        };
        assert_eq!(
            String::from_utf8(entry(&record)).unwrap(),
            "MESSAGE\n\u{9}\0\0\0\0\0\0\0two\nlines\nPRIORITY=6\nSYSLOG_IDENTIFIER=letmeind\n\
             LETMEIN_LEASE_SECONDS=600\nLETMEIN_USER=alice\n"
        );
    }

    #[test]
    fn a_message_is_cut_where_a_datagram_ends() {
        let record = Record {
            time: jiff::Timestamp::UNIX_EPOCH,
            level: Level::ERROR,
            message: "ö".repeat(LONGEST),
            fields: Vec::new(),
        };
        let entry = entry(&record);
        assert!(entry.len() < LONGEST + 100);
        assert!(String::from_utf8(entry).unwrap().contains("ö\nPRIORITY=3\n"));
    }
}
