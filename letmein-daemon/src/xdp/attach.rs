//! Hooking the program into the interfaces.

use super::error::XdpError;
use aya::programs::{
    ProgramError, Xdp, XdpMode,
    xdp::{XdpError as AyaXdpError, XdpLinkId},
};
use nix::errno::Errno;
use std::io;

/// Where in the receive path the program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Native where the driver can, generic where it cannot.
    Auto,
    /// In the driver, before the kernel allocates anything for the packet.
    Native,
    /// In the network stack: works with every driver, but later and slower.
    Generic,
}

/// Which hook an interface got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attached {
    /// The interface's name.
    pub interface: String,
    /// Whether it runs in the driver.
    pub native: bool,
}

/// Attaches the program to one interface. It is detached when the program is dropped.
pub(super) fn attach(
    program: &mut Xdp,
    interface: &str,
    mode: Mode,
) -> Result<(XdpLinkId, Attached), XdpError> {
    let attached = |native| {
        let interface = interface.to_owned();
        move |link| (link, Attached { interface, native })
    };
    match mode {
        Mode::Generic => try_attach(program, interface, XdpMode::Skb).map(attached(false)),
        Mode::Native => try_attach(program, interface, XdpMode::Driver).map(attached(true)),
        Mode::Auto => match try_attach(program, interface, XdpMode::Driver) {
            Err(XdpError::NotSupported { .. }) => {
                try_attach(program, interface, XdpMode::Skb).map(attached(false))
            }
            outcome => outcome.map(attached(true)),
        },
    }
}

fn try_attach(program: &mut Xdp, interface: &str, mode: XdpMode) -> Result<XdpLinkId, XdpError> {
    let interface_name = interface.to_owned();
    match program.attach(interface, mode) {
        Ok(link) => Ok(link),
        Err(ProgramError::UnknownInterface { .. }) => Err(XdpError::NoInterface {
            interface: interface_name,
        }),
        Err(source) => Err(match errno(&source) {
            Some(Errno::EPERM | Errno::EACCES) => XdpError::Permission,
            Some(Errno::EBUSY | Errno::EEXIST) => XdpError::Busy {
                interface: interface_name,
            },
            Some(Errno::ENODEV) => XdpError::NoInterface {
                interface: interface_name,
            },
            // What drivers answer that have no XDP, or not with this MTU, offload or number of queues.
            Some(Errno::EOPNOTSUPP | Errno::EINVAL | Errno::ERANGE | Errno::ENOSPC) => {
                XdpError::NotSupported {
                    interface: interface_name,
                    source,
                }
            }
            _ => XdpError::Attach {
                interface: interface_name,
                source,
            },
        }),
    }
}

/// The error number inside aya's error, whichever way the program was attached.
fn errno(error: &ProgramError) -> Option<Errno> {
    let io_error: &io::Error = match error {
        ProgramError::SyscallError(error) => &error.io_error,
        ProgramError::XdpError(AyaXdpError::NetlinkError(error)) => {
            return std::error::Error::source(error)
                .and_then(|source| source.downcast_ref::<io::Error>())
                .and_then(io::Error::raw_os_error)
                .map(Errno::from_raw);
        }
        _ => return None,
    };
    io_error.raw_os_error().map(Errno::from_raw)
}
