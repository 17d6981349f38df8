//! What a scanner tries: connections to many ports, and junk to the control port.

use super::stage::{CONTROL_PORT, PORT, SERVER_OF_SCANNER};
use letmein_tests::lab::{Host, Outcome};
use std::{
    io,
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    ops::RangeInclusive,
    time::Duration,
};

/// The TCP ports that are tried.
pub const PORTS: RangeInclusive<u16> = 1..=100;
/// A UDP port where nothing listens: shows what a scanner sees there.
pub const UNUSED_PORT: u16 = CONTROL_PORT + 1;
/// How long an answer is awaited. It would take microseconds.
const PATIENCE: Duration = Duration::from_millis(500);

/// What the scan of the TCP ports found.
#[derive(Default)]
pub struct Found {
    pub open: Vec<u16>,
    pub refused: Vec<u16>,
    pub silent: Vec<u16>,
}

/// Tries a connection to every one of [`PORTS`].
pub fn tcp(scanner: &Host) -> anyhow::Result<Found> {
    let mut found = Found::default();
    for port in PORTS {
        let list = match scanner.connect(SocketAddr::from((SERVER_OF_SCANNER, port)))? {
            Outcome::Open => &mut found.open,
            Outcome::Refused => &mut found.refused,
            Outcome::Silent => &mut found.silent,
        };
        list.push(port);
    }
    Ok(found)
}

/// Sends a datagram of each of several shapes to UDP `port`, and tells what came back.
pub fn udp(scanner: &Host, port: u16) -> anyhow::Result<&'static str> {
    let answer = scanner.enter(|| {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        socket.connect((SERVER_OF_SCANNER, port))?;
        for datagram in junk() {
            match socket.send(&datagram) {
                // The kernel tells about the answer to an earlier one.
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => return Err(error),
                sent => sent?,
            };
        }
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.recv(&mut [0; 64])
    })?;
    match answer {
        Ok(_) => Ok("an answer"),
        Err(error) => match error.kind() {
            io::ErrorKind::ConnectionRefused => Ok("port unreachable"),
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Ok("no answer"),
            _ => Err(error.into()),
        },
    }
}

/// Nothing, little, much; as long as a knock, and with a knock's first bytes.
fn junk() -> Vec<Vec<u8>> {
    let mut almost = vec![0; 56];
    almost[..4].copy_from_slice(&0x3B1B_B719_u32.to_be_bytes());
    vec![
        Vec::new(),
        vec![0],
        b"GET / HTTP/1.0\r\n\r\n".to_vec(),
        vec![0xFF; 56],
        almost,
        vec![0xAA; 1200],
    ]
}

/// Whether only the protected port is silent, and nothing open.
pub fn only_the_port_is_silent(found: &Found) -> bool {
    found.open.is_empty() && found.silent == [PORT] && found.refused.len() == PORTS.count() - 1
}
