//! Whether the kernel is too old for the program.

use super::error::XdpError;
use aya::util::KernelVersion;

/// Frames that do not fit one page (`xdp.frags`), which the program asks for, came with this release; what else it needs
/// is older: the coarse clock (5.11) and the ring buffer (5.8).
const OLDEST: KernelVersion = KernelVersion::new(5, 18, 0);

/// What the kernel says of a program that is too new for it helps nobody: names the reason instead.
pub(super) fn blame(error: XdpError) -> XdpError {
    match KernelVersion::current() {
        Ok(version) => blame_version(error, version),
        Err(_unknown) => error,
    }
}

fn blame_version(error: XdpError, version: KernelVersion) -> XdpError {
    match error {
        XdpError::Load(_) | XdpError::Verifier(_) if version < OLDEST => {
            // As `KERNEL_VERSION` of the kernel's headers has it.
            let code = version.code();
            XdpError::OldKernel(format!("Linux {}.{}", code >> 16, code >> 8 & 0xFF))
        }
        error => error,
    }
}

#[cfg(test)]
mod tests {
    use super::{OLDEST, XdpError, blame_version};
    use aya::{programs::ProgramError, util::KernelVersion};

    fn refused() -> XdpError {
        XdpError::Verifier(ProgramError::NotLoaded)
    }

    #[test]
    fn an_old_kernel_is_named_and_a_new_one_keeps_its_words() {
        let said = blame_version(refused(), KernelVersion::new(5, 10, 251)).to_string();
        assert!(
            said.contains("needs Linux 5.18 or newer, and this is Linux 5.10;"),
            "{said}"
        );
        let said = blame_version(refused(), OLDEST).to_string();
        assert_eq!(said, refused().to_string());
    }

    #[test]
    fn what_has_another_reason_keeps_it() {
        let said = blame_version(XdpError::Permission, KernelVersion::new(5, 10, 0)).to_string();
        assert_eq!(said, XdpError::Permission.to_string());
    }
}
