//! A TCP connection as a shell over SSH has it: it is open for long, and either side may have something to say.

use letmein_tests::lab::Host;
use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    time::Duration,
};

/// When something has to arrive, even on a busy machine.
const SOON: Duration = Duration::from_secs(10);
/// How long nothing has to arrive to be called silence: TCP repeats after a fifth of a second, and soon again.
const SILENCE: Duration = Duration::from_millis(1500);

/// Both ends of it.
pub struct Stream {
    client: TcpStream,
    server: TcpStream,
}

impl Stream {
    /// Opens one from `host` to a listener.
    #[track_caller]
    pub fn open(host: &Host, to: &str, listener: &TcpListener) -> Self {
        let to: SocketAddr = to.parse().unwrap();
        let client = host
            .enter(|| TcpStream::connect_timeout(&to, SOON))
            .unwrap()
            .unwrap();
        let from = client.local_addr().unwrap().port();
        loop {
            // Connections that only tried the port may still be in the queue.
            let (server, peer) = listener.accept().unwrap();
            if peer.port() == from {
                return Self { client, server };
            }
        }
    }

    /// Whether what each side says arrives at the other one, the client's first.
    #[track_caller]
    pub fn works(&mut self) -> bool {
        passes(&mut self.client, &mut self.server, SOON) && passes(&mut self.server, &mut self.client, SOON)
    }

    /// Whether nothing that either side says arrives at the other one any more, whoever begins.
    pub fn is_dead(&mut self) -> bool {
        !passes(&mut self.client, &mut self.server, SILENCE)
            && !passes(&mut self.server, &mut self.client, SILENCE)
            && !passes(&mut self.client, &mut self.server, SILENCE)
    }
}

fn passes(from: &mut TcpStream, to: &mut TcpStream, within: Duration) -> bool {
    to.set_read_timeout(Some(within)).unwrap();
    from.write_all(b"?").is_ok() && to.read_exact(&mut [0]).is_ok()
}
