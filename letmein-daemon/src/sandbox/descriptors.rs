//! What a process has open because whoever started it had.

use nix::errno::Errno;

/// Closes everything but standard input, output and error. To be called before anything is opened.
#[expect(unsafe_code, reason = "no crate has close_range()")]
pub fn close_all_but_the_standard_ones() -> nix::Result<()> {
    const FIRST: libc::c_uint = 3;
    const NO_FLAGS: libc::c_uint = 0;
    // SAFETY: nothing of this process owns one of them yet: the only caller does so before anything else.
    let closed = unsafe { libc::syscall(libc::SYS_close_range, FIRST, libc::c_uint::MAX, NO_FLAGS) };
    Errno::result(closed).map(drop)
}
