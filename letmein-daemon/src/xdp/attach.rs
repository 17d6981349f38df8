//! Which mode an interface can be had in, and what its refusal means.

use super::error::XdpError;
use aya::programs::{ProgramError, XdpMode, xdp::XdpError as AyaXdpError};
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

impl Mode {
    /// As the configuration writes it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Native => "native",
            Self::Generic => "generic",
        }
    }

    /// What an interface runs in now.
    pub(super) const fn of(native: bool) -> Self {
        if native { Self::Native } else { Self::Generic }
    }

    pub(super) fn from_name(name: &str) -> Option<Self> {
        [Self::Auto, Self::Native, Self::Generic]
            .into_iter()
            .find(|mode| mode.name() == name)
    }
}

/// Which hook an interface got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attached {
    /// The interface's name.
    pub interface: String,
    /// Whether it runs in the driver.
    pub native: bool,
    /// Whether it is in the place of the program of an earlier run, and no packet got past both.
    pub without_a_gap: bool,
}

/// Attaches to `interface` by `attach`, and tells whether that was in the driver.
pub(super) fn in_mode<T>(
    mode: Mode,
    interface: &str,
    mut attach: impl FnMut(XdpMode) -> Result<T, ProgramError>,
) -> Result<(T, bool), XdpError> {
    let mut attach = |mode| attach(mode).map_err(|source| refusal(interface, source));
    match mode {
        Mode::Generic => Ok((attach(XdpMode::Skb)?, false)),
        Mode::Native => Ok((attach(XdpMode::Driver)?, true)),
        Mode::Auto => match attach(XdpMode::Driver) {
            Err(XdpError::NotSupported { .. }) => Ok((attach(XdpMode::Skb)?, false)),
            outcome => Ok((outcome?, true)),
        },
    }
}

pub(super) fn refusal(interface: &str, source: ProgramError) -> XdpError {
    let interface = interface.to_owned();
    if matches!(source, ProgramError::UnknownInterface { .. }) {
        return XdpError::NoInterface { interface };
    }
    match errno(&source) {
        Some(Errno::EPERM | Errno::EACCES) => XdpError::Permission,
        Some(Errno::EBUSY | Errno::EEXIST) => XdpError::Busy { interface },
        Some(Errno::ENODEV) => XdpError::NoInterface { interface },
        // What drivers answer that have no XDP, or not with this MTU, offload or number of queues.
        Some(Errno::EOPNOTSUPP | Errno::EINVAL | Errno::ERANGE | Errno::ENOSPC) => {
            XdpError::NotSupported { interface, source }
        }
        _ => XdpError::Attach { interface, source },
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
