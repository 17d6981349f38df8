//! The ring buffer with the silent knocks.

use aya::maps::{MapData, RingBuf};
use letmein_common::maps::SilentKnock;
use std::io;
use tokio::io::{Interest, unix::AsyncFd};

/// Genuine silent knocks, in the order in which the XDP program has accepted them.
pub struct Knocks(AsyncFd<RingBuf<MapData>>);

impl Knocks {
    /// Needs a runtime.
    #[expect(unsafe_code, reason = "tokio takes a descriptor only as a promise")]
    pub(super) fn new(ring: RingBuf<MapData>) -> io::Result<Self> {
        // SAFETY: the ring buffer owns its descriptor, always gives the same one, and keeps it open until it is
        // dropped, after tokio has let go of it.
        let ring = unsafe { AsyncFd::register_with_interest(ring, Interest::READABLE) }?;
        Ok(Self(ring))
    }

    /// Waits for knocks and hands on all that are there.
    pub async fn ready(&mut self, mut act: impl FnMut(&SilentKnock)) -> io::Result<()> {
        let mut ready = self.0.readable_mut().await?;
        let ring = ready.get_inner_mut();
        while let Some(record) = ring.next() {
            if let Some(knock) = SilentKnock::from_bytes(&record) {
                act(&knock);
            }
        }
        ready.clear_ready();
        Ok(())
    }
}
