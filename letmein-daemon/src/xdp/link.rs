//! A BPF link: what holds a program on an interface. The system calls for it that aya does not offer: which interface, in
//! which mode, and another program in its place.

use libc::{SYS_bpf, c_long};
use std::{
    ffi::CString,
    io,
    os::{
        fd::{AsFd, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd},
        unix::ffi::OsStrExt as _,
    },
    path::Path,
};

// linux/bpf.h
const OBJ_PIN: c_long = 6;
const OBJ_GET: c_long = 7;
const PROG_GET_FD_BY_ID: c_long = 13;
const OBJ_GET_INFO_BY_FD: c_long = 15;
const LINK_CREATE: c_long = 28;
const LINK_UPDATE: c_long = 29;
const LINK_DETACH: c_long = 34;
/// `BPF_XDP`, which of the places for programs it is.
const XDP: u32 = 37;
/// `BPF_LINK_TYPE_XDP`
const LINK_TYPE_XDP: u32 = 6;

/// A link, open. What is not pinned ends when it is dropped.
#[derive(Debug)]
pub(super) struct BpfLink(OwnedFd);

/// What the kernel says of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LinkInfo {
    /// The number of its program.
    pub program: u32,
    /// The number of its interface. None when that is gone, or the program was detached from it.
    pub interface: Option<u32>,
}

impl BpfLink {
    /// Attaches `program` to an interface. `flags` are those of `linux/if_link.h`, which say the mode.
    pub fn create(program: BorrowedFd<'_>, interface: u32, flags: u32) -> io::Result<Self> {
        let attributes = [pair(number(program), interface), pair(XDP, flags), 0, 0, 0, 0];
        descriptor(LINK_CREATE, attributes).map(Self)
    }

    /// Opens one that is pinned. Fails with `InvalidData` if something else is.
    pub fn open(path: &Path) -> io::Result<Self> {
        let path = CString::new(path.as_os_str().as_bytes())?;
        let link = Self(descriptor(OBJ_GET, [address(path.as_ptr()), 0, 0, 0, 0, 0])?);
        // Of a map or a program the kernel would tell other things.
        link.info()?;
        Ok(link)
    }

    /// Pins it, so that it outlives this process.
    pub fn pin(&self, path: &Path) -> io::Result<()> {
        let path = CString::new(path.as_os_str().as_bytes())?;
        let attributes = [address(path.as_ptr()), number(self.0.as_fd()).into(), 0, 0, 0, 0];
        bpf(OBJ_PIN, attributes).map(drop)
    }

    /// What the kernel says of it.
    pub fn info(&self) -> io::Result<LinkInfo> {
        let mut words = [0_u32; 32];
        let length = u32::try_from(size_of_val(&words)).unwrap_or(0);
        let attributes = [
            pair(number(self.0.as_fd()), length),
            address(words.as_mut_ptr()),
            0,
            0,
            0,
            0,
        ];
        bpf(OBJ_GET_INFO_BY_FD, attributes)?;
        let [kind, _, program, _, interface, ..] = words;
        if kind != LINK_TYPE_XDP {
            return Err(io::ErrorKind::InvalidData.into());
        }
        Ok(LinkInfo {
            program,
            interface: (interface != 0).then_some(interface),
        })
    }

    /// Puts `program` in the place of the one that runs. Each packet meets one of them.
    pub fn update(&self, program: BorrowedFd<'_>) -> io::Result<()> {
        let attributes = [pair(number(self.0.as_fd()), number(program)), 0, 0, 0, 0, 0];
        bpf(LINK_UPDATE, attributes).map(drop)
    }

    /// Takes the program from the interface: at once, and not when nobody has the link open or pinned any more.
    pub fn detach(&self) -> io::Result<()> {
        bpf(LINK_DETACH, [number(self.0.as_fd()).into(), 0, 0, 0, 0, 0]).map(drop)
    }
}

/// A loaded program, by its number.
pub(super) fn program(id: u32) -> io::Result<OwnedFd> {
    descriptor(PROG_GET_FD_BY_ID, [id.into(), 0, 0, 0, 0, 0])
}

/// Two fields of 32 bits, as they lie in memory.
fn pair(first: u32, second: u32) -> u64 {
    let [a, b, c, d] = first.to_ne_bytes();
    let [e, f, g, h] = second.to_ne_bytes();
    u64::from_ne_bytes([a, b, c, d, e, f, g, h])
}

fn number(descriptor: BorrowedFd<'_>) -> u32 {
    descriptor.as_raw_fd().cast_unsigned()
}

fn address<T>(pointer: *const T) -> u64 {
    pointer.expose_provenance() as u64
}

/// A command that makes a descriptor.
#[expect(unsafe_code, reason = "the kernel hands out descriptors as numbers")]
fn descriptor(command: c_long, attributes: [u64; 6]) -> io::Result<OwnedFd> {
    let number = bpf(command, attributes)?;
    // SAFETY: the command has just made it for us (closed on exec, as all of BPF), and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

#[expect(unsafe_code, reason = "no crate has these commands")]
fn bpf(command: c_long, mut attributes: [u64; 6]) -> io::Result<i32> {
    let length = size_of_val(&attributes);
    // SAFETY: the attributes are as long as said. Every caller writes them as `union bpf_attr` has them for its command;
    // what they point to outlives the call and is as long as they say.
    let result = unsafe { libc::syscall(SYS_bpf, command, attributes.as_mut_ptr(), length) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    i32::try_from(result).map_err(|_too_large| io::ErrorKind::InvalidData.into())
}
