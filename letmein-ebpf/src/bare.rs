//! XDP programs that look at nothing: what every measurement of the real one is compared with.

#![no_std]
#![no_main]
#![expect(unsafe_code, reason = "the licence section has to carry its fixed name")]

mod runtime;

use aya_ebpf::{
    bindings::xdp_action::{XDP_DROP, XDP_PASS},
    macros::xdp,
    programs::XdpContext,
};

/// Passes.
#[xdp(frags)]
fn bare(_: XdpContext) -> u32 {
    XDP_PASS
}

/// Drops.
#[xdp(frags)]
fn bare_drop(_: XdpContext) -> u32 {
    XDP_DROP
}
