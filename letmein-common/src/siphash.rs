//! SipHash-2-4 (Aumasson and Bernstein, *SipHash: a fast short-input PRF*, 2012), for both hash fields of a silent
//! knock: short, keyed, and cheap enough for every packet on the wire.

use zeroize::{Zeroize, ZeroizeOnDrop};

/// Length of a key, in bytes.
pub const KEY_LEN: usize = 16;

/// A key, as secret as the one that it is derived from.
#[derive(Clone)]
#[repr(C)]
pub struct SipKey([u64; 2]);

impl SipKey {
    /// The key with these bytes.
    #[must_use]
    pub const fn new(bytes: &[u8; KEY_LEN]) -> Self {
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = *bytes;
        Self([
            u64::from_le_bytes([a, b, c, d, e, f, g, h]),
            u64::from_le_bytes([i, j, k, l, m, n, o, p]),
        ])
    }

    /// Both words, as BPF maps hold them.
    #[must_use]
    pub const fn words(&self) -> [u64; 2] {
        self.0
    }

    /// Hashes `data`.
    #[inline(always)]
    #[must_use]
    pub fn hash(&self, data: &[u8]) -> u64 {
        let mut state = State::new(self.0);
        let (words, rest) = data.as_chunks::<8>();
        for word in words {
            state.absorb(u64::from_le_bytes(*word));
        }
        // The last word ends with the length, as far as it fits a byte.
        let mut last = (data.len() as u64) << 56;
        for (i, byte) in rest.iter().enumerate() {
            last |= u64::from(*byte) << (8 * i);
        }
        state.absorb(last);
        state.finish()
    }
}

impl Drop for SipKey {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl ZeroizeOnDrop for SipKey {}

struct State {
    v0: u64,
    v1: u64,
    v2: u64,
    v3: u64,
}

impl State {
    #[inline(always)]
    const fn new([k0, k1]: [u64; 2]) -> Self {
        Self {
            v0: k0 ^ 0x736F_6D65_7073_6575,
            v1: k1 ^ 0x646F_7261_6E64_6F6D,
            v2: k0 ^ 0x6C79_6765_6E65_7261,
            v3: k1 ^ 0x7465_6462_7974_6573,
        }
    }

    #[inline(always)]
    const fn absorb(&mut self, word: u64) {
        self.v3 ^= word;
        self.round();
        self.round();
        self.v0 ^= word;
    }

    #[inline(always)]
    const fn finish(mut self) -> u64 {
        self.v2 ^= 0xFF;
        self.round();
        self.round();
        self.round();
        self.round();
        self.v0 ^ self.v1 ^ self.v2 ^ self.v3
    }

    #[inline(always)]
    const fn round(&mut self) {
        self.v0 = self.v0.wrapping_add(self.v1);
        self.v1 = self.v1.rotate_left(13) ^ self.v0;
        self.v0 = self.v0.rotate_left(32);
        self.v2 = self.v2.wrapping_add(self.v3);
        self.v3 = self.v3.rotate_left(16) ^ self.v2;
        self.v0 = self.v0.wrapping_add(self.v3);
        self.v3 = self.v3.rotate_left(21) ^ self.v0;
        self.v2 = self.v2.wrapping_add(self.v1);
        self.v1 = self.v1.rotate_left(17) ^ self.v2;
        self.v2 = self.v2.rotate_left(32);
    }
}
