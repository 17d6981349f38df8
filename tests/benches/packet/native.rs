//! The MAC of a challenge message as a userspace server computes it: by the `hmac` and `sha3` crates, from the raw
//! key.

use crate::cases::KEY;
use hmac::{KeyInit as _, Mac as _, SimpleHmac};
use sha3::Sha3_256;
use std::{hint::black_box, time::Instant};

/// Nanoseconds for each of `count` verifications of a wrong MAC.
pub fn hmac(count: u32) -> f64 {
    let message = [0x5A_u8; 52];
    let started = Instant::now();
    for _ in 0..count {
        let accepted = SimpleHmac::<Sha3_256>::new_from_slice(black_box(&KEY)).map(|mut mac| {
            mac.update(black_box(&message));
            mac.verify_slice(black_box(&[0; 32])).is_ok()
        });
        black_box(accepted.ok());
    }
    started.elapsed().as_secs_f64() * 1e9 / f64::from(count)
}
