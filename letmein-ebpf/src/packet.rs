//! The packet's bytes, behind the one bounds check of the program.

use aya_ebpf::programs::XdpContext;

/// The linear part of a frame. All headers and any knock lie in it, also in a multi-buffer frame.
pub struct Packet {
    start: usize,
    end: usize,
}

impl Packet {
    #[inline(always)]
    pub fn of(ctx: &XdpContext) -> Self {
        Self {
            start: ctx.data(),
            end: ctx.data_end(),
        }
    }

    /// `N` bytes from `offset`, if the frame has them.
    #[inline(always)]
    pub fn bytes<const N: usize>(&self, offset: usize) -> Option<&[u8; N]> {
        let from = self.start + offset;
        if from + N > self.end {
            return None;
        }
        // SAFETY: `from..from + N` lies between the frame's start and end, which stay valid for the whole run
        // of the program; no helper that moves them is ever called. The verifier checks the same.
        Some(unsafe { &*(from as *const [u8; N]) })
    }

    /// How many bytes there are.
    #[inline(always)]
    pub fn len(&self) -> usize {
        self.end - self.start
    }

    /// A big-endian 16-bit integer at `offset`.
    #[inline(always)]
    pub fn be16(&self, offset: usize) -> Option<u16> {
        self.bytes(offset).map(|bytes| u16::from_be_bytes(*bytes))
    }
}
