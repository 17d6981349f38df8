//! A guest of a measurement: a client that knocks, the service behind the port, and how long it took from one to the other.

use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::socket::{Shutdown, shutdown},
};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::{
    net::{SocketAddr, TcpListener, TcpStream},
    os::fd::{AsFd as _, AsRawFd as _},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

/// Longer is a failure.
pub const PATIENCE: Duration = Duration::from_secs(1);
/// A thousand times what an attempt takes that gets through.
const ATTEMPT: Duration = Duration::from_millis(5);

/// What is behind the port. It takes every connection and ends it: the kernel completes no more than 128 for who takes none.
pub struct Service(TcpListener);

impl Service {
    /// Takes connections of this listener from now on.
    pub fn new(listener: TcpListener) -> anyhow::Result<Self> {
        let taking = listener.try_clone()?;
        thread::spawn(move || while taking.accept().is_ok() {});
        Ok(Self(listener))
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // Ends the thread.
        let _closed = shutdown(self.0.as_raw_fd(), Shutdown::Both);
    }
}

/// A knock after which the port took a connection.
pub struct Opened {
    /// From starting the client to the connection.
    pub milliseconds: f64,
    /// What the client thinks of it.
    pub client: ExitStatus,
}

/// Runs the client in this thread's namespace, and connects to the port when it has ended. None if that takes longer
/// than [`PATIENCE`].
pub fn knock_and_connect(mut client: Command, port: SocketAddr) -> anyhow::Result<Option<Opened>> {
    let started = Instant::now();
    let mut client = client
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    if !ends(&client, PATIENCE)? {
        client.kill()?;
        client.wait()?;
        return Ok(None);
    }
    let client = client.wait()?;
    while !connects(port) {
        if started.elapsed() > PATIENCE {
            return Ok(None);
        }
    }
    Ok(Some(Opened {
        milliseconds: started.elapsed().as_secs_f64() * 1e3,
        client,
    }))
}

/// Whether the port takes a connection at once.
#[must_use]
pub fn connects(port: SocketAddr) -> bool {
    TcpStream::connect_timeout(&port, ATTEMPT).is_ok()
}

/// Whether the process ends in this time. Looking again and again would cost what is measured.
fn ends(process: &Child, time: Duration) -> anyhow::Result<bool> {
    let end = pidfd_open(Pid::from_child(process), PidfdFlags::empty())?;
    let mut events = [PollFd::new(end.as_fd(), PollFlags::POLLIN)];
    Ok(poll(&mut events, PollTimeout::try_from(time)?)? > 0)
}
