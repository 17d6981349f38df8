//! HMAC-SHA3-256 from precomputed keyed states.
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
        to_bytes(&self.digest(head, token))
    }

    /// `HMAC-SHA3-256(K, data)`, for data of any length.
    #[must_use]
    pub fn mac(&self, data: &[u8]) -> Auth {
        let mut state = self.inner;
        let mut blocks = data.chunks_exact(8 * RATE);
        for block in &mut blocks {
            absorb(&mut state, block);
            keccak::permute(&mut state);
        }
        let rest = blocks.remainder();
        let mut last = [0; 8 * RATE];
        last[..rest.len()].copy_from_slice(rest);
        last[rest.len()] = SHA3_PAD.to_le_bytes()[0];
        last[8 * RATE - 1] |= LAST_PAD.to_be_bytes()[0];
        absorb(&mut state, &last);
        keccak::permute(&mut state);
        let mut block: Block = [0; 8];
        block[..DIGEST_LANES].copy_from_slice(&keccak::squeeze(&state));
        state.zeroize();
        self.finish_outer(&mut block);
        let mac = to_bytes(&block);
        block.zeroize();
        mac
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
            0,
        ];
        self.finish(&mut block);
        block
    }

    /// From the last block of the inner hash to the four lanes of the MAC.
    #[inline(always)]
    fn finish(&self, block: &mut Block) {
        keccak::digest(&self.inner, block, LAST_PAD);
        self.finish_outer(block);
    }

    /// From the inner digest, the first lanes of `block`, to the MAC.
    #[inline(always)]
    fn finish_outer(&self, block: &mut Block) {
        block[DIGEST_LANES] = SHA3_PAD;
        block[DIGEST_LANES + 1] = 0;
        block[DIGEST_LANES + 2] = 0;
        block[DIGEST_LANES + 3] = 0;
        keccak::digest(&self.outer, block, LAST_PAD);
    }

    /// Whether `auth` is `HMAC-SHA3-256(K, head || token)`. Takes the same time whatever `auth` is.
    #[inline(always)]
    #[must_use]
    pub fn verify(&self, head: &[u8; 20], token: &Auth, auth: &Auth) -> bool {
        equal(&self.digest(head, token), auth)
    }

    /// Whether `auth` is `HMAC-SHA3-256(K, data)`. Takes the same time whatever `auth` is.
    #[inline(always)]
    #[must_use]
    pub fn verify_lanes(&self, data: &[u8; 56], auth: &Auth) -> bool {
        let mut block = [
            le64(data, 0),
            le64(data, 8),
            le64(data, 16),
            le64(data, 24),
            le64(data, 32),
            le64(data, 40),
            le64(data, 48),
            SHA3_PAD,
        ];
        self.finish(&mut block);
        equal(&block, auth)
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

/// Adds a block of bytes to a state.
fn absorb(state: &mut State, block: &[u8]) {
    for (lane, bytes) in state.iter_mut().zip(block.as_chunks().0) {
        *lane ^= u64::from_le_bytes(*bytes);
    }
}

/// The MAC that a block begins with.
fn to_bytes(block: &Block) -> Auth {
    let mut auth = [0; AUTH_LEN];
    for (bytes, lane) in auth.chunks_exact_mut(8).zip(block) {
        bytes.copy_from_slice(&lane.to_le_bytes());
    }
    auth
}

/// Whether a block begins with this MAC.
#[inline(always)]
fn equal(block: &Block, auth: &Auth) -> bool {
    let mut difference = 0;
    for (i, lane) in block[..DIGEST_LANES].iter().enumerate() {
        difference |= lane ^ le64(auth, i * 8);
    }
    // Opaque to the optimiser, which could otherwise turn the four comparisons into early exits.
    core::hint::black_box(difference) == 0
}

#[inline(always)]
fn le64(bytes: &[u8], at: usize) -> u64 {
    u64::from(le32(bytes, at)) | u64::from(le32(bytes, at + 4)) << 32
}

#[inline(always)]
fn le32(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}
