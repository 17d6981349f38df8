//! No core dumps: a crash must not write keys to a disk.

/// Switches them off for this process, which then cannot be read by others of its user either. What it becomes or starts
/// may switch them on again.
#[cfg(unix)]
pub fn switch_off() -> anyhow::Result<()> {
    use anyhow::Context as _;
    use nix::sys::resource::{Resource, getrlimit, setrlimit};

    let off = || {
        // The limit alone does not stop a kernel that hands core dumps to a program.
        #[cfg(target_os = "linux")]
        nix::sys::prctl::set_dumpable(false)?;
        let (_, most) = getrlimit(Resource::RLIMIT_CORE)?;
        setrlimit(Resource::RLIMIT_CORE, 0, most)
    };
    off().context("core dumps, which would have keys in them, cannot be switched off")
}

/// Elsewhere that is for the administrator to decide.
#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "on Unix it can fail")]
pub fn switch_off() -> anyhow::Result<()> {
    Ok(())
}
