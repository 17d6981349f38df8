//! HMAC-SHA3-256 over the one input length that a challenge message has, from precomputed keyed states.
//!
//! HMAC (RFC 2104) hashes `K ^ ipad` and then the message, then `K ^ opad` and then the inner digest. Each
//! padded key fills exactly one block of SHA3-256 (rate 136 bytes, FIPS 202), so the Keccak states after it
//! depend on the key alone. Kept per user, they leave two permutations of the four for each message.

use crate::keccak::{self, Block, DIGEST_LANES, LANES, RATE, State};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// Length of an AUTH field or a TOKEN, in bytes.
pub const AUTH_LEN: usize = 32;
/// Length of a pre-shared key, in bytes.
pub const KEY_LEN: usize = 32;
/// An AUTH field or a TOKEN.
pub type Auth = [u8; AUTH_LEN];

/// SHA3's domain separation bits and the first padding bit (FIPS 202, section 6.1 and B.2).
const SHA3_PAD: u64 = 0x06;
/// The last padding bit, in the top byte of the last lane of the rate.
const LAST_PAD: u64 = 0x80 << 56;

/// The two Keccak states of HMAC-SHA3-256 after the padded key, as [`keccak`] keeps them. As secret as the key.
#[derive(Clone)]
#[repr(C)]
pub struct KeyedStates {
    inner: State,
    outer: State,
}

impl KeyedStates {
    /// Absorbs `key` into both states.
    #[must_use]
    pub fn new(key: &[u8; KEY_LEN]) -> Self {
        let mut states = Self {
            inner: [0; LANES],
            outer: [0; LANES],
        };
        absorb_key(&mut states.inner, key, 0x36);
        absorb_key(&mut states.outer, key, 0x5C);
        states
    }

    /// Both states, inner first, as the BPF map of keys holds them.
    #[must_use]
    pub fn lanes(&self) -> Zeroizing<[u64; 2 * LANES]> {
        let mut lanes = Zeroizing::new([0; 2 * LANES]);
        lanes[..LANES].copy_from_slice(&self.inner);
        lanes[LANES..].copy_from_slice(&self.outer);
        lanes
    }

    /// `HMAC-SHA3-256(K, head || token)`.
    #[must_use]
    pub fn authenticate(&self, head: &[u8; 20], token: &Auth) -> Auth {
        let digest = self.digest(head, token);
        let mut auth = [0; AUTH_LEN];
        for (bytes, lane) in auth.chunks_exact_mut(8).zip(digest) {
            bytes.copy_from_slice(&lane.to_le_bytes());
        }
        auth
    }

    /// The MAC as four little-endian lanes, the first of the block.
    #[inline(always)]
    fn digest(&self, head: &[u8; 20], token: &Auth) -> Block {
        // The 52 bytes of input end in the middle of lane 6; padding begins there.
        let mut block = [
            le64(head, 0),
            le64(head, 8),
            u64::from(le32(head, 16)) | u64::from(le32(token, 0)) << 32,
            le64(token, 4),
            le64(token, 12),
            le64(token, 20),
            u64::from(le32(token, 28)) | SHA3_PAD << 32,
        ];
        keccak::digest(&self.inner, &mut block, LAST_PAD);
        block[DIGEST_LANES] = SHA3_PAD;
        block[DIGEST_LANES + 1] = 0;
        block[DIGEST_LANES + 2] = 0;
        keccak::digest(&self.outer, &mut block, LAST_PAD);
        block
    }

    /// Whether `auth` is `HMAC-SHA3-256(K, head || token)`. Takes the same time whatever `auth` is.
    #[inline(always)]
    #[must_use]
    pub fn verify(&self, head: &[u8; 20], token: &Auth, auth: &Auth) -> bool {
        let digest = self.digest(head, token);
        let mut difference = 0;
        for (i, lane) in digest[..DIGEST_LANES].iter().enumerate() {
            difference |= lane ^ le64(auth, i * 8);
        }
        // Opaque to the optimiser, which could otherwise turn the four comparisons into early exits.
        core::hint::black_box(difference) == 0
    }
}

impl Drop for KeyedStates {
    fn drop(&mut self) {
        self.inner.zeroize();
        self.outer.zeroize();
    }
}

impl ZeroizeOnDrop for KeyedStates {}

/// Absorbs the block `key ^ pad` into a fresh state.
fn absorb_key(state: &mut State, key: &[u8; KEY_LEN], pad: u8) {
    let pad = u64::from_ne_bytes([pad; 8]);
    for (i, lane) in state[..RATE].iter_mut().enumerate() {
        *lane = pad;
        if i < KEY_LEN / 8 {
            *lane ^= le64(key, i * 8);
        }
    }
    keccak::complement(state);
    keccak::permute(state);
}

#[inline(always)]
fn le64(bytes: &[u8], at: usize) -> u64 {
    u64::from(le32(bytes, at)) | u64::from(le32(bytes, at + 4)) << 32
}

#[inline(always)]
fn le32(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}
