//! What a flood from random sources does to a table of token buckets, and nothing else: a new key in each run, in a map like
//! `BUCKETS`. `cargo xtask bench cpus` runs it on one CPU and on all of them at once. Nothing attaches it.

#![no_std]
#![no_main]
#![expect(
    unsafe_code,
    reason = "helpers are unsafe to Rust, and the licence section has to carry its fixed name"
)]

mod runtime;

use aya_ebpf::{
    bindings::xdp_action::XDP_DROP,
    helpers::generated::bpf_get_prandom_u32,
    macros::{map, xdp},
    maps::LruHashMap,
    programs::XdpContext,
};

#[map]
static SOURCES: LruHashMap<[u64; 2], u64> = LruHashMap::with_max_entries(65_536, 0);

/// Inserts a key that most probably was not there.
#[xdp]
fn lru(_: XdpContext) -> u32 {
    // SAFETY: a helper without arguments.
    let source = unsafe { u64::from(bpf_get_prandom_u32()) };
    let _full = SOURCES.insert([0, source], source, 0);
    XDP_DROP
}
