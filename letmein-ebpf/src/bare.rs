//! XDP programs that look at nothing: what every measurement of the real one is compared with.

#![no_std]
#![no_main]
#![expect(unsafe_code, reason = "the licence section has to carry its fixed name")]

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

/// As in the real program: never reached.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

/// As in the real program.
// SAFETY: the kernel reads the licence from the section and the symbol of these names; nothing else has them.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
