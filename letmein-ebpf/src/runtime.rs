//! What each program of this crate has besides itself.

/// Unreachable: nothing here can panic. If something could, the endless loop would make the verifier refuse the program.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

/// Some helpers of the kernel are only for GPL-compatible programs; MIT OR Apache-2.0 users get both.
// SAFETY: the kernel reads the licence from the section and the symbol of these names; nothing else has them.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
