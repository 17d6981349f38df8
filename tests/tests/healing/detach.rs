//! `bpftool link detach`, without bpftool.

use aya::programs::loaded_links;
use letmein_tests::lab::Host;
use std::io;

// linux/bpf.h
const BPF_LINK_GET_FD_BY_ID: libc::c_long = 30;
const BPF_LINK_DETACH: libc::c_long = 34;

/// Takes the program that is on this interface from every interface. Its owner is not told.
pub fn detach(host: &Host, interface: &str) {
    let shown = host.run("ip", &["link", "show", interface]).unwrap();
    let id = shown.split("prog/xdp id ").nth(1).unwrap();
    let program: u32 = id.split_whitespace().next().unwrap().parse().unwrap();
    let mut detached = 0;
    // Links of other tests end at any time.
    for link in loaded_links()
        .flatten()
        .filter(|link| link.program_id() == program)
    {
        let descriptor = bpf(BPF_LINK_GET_FD_BY_ID, link.id()).unwrap();
        bpf(BPF_LINK_DETACH, descriptor).unwrap();
        nix::unistd::close(descriptor.cast_signed()).unwrap();
        detached += 1;
    }
    assert!(detached > 0, "{shown}");
}

/// A command whose attributes are one number.
#[expect(unsafe_code, reason = "aya has no call for it")]
fn bpf(command: libc::c_long, attribute: u32) -> io::Result<u32> {
    let attributes = [attribute, 0, 0, 0];
    // SAFETY: the attributes are as long as said and outlive the call, which writes nothing to them.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command,
            attributes.as_ptr(),
            size_of_val(&attributes),
        )
    };
    u32::try_from(result).map_err(|_negative| io::Error::last_os_error())
}
