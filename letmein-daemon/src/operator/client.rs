//! The operator's end of the socket.

use super::protocol::{Answer, LONGEST_ANSWER, Request};
use anyhow::{Context as _, bail};
use std::{
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    os::unix::net::UnixStream,
    path::Path,
    time::Duration,
};

/// How long letmeind may take for a line: it may be busy with a million leases.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is said when it ends, is restarted, or has too many others to serve.
const CLOSED: &str = "letmeind has closed the connection";

/// A connection to a letmeind that runs.
pub struct Client(BufReader<UnixStream>);

impl Client {
    /// Connects.
    pub fn connect(path: &Path) -> anyhow::Result<Self> {
        let stream = UnixStream::connect(path).map_err(|error| {
            let remedy = match error.kind() {
                io::ErrorKind::PermissionDenied => "only root and the group in operator.group may",
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                    "does letmeind run, with this path for operator.socket?"
                }
                _ => "is this the path in operator.socket?",
            };
            anyhow::Error::from(error).context(format!("cannot reach {}: {remedy}", path.display()))
        })?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self(BufReader::new(stream)))
    }

    /// Waits this long for each line from now on.
    pub fn be_patient(&mut self, patience: Duration) -> anyhow::Result<()> {
        Ok(self.0.get_ref().set_read_timeout(Some(patience))?)
    }

    /// Asks, and returns the (first) answer.
    pub fn ask(&mut self, request: &Request) -> anyhow::Result<Answer> {
        let mut line = serde_json::to_vec(request)?;
        line.push(b'\n');
        // One that refuses us may have said why and closed: what it said comes first.
        let sent = self.0.get_mut().write_all(&line);
        match self.line() {
            Ok(line) => read(&line),
            Err(error) => match sent {
                Ok(()) => Err(error),
                Err(gone) => Err(anyhow::Error::from(gone).context(CLOSED)),
            },
        }
    }

    /// The next line of the answer.
    pub fn more(&mut self) -> anyhow::Result<Answer> {
        read(&self.line()?)
    }

    fn line(&mut self) -> anyhow::Result<Vec<u8>> {
        let mut line = Vec::new();
        let most = u64::try_from(LONGEST_ANSWER)?;
        self.0
            .by_ref()
            .take(most)
            .read_until(b'\n', &mut line)
            .context("letmeind does not answer")?;
        if line.last() != Some(&b'\n') {
            bail!(CLOSED);
        }
        Ok(line)
    }
}

fn read(line: &[u8]) -> anyhow::Result<Answer> {
    match serde_json::from_slice(line).context("letmeind's answer makes no sense; is it another version?")? {
        Answer::Refused { error } => bail!("{error}"),
        answer => Ok(answer),
    }
}

/// For an answer to another question.
pub(super) fn unexpected<T>(answer: &Answer) -> anyhow::Result<T> {
    bail!("letmeind answers another question: {answer:?}")
}
