//! The service behind the gate: greets who connects, and hangs up.

use letmein_tests::lab::Host;
use std::{
    io::{self, BufRead as _, BufReader, Write as _},
    net::{SocketAddr, TcpStream},
    thread,
    time::Duration,
};

/// What the service says.
pub const GREETING: &str = "hello from behind the gate";
/// How long a connection, and then the greeting, may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// Serves `port` of `host` until this process ends.
pub fn serve(host: &Host, port: u16) -> anyhow::Result<()> {
    let listener = host.listen(port)?;
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut stream: TcpStream = stream;
            // Who hung up first misses the greeting.
            let _missed = writeln!(stream, "{GREETING}");
        }
    });
    Ok(())
}

/// Connects from `host` and reads the greeting.
pub fn greeting(host: &Host, server: SocketAddr) -> anyhow::Result<String> {
    let greeting = host.enter(|| {
        let stream = TcpStream::connect_timeout(&server, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line)?;
        io::Result::Ok(line.trim_end().to_owned())
    })?;
    // What went wrong is what was seen.
    Ok(greeting.unwrap_or_else(|error| error.to_string()))
}
