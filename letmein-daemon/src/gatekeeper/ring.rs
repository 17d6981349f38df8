//! The ring buffer with the silent knocks: the consumer's side of `BPF_MAP_TYPE_RINGBUF`.
//!
//! aya has one as well, which asks the kernel about the map by `bpf()`. This process may not call that.

#![expect(
    unsafe_code,
    reason = "no crate maps a ring buffer without asking bpf() about it, and mapped memory is raw"
)]

use letmein_common::maps::SilentKnock;
use rustix::{
    mm::{MapFlags, ProtFlags, mmap, munmap},
    param::page_size,
};
use std::{
    ffi::c_void,
    io,
    os::fd::{AsFd, OwnedFd},
    ptr, slice,
    sync::atomic::{AtomicU32, AtomicUsize, Ordering},
};
use tokio::io::{Interest, unix::AsyncFd};

/// `BPF_RINGBUF_BUSY_BIT`, `BPF_RINGBUF_DISCARD_BIT` and `BPF_RINGBUF_HDR_SZ` of `linux/bpf.h`.
const BUSY: u32 = 1 << 31;
const DISCARDED: u32 = 1 << 30;
const HEADER: usize = 8;

/// Genuine silent knocks, in the order in which the XDP program has accepted them.
pub struct Knocks {
    ready: AsyncFd<OwnedFd>,
    ring: Ring,
}

impl Knocks {
    /// Reads the map with this descriptor, whose data has this size. Needs a runtime.
    pub fn new(map: OwnedFd, size: usize) -> io::Result<Self> {
        let ring = Ring::new(&map, size)?;
        // SAFETY: the descriptor is owned, always the same one, and open until it is dropped, after tokio has let go of it.
        let ready = unsafe { AsyncFd::register_with_interest(map, Interest::READABLE) }?;
        Ok(Self { ready, ring })
    }

    /// Waits for knocks and hands on all that are there.
    pub async fn ready(&mut self, mut act: impl AsyncFnMut(&SilentKnock)) -> io::Result<()> {
        let mut ready = self.ready.readable().await?;
        while let Some(record) = self.ring.next()? {
            if let Some(knock) = SilentKnock::from_bytes(&record) {
                act(&knock).await;
            }
        }
        ready.clear_ready();
        Ok(())
    }
}

/// What is shared with the kernel: a page with the consumer's position, a page with the producer's, and the data, twice
/// in a row so that no record is in two pieces.
struct Ring {
    consumer: Mapping,
    producer: Mapping,
    size: usize,
    position: usize,
}

impl Ring {
    fn new(map: &OwnedFd, size: usize) -> io::Result<Self> {
        if !size.is_power_of_two() || size > 1 << 30 {
            return Err(io::Error::other("no ring buffer has this size"));
        }
        let page = page_size();
        let consumer = Mapping::new(map, page, ProtFlags::READ | ProtFlags::WRITE, 0)?;
        let producer = Mapping::new(map, page + 2 * size, ProtFlags::READ, page as u64)?;
        let position = consumer.position().load(Ordering::SeqCst);
        Ok(Self {
            consumer,
            producer,
            size,
            position,
        })
    }

    /// The next record, if there is one; an empty one if it was discarded.
    fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        if self.position == self.producer.position().load(Ordering::SeqCst) {
            return Ok(None);
        }
        let at = page_size() + (self.position & (self.size - 1));
        let header = self.producer.word(at)?.load(Ordering::SeqCst);
        if header & BUSY != 0 {
            return Ok(None);
        }
        let length = (header & !(BUSY | DISCARDED)) as usize;
        let record = match header & DISCARDED {
            0 => self.producer.bytes(at + HEADER, length)?.to_vec(),
            _ => Vec::new(),
        };
        self.position = self.position.wrapping_add((HEADER + length).next_multiple_of(8));
        // The kernel wakes us for a record only if it sees that we have read all before it. So this has to be visible
        // before the next look for a record, which total order gives.
        self.consumer.position().store(self.position, Ordering::SeqCst);
        Ok(Some(record))
    }
}

/// Memory that is shared with the kernel.
struct Mapping {
    start: *mut c_void,
    length: usize,
}

impl Mapping {
    fn new(map: impl AsFd, length: usize, protection: ProtFlags, offset: u64) -> io::Result<Self> {
        // SAFETY: a new mapping, at an address that the kernel chooses, replaces nothing.
        let start = unsafe { mmap(ptr::null_mut(), length, protection, MapFlags::SHARED, map, offset) }?;
        Ok(Self { start, length })
    }

    /// The position that each of the two begins with.
    fn position(&self) -> &AtomicUsize {
        // SAFETY: the mapping is at least a page long, begins at a page, and lives as long as `self`. The kernel has an
        // `unsigned long` there, and both sides access it as one only.
        unsafe { AtomicUsize::from_ptr(self.start.cast()) }
    }

    /// A word of the data.
    fn word(&self, at: usize) -> io::Result<&AtomicU32> {
        if !at.is_multiple_of(align_of::<u32>()) || at.saturating_add(size_of::<u32>()) > self.length {
            return Err(beyond());
        }
        // SAFETY: it is aligned and within the mapping, as was just checked, and that lives as long as `self`. The kernel
        // writes it as a word.
        Ok(unsafe { AtomicU32::from_ptr(self.start.byte_add(at).cast()) })
    }

    /// Bytes of the data that the kernel does not write to: those of a record whose header is not busy, until the
    /// consumer's position is behind it.
    fn bytes(&self, at: usize, length: usize) -> io::Result<&[u8]> {
        if at.saturating_add(length) > self.length {
            return Err(beyond());
        }
        // SAFETY: within the mapping, as was just checked, which lives as long as `self`; initialised, as it is memory of
        // the kernel's; and nobody writes there, as the only caller has seen that the record is ours.
        Ok(unsafe { slice::from_raw_parts(self.start.byte_add(at).cast(), length) })
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: it is our own mapping, and whoever borrowed from it is gone.
        let _unmapped = unsafe { munmap(self.start, self.length) };
    }
}

fn beyond() -> io::Error {
    io::Error::other("a record of the ring buffer goes beyond it")
}
