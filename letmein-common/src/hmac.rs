//! HMAC-SHA3-256 over the one input length that a challenge message has, from precomputed keyed states.
//!
//! HMAC (RFC 2104) hashes `K ^ ipad` and then the message, then `K ^ opad` and then the inner digest. Each
//! padded key fills exactly one block of SHA3-256 (rate 136 bytes, FIPS 202), so the Keccak states after it
//! depend on the key alone. Kept per user, they leave two permutations of the four for each message.

use crate::keccak::{self, LANES, State};
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
/// The last lane of a 136-byte block.
const LAST_LANE: usize = 16;

/// The two Keccak states of HMAC-SHA3-256 after the padded key. As secret as the key itself.
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

    /// The MAC as four little-endian lanes.
    #[inline(always)]
    fn digest(&self, head: &[u8; 20], token: &Auth) -> [u64; 4] {
        // The 52 bytes of input end in the middle of lane 6; padding begins there.
        let mut state = self.inner;
        state[0] ^= le64(head, 0);
        state[1] ^= le64(head, 8);
        state[2] ^= u64::from(le32(head, 16)) | u64::from(le32(token, 0)) << 32;
        state[3] ^= le64(token, 4);
        state[4] ^= le64(token, 12);
        state[5] ^= le64(token, 20);
        state[6] ^= u64::from(le32(token, 28)) | SHA3_PAD << 32;
        state[LAST_LANE] ^= LAST_PAD;
        keccak::permute(&mut state);
        let inner = [state[0], state[1], state[2], state[3]];

        state = self.outer;
        for (lane, digest) in state.iter_mut().zip(inner) {
            *lane ^= digest;
        }
        state[4] ^= SHA3_PAD;
        state[LAST_LANE] ^= LAST_PAD;
        keccak::permute(&mut state);
        [state[0], state[1], state[2], state[3]]
    }

    /// Whether `auth` is `HMAC-SHA3-256(K, head || token)`. Takes the same time whatever `auth` is.
    #[inline(always)]
    #[must_use]
    pub fn verify(&self, head: &[u8; 20], token: &Auth, auth: &Auth) -> bool {
        let digest = self.digest(head, token);
        let mut difference = 0;
        for (i, lane) in digest.iter().enumerate() {
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
    for (i, lane) in state[..=LAST_LANE].iter_mut().enumerate() {
        *lane = pad;
        if i < KEY_LEN / 8 {
            *lane ^= le64(key, i * 8);
        }
    }
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
