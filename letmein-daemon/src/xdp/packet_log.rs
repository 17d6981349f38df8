//! Messages from the packet path, in a build for debugging: `cargo xtask build-ebpf --debug-log`.

use super::error::XdpError;
use aya::Ebpf;
use aya_log::EbpfLogger;
use log::Log;
use std::time::Duration;
use tokio::time::interval;

/// The name of the ring buffer that `aya-log` puts into such an object.
const RING_BUFFER: &str = "AYA_LOGS";

/// Between two looks into the ring buffer: tokio waits for its descriptor only by `unsafe` code.
const GLANCE: Duration = Duration::from_millis(100);

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
    pub async fn follow(mut self) {
        let mut clock = interval(GLANCE);
        loop {
            clock.tick().await;
            self.flush();
        }
    }
}
