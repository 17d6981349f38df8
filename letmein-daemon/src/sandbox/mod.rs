//! What each of the two processes gives up before it goes to work: `privileges`, `files` and system calls (`seccomp`).

mod account;
mod descriptors;
mod files;
mod privileges;
mod seccomp;

pub use crate::config::Seccomp;
pub use account::Account;
pub use descriptors::close_all_but_the_standard_ones;
pub use files::Files;
pub use privileges::{become_nobody, leave_signals_to_the_warden};

/// Leaves this process what it needs to serve knocks by descriptors that it has, and nothing else of the kernel. It has
/// become [nobody](become_nobody) before, and this thread has to be the only one.
pub fn confine_gatekeeper(seccomp: Seccomp) -> anyhow::Result<()> {
    files::confine_gatekeeper()?;
    seccomp::confine_gatekeeper(seccomp)
}

/// Leaves this process what it needs to do what the gatekeeper asks for, to put rules back, and to change its
/// configuration. This thread has to be the only one.
pub fn confine_warden(seccomp: Seccomp, files: &Files) -> anyhow::Result<()> {
    privileges::keep_the_wardens()?;
    files::confine_warden(files)?;
    seccomp::confine_warden(seccomp)
}
