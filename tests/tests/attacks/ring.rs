//! How many records the XDP program has put into the ring buffer of silent knocks.

use aya::maps::MapData;
use letmein_common::maps::SilentKnock;
use letmein_tests::{gate::Gate, processes::map_ids};
use nix::{
    sys::mman::{MapFlags, ProtFlags, mmap},
    unistd::{SysconfVar, sysconf},
};
use std::{
    ffi::c_void,
    num::NonZeroUsize,
    os::fd::AsFd as _,
    ptr::NonNull,
    sync::atomic::{AtomicU64, Ordering},
};

/// Each record has a header of eight bytes (`BPF_RINGBUF_HDR_SZ` of `linux/bpf.h`) and is rounded up to eight.
const RECORD: u64 = 8 + (size_of::<SilentKnock>() as u64).next_multiple_of(8);

/// The ring buffer of one daemon.
pub struct Ring {
    producer: NonNull<c_void>,
    _map: MapData,
}

impl Ring {
    /// The one that the gate has open.
    #[expect(unsafe_code, reason = "a page of the kernel's, which no crate shows")]
    pub fn of(gate: &Gate) -> Self {
        let map = map_ids(gate)
            .unwrap()
            .into_iter()
            .map(|id| MapData::from_id(id).unwrap())
            .find(|map| map.info().unwrap().name_as_str() == Some("KNOCKS"))
            .unwrap();
        let page = sysconf(SysconfVar::PAGE_SIZE).unwrap().unwrap();
        let length = NonZeroUsize::new(usize::try_from(page).unwrap()).unwrap();
        // SAFETY: one page anywhere, which nobody else has and which is never unmapped: the second of the ring buffer
        // (`kernel/bpf/ringbuf.c`), which begins with the producer's position and may only be read.
        let producer = unsafe {
            mmap(
                None,
                length,
                ProtFlags::PROT_READ,
                MapFlags::MAP_SHARED,
                map.fd().as_fd(),
                page,
            )
        };
        Self {
            producer: producer.unwrap(),
            _map: map,
        }
    }

    /// How many records there have been since the daemon was started.
    #[expect(unsafe_code, reason = "a word of that page")]
    pub fn records(&self) -> u64 {
        // SAFETY: an aligned word at the beginning of a page that stays mapped; the kernel writes it as a whole.
        let position = unsafe { self.producer.cast::<AtomicU64>().as_ref() };
        let bytes = position.load(Ordering::Acquire);
        assert_eq!(bytes % RECORD, 0, "there are other records than knocks");
        bytes / RECORD
    }
}
