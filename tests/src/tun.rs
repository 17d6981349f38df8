//! Interfaces without an Ethernet header: tun devices, and a tunnel between two hosts made of them.

use crate::lab::Host;
use anyhow::Context as _;
use nix::{
    errno::Errno,
    libc::O_NONBLOCK,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    unistd::{read, write},
};
use std::{
    fs::{File, OpenOptions},
    os::{
        fd::{AsFd as _, AsRawFd as _, OwnedFd},
        unix::fs::OpenOptionsExt as _,
    },
    sync::Arc,
    thread::{self, JoinHandle, sleep},
    time::{Duration, Instant},
};

// linux/if_tun.h
const IFF_TUN: u16 = 0x0001;
const IFF_NO_PI: u16 = 0x1000;
/// How long an interface of the same name may take to go away.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(10);
/// Longer than any packet.
const PACKET: usize = 1 << 16;

/// `struct ifreq` of `linux/if.h`, as far as it is written.
#[repr(C)]
pub struct Ifreq {
    name: [u8; 16],
    flags: u16,
    rest: [u8; 22],
}

mod calls {
    nix::ioctl_write_ptr_bad!(
        /// `TUNSETIFF`
        set_interface,
        nix::request_code_write!(b'T', 202, size_of::<i32>()),
        super::Ifreq
    );
    nix::ioctl_write_int_bad!(
        /// `TUNSETLINK`
        set_type,
        nix::request_code_write!(b'T', 205, size_of::<i32>())
    );
}

/// One end of a wire: what is sent here is what the host's interface receives.
pub struct Tun(File);

impl Tun {
    /// Makes the interface `name` on `host`. It is gone when this is dropped.
    #[expect(unsafe_code, reason = "an ioctl")]
    pub fn open(host: &Host, name: &str) -> anyhow::Result<Self> {
        host.enter(|| {
            let mut options = OpenOptions::new();
            let file = options
                .read(true)
                .write(true)
                .custom_flags(O_NONBLOCK)
                .open("/dev/net/tun")
                .context("the tests need /dev/net/tun")?;
            let mut request = Ifreq {
                name: [0; 16],
                flags: IFF_TUN | IFF_NO_PI,
                rest: [0; 22],
            };
            request.name[..name.len()].copy_from_slice(name.as_bytes());
            let begin = Instant::now();
            loop {
                // SAFETY: the descriptor is open, and the kernel reads no more than the structure.
                match unsafe { calls::set_interface(file.as_raw_fd(), &raw const request) } {
                    // The kernel takes a moment to remove an earlier one of this name.
                    Err(Errno::EBUSY) if begin.elapsed() < PATIENCE => sleep(PAUSE),
                    made => {
                        made?;
                        return Ok(Self(file));
                    }
                }
            }
        })?
    }

    /// Changes what the interface says it is (`ARPHRD_*` of `linux/if_arp.h`). It has to be down.
    #[expect(unsafe_code, reason = "an ioctl")]
    pub fn set_type(&self, hardware: u16) -> anyhow::Result<()> {
        // SAFETY: the descriptor is open, and the call takes a number.
        unsafe { calls::set_type(self.0.as_raw_fd(), hardware.into()) }?;
        Ok(())
    }

    /// Has the interface receive this.
    pub fn send(&self, packet: &[u8]) -> anyhow::Result<()> {
        write(&self.0, packet)?;
        Ok(())
    }
}

/// Two hosts that are joined by an interface of this name on each: `10.77.5.1` and `fd77:5::1` on the first, `10.77.5.2` and
/// `fd77:5::2` on the second.
pub struct Tunnel {
    /// The first host's end.
    pub near: Arc<Tun>,
    _far: Arc<Tun>,
    carrier: Option<JoinHandle<()>>,
    stop: Option<OwnedFd>,
}

impl Tunnel {
    /// Makes it. It carries packets until it is dropped.
    pub fn new(first: &Host, second: &Host, name: &str) -> anyhow::Result<Self> {
        let [near, far] = [(first, 1), (second, 2)].map(|(host, number)| {
            let tun = Tun::open(host, name)?;
            set_up(host, name, number)?;
            anyhow::Ok(Arc::new(tun))
        });
        let (near, far) = (near?, far?);
        let (stopped, stop) = nix::unistd::pipe()?;
        let ends = [Arc::clone(&near), Arc::clone(&far)];
        Ok(Self {
            near,
            _far: far,
            carrier: Some(thread::spawn(move || carry(&ends, &stopped))),
            stop: Some(stop),
        })
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        drop(self.stop.take());
        let _ended = self.carrier.take().map(JoinHandle::join);
    }
}

/// Gives the interface its addresses, and switches it on.
pub fn set_up(host: &Host, name: &str, number: u8) -> anyhow::Result<()> {
    let (v4, v6) = (format!("10.77.5.{number}/24"), format!("fd77:5::{number}/64"));
    host.run("ip", &["address", "replace", &v4, "dev", name])?;
    host.run("ip", &["address", "replace", &v6, "dev", name, "nodad"])?;
    host.run("ip", &["link", "set", name, "up"])?;
    Ok(())
}

/// From each end to the other, until nobody has the other side of the pipe open.
fn carry(ends: &[Arc<Tun>; 2], stopped: &OwnedFd) {
    let mut buffer = vec![0; PACKET];
    loop {
        let mut waited = [
            PollFd::new(ends[0].0.as_fd(), PollFlags::POLLIN),
            PollFd::new(ends[1].0.as_fd(), PollFlags::POLLIN),
            PollFd::new(stopped.as_fd(), PollFlags::empty()),
        ];
        match poll(&mut waited, PollTimeout::NONE) {
            Err(Errno::EINTR) => continue,
            Err(_) => return,
            Ok(_) if waited[2].revents().is_some_and(|events| !events.is_empty()) => return,
            Ok(_) => {}
        }
        for (from, to) in [(0, 1), (1, 0)] {
            while let Ok(length @ 1..) = read(&ends[from].0, &mut buffer) {
                // As a wire does that nobody is at the end of.
                let _lost = write(&ends[to].0, &buffer[..length]);
            }
        }
    }
}
