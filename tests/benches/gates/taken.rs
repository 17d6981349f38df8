//! How many packets a gate itself has taken, as the kernel counts them or as we do.

use anyhow::{Context as _, ensure};
use letmein_tests::{gate::Gate, lab::Host};
use nix::unistd::Pid;
use rustix::process::{PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};
use std::{
    cell::{Cell, RefCell},
    fs,
    os::fd::{AsRawFd as _, OwnedFd},
    path::Path,
};

/// Tells how many it has taken until now.
pub type Taken = Box<dyn Fn() -> anyhow::Result<u64>>;

/// Packets that the server's interface has taken.
pub fn by_interface(server: &Host) -> Taken {
    let mut cat = server.command("cat");
    cat.arg("/sys/class/net/to-peer1/statistics/rx_packets");
    let cat = RefCell::new(cat);
    Box::new(move || {
        let output = cat.borrow_mut().output()?;
        Ok(String::from_utf8(output.stdout)?.trim().parse()?)
    })
}

/// Packets that our XDP program has judged.
pub fn by_us(gate: &Gate) -> anyhow::Result<u64> {
    let output = gate.operate("status", &["--json"])?;
    ensure!(output.status.success(), "letmeind status: {}", output.status);
    let status: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let total = |name: &str| status[name]["total"].as_u64().context("letmeind status");
    Ok(total("genuine")? + total("refused")?)
}

/// Datagrams that this process, the only one on its host that has a UDP socket, has read.
pub fn by_udp_sockets(process: Pid) -> Taken {
    Box::new(move || {
        let text = fs::read_to_string(format!("/proc/{process}/net/snmp"))?;
        let mut lines = text.lines().filter_map(|line| line.strip_prefix("Udp: "));
        let (names, figures) = (lines.next(), lines.next());
        let mut names = names.into_iter().flat_map(|names| names.split(' '));
        let place = names.position(|name| name == "InDatagrams");
        let figure = figures.and_then(|figures| figures.split(' ').nth(place?));
        Ok(figure.context("/proc/net/snmp has no datagrams")?.parse()?)
    })
}

/// Packets that the packet socket of this process took, by which libpcap sees them. What came while its ring was full is
/// lost.
pub fn by_packet_socket(process: Pid) -> anyhow::Result<Taken> {
    let socket = packet_socket(process)?;
    // The kernel begins anew each time.
    let taken = Cell::new(0);
    Ok(Box::new(move || {
        let [packets, lost] = statistics(&socket)?;
        taken.set(taken.get() + u64::from(packets - lost));
        Ok(taken.get())
    }))
}

fn packet_socket(process: Pid) -> anyhow::Result<OwnedFd> {
    let folder = Path::new("/proc").join(process.to_string());
    let sockets = fs::read_to_string(folder.join("net/packet"))?;
    let inodes: Vec<_> = sockets
        .lines()
        .skip(1)
        .filter_map(|line| line.split_whitespace().nth(8))
        .map(|inode| format!("socket:[{inode}]"))
        .collect();
    for entry in fs::read_dir(folder.join("fd"))? {
        let entry = entry?;
        let what = fs::read_link(entry.path())?;
        if inodes.iter().any(|inode| what.as_os_str() == inode.as_str()) {
            let number = entry.file_name().to_string_lossy().parse()?;
            let id = rustix::process::Pid::from_raw(process.as_raw()).context("a process")?;
            let process = pidfd_open(id, PidfdFlags::empty())?;
            return Ok(pidfd_getfd(process, number, PidfdGetfdFlags::empty())?);
        }
    }
    anyhow::bail!("process {process} has no packet socket")
}

/// Packets that its filter has let through since the last time, and those of them for which there was no room
/// (packet(7)).
fn statistics(socket: &OwnedFd) -> anyhow::Result<[u32; 2]> {
    // With a ring of version 3, there is one number more.
    let mut numbers = [0_u32; 3];
    let mut length = libc::socklen_t::try_from(size_of_val(&numbers))?;
    #[expect(unsafe_code, reason = "no crate has this option of packet sockets")]
    // SAFETY: the kernel writes at most `length` bytes, which is the size of what it writes to.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_PACKET,
            libc::PACKET_STATISTICS,
            numbers.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    ensure!(
        result == 0,
        "PACKET_STATISTICS: {}",
        std::io::Error::last_os_error()
    );
    Ok([numbers[0], numbers[1]])
}
