//! Messages from the packet path, in a build for debugging: `cargo xtask build-ebpf --debug-log`.

use super::error::XdpError;
use aya::Ebpf;
use aya_log::EbpfLogger;
use log::Log;
use std::io;
use tokio::io::{Interest, unix::AsyncFd};

/// The name of the ring buffer that `aya-log` puts into such an object.
const RING_BUFFER: &str = "AYA_LOGS";

/// What the program has to say.
pub struct PacketLog<L> {
    logger: EbpfLogger<L>,
}

impl<L: Log> PacketLog<L> {
    /// Takes the messages out of a loaded object, for `sink`; `None` if it has none, as in every release.
    pub(super) fn of(ebpf: &mut Ebpf, sink: L) -> Result<Option<Self>, XdpError> {
        if ebpf.map(RING_BUFFER).is_none() {
            return Ok(None);
        }
        let logger = EbpfLogger::init_with_logger(ebpf, sink).map_err(XdpError::Log)?;
        Ok(Some(Self { logger }))
    }

    /// Hands on what has come up to now.
    pub fn flush(&mut self) {
        self.logger.flush();
    }

    /// Hands on what comes, for good.
    pub async fn follow(self) -> io::Result<()> {
        let mut logger = AsyncFd::register_with_interest(self.logger, Interest::READABLE)?;
        loop {
            let mut ready = logger.readable_mut().await?;
            ready.get_inner_mut().flush();
            ready.clear_ready();
        }
    }
}
