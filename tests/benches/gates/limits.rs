//! What no gate can do better than: an XDP program that drops everything, and a socket that is only read.

use super::{
    contestant::{self, Contestant},
    kinds,
    running::Running,
    taken,
};
use anyhow::Context as _;
use letmein_tests::bare::{accept_frames, drop_frames};
use std::{env, net::UdpSocket};
use tempfile::TempDir;

/// The option by which this program reads a socket and does nothing else.
pub const READ: &str = "--only-read";

/// It looks at no byte, so that all kinds are the same to it.
pub fn bare() -> anyhow::Result<Contestant> {
    let (lab, service) = contestant::lab()?;
    let program = drop_frames(&lab.server, "to-peer1")?;
    Ok(Contestant {
        kinds: vec![kinds::junk()],
        processes: Vec::new(),
        knock: None,
        taken: taken::by_interface(&lab.server),
        lab,
        _keep: vec![Box::new(service), Box::new(program)],
    })
}

/// What a server does before it looks at the first byte.
pub fn socket() -> anyhow::Result<Contestant> {
    let (lab, service) = contestant::lab()?;
    let pass = accept_frames(&lab.server, "to-peer1")?;
    let folder = TempDir::new()?;
    let mut command = lab.server.command(&env::current_exe()?.to_string_lossy());
    command.arg(READ);
    let process = Running::start(command, &folder.path().join("log"))?;
    // The first line is the headings.
    process.wait_until(|| Ok(lab.server.run("cat", &["/proc/net/udp"])?.lines().count() > 1))?;
    Ok(Contestant {
        kinds: vec![kinds::junk()],
        lab,
        processes: vec![process.pid()],
        knock: None,
        taken: taken::by_udp_sockets(process.pid()),
        _keep: vec![
            Box::new(process),
            Box::new(folder),
            Box::new(service),
            Box::new(pass),
        ],
    })
}

/// Reads until somebody ends it.
pub fn read() -> anyhow::Result<()> {
    let socket = UdpSocket::bind(("0.0.0.0", kinds::CONTROL)).context("the socket")?;
    let mut datagram = [0; 2048];
    loop {
        socket.recv(&mut datagram)?;
    }
}
