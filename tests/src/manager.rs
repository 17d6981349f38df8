//! The service manager's end of `NOTIFY_SOCKET`: what a daemon tells it.

use anyhow::{Context as _, bail};
use std::{
    io::ErrorKind,
    os::unix::net::UnixDatagram,
    path::PathBuf,
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// How long a message may take that has to come.
const PATIENCE: Duration = Duration::from_secs(20);

/// A socket as the manager has it.
pub struct Manager {
    socket: UnixDatagram,
    folder: TempDir,
}

impl Manager {
    /// Opens it.
    pub fn listen() -> anyhow::Result<Self> {
        let folder = TempDir::new()?;
        let socket = UnixDatagram::bind(folder.path().join("notify"))?;
        Ok(Self { socket, folder })
    }

    /// Its path, for the environment.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("notify")
    }

    /// Fills its queue: whoever tells it something now waits until it reads.
    pub fn fill(&self) -> anyhow::Result<()> {
        let sender = UnixDatagram::unbound()?;
        sender.connect(self.path())?;
        sender.set_nonblocking(true)?;
        loop {
            match sender.send(b"X_FILLED=1") {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The next message with this line. Those before it are gone.
    pub fn wait_for(&self, line: &str) -> anyhow::Result<String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                bail!("the manager was not told {line}");
            }
            let message = self.next_within(left)?;
            let message = message.with_context(|| format!("the manager was not told {line}"))?;
            if message.lines().any(|said| said == line) {
                return Ok(message);
            }
        }
    }

    /// The next message, if one comes in this time.
    pub fn next_within(&self, time: Duration) -> anyhow::Result<Option<String>> {
        self.socket.set_read_timeout(Some(time))?;
        let mut message = [0; 4096];
        match self.socket.recv(&mut message) {
            Ok(length) => Ok(Some(String::from_utf8(message[..length].to_vec())?)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Forgets what has come so far.
    pub fn drain(&self) -> anyhow::Result<()> {
        while self.next_within(Duration::from_millis(1))?.is_some() {}
        Ok(())
    }
}
