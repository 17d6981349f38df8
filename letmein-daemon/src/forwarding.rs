//! Whether an interface hands packets on to other machines, which the XDP program cannot tell from the machine's own.

use std::fs;

/// Whether packets that come in through this interface are forwarded, of either address family.
#[must_use]
pub fn forwards(interface: &str) -> bool {
    // `/proc/sys` has a folder for each interface, in the network namespace of who reads it.
    ["ipv4", "ipv6"].iter().any(|family| {
        let path = format!("/proc/sys/net/{family}/conf/{interface}/forwarding");
        fs::read_to_string(path).is_ok_and(|setting| setting.trim() == "1")
    })
}
