//! Tidying up the record of accepted silent knocks, so that there is always room for more.

use super::{error::XdpError, kernel_gate::remove, programs::take};
use crate::{
    clock,
    quota::{MEMORABLE_SECONDS, SWEEP_SECONDS},
};
use aya::{
    Ebpf,
    maps::{HashMap, MapData, MapError},
};
use std::time::Duration;
use tokio::{
    task::yield_now,
    time::{Instant, sleep_until},
};
use tracing::error;

const MAP: &str = "NONCES";
const SECOND: u64 = 1_000_000_000;
/// How much longer than necessary nonces are remembered, as long as there is room: for clocks that are set back.
const LONGER: u64 = 3_600;
/// Elements at a time, between which knocks are served.
const AT_ONCE: usize = 256;
/// Elements that are removed in one go.
const MOST: usize = 65_536;

/// The record.
pub struct Nonces {
    map: HashMap<MapData, [u64; 3], u64>,
    capacity: usize,
}

impl Nonces {
    pub(super) fn new(ebpf: &mut Ebpf, capacity: u32) -> Result<Self, XdpError> {
        Ok(Self {
            map: take(ebpf, MAP)?,
            capacity: capacity as usize,
        })
    }

    /// Removes for good what is too old to matter.
    pub async fn keep_tidy(mut self) {
        let mut told = false;
        loop {
            let next = Instant::now() + Duration::from_secs(SWEEP_SECONDS);
            match self.sweep(clock::monotonic()).await {
                Ok(true) => continue,
                Ok(false) => told = false,
                Err(source) => {
                    if !std::mem::replace(&mut told, true) {
                        let error = anyhow::Error::from(XdpError::Map { map: MAP, source });
                        error!("the record of silent knocks cannot be tidied up: {error:#}");
                    }
                }
            }
            sleep_until(next).await;
        }
    }

    /// Removes what is too old; `true` if there may be more of it.
    async fn sweep(&mut self, now: u64) -> Result<bool, MapError> {
        let useless = now.saturating_sub(MEMORABLE_SECONDS * SECOND);
        let old = useless.saturating_sub(LONGER * SECOND);
        let (mut count, mut removable, mut removed) = (0, Vec::new(), Vec::new());
        for nonce in self.map.keys() {
            let nonce = nonce?;
            count += 1;
            if count % AT_ONCE == 0 {
                yield_now().await;
            }
            match self.map.get(&nonce, 0) {
                Ok(accepted) if accepted < old => removed.push(nonce),
                Ok(accepted) if accepted < useless => removable.push(nonce),
                Ok(_) | Err(MapError::KeyNotFound) => {}
                Err(error) => return Err(error),
            }
            if removed.len().max(removable.len()) >= MOST {
                break;
            }
        }
        if count > self.capacity / 4 {
            removed.append(&mut removable);
        }
        let more = removed.len() >= MOST;
        for (number, nonce) in removed.iter().enumerate() {
            remove(&mut self.map, nonce)?;
            if number % AT_ONCE == 0 {
                yield_now().await;
            }
        }
        Ok(more)
    }
}
