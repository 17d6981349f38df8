//! Reading files that may hold keys.

use anyhow::{anyhow, bail};
use std::{
    fs::{self, File, Metadata},
    io::{self, Read as _},
    path::Path,
};
use zeroize::Zeroizing;

/// Larger than any configuration. Refused above, before memory runs out.
const LARGEST: u64 = 1 << 20;

/// A file that was read whole.
pub(super) struct Contents {
    pub text: Zeroizing<String>,
    metadata: Metadata,
}

/// Reads a regular file whole. Its permissions are those of what was read, even if somebody moves another file there
/// meanwhile.
pub(super) fn read(path: &Path) -> anyhow::Result<Contents> {
    let cannot = |error: io::Error| {
        let remedy = match error.kind() {
            io::ErrorKind::NotFound => "; is the path right?",
            io::ErrorKind::PermissionDenied => "; run as its owner, or change its permissions",
            io::ErrorKind::InvalidData => "; save it as UTF-8 text",
            _ => "",
        };
        anyhow!("{} cannot be read: {error}{remedy}", path.display())
    };
    // Before it is opened, since opening a FIFO would wait for somebody to write to it.
    if !fs::metadata(path).map_err(cannot)?.is_file() {
        bail!("{} is not a regular file; name a file", path.display());
    }
    let file = File::open(path).map_err(cannot)?;
    let metadata = file.metadata().map_err(cannot)?;
    if metadata.len() > LARGEST {
        bail!(
            "{} is larger than {LARGEST} bytes; is it the right file?",
            path.display()
        );
    }
    // Room for all of it, so that no shorter buffer with a part of the secret is left behind by growing.
    let room = usize::try_from(metadata.len()).unwrap_or_default() + 1;
    let mut text = Zeroizing::new(String::with_capacity(room));
    file.take(LARGEST).read_to_string(&mut text).map_err(cannot)?;
    Ok(Contents { text, metadata })
}

impl Contents {
    /// Refuses a file with a key that others can read or write.
    #[cfg(unix)]
    pub fn check_private(&self, path: &Path) -> anyhow::Result<()> {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = self.metadata.permissions().mode() & 0o7777;
        if mode & 0o077 != 0 {
            let path = path.display();
            bail!("{path} holds a key, but is open to others (mode {mode:04o}); run `chmod 600 {path}`");
        }
        Ok(())
    }

    /// Elsewhere a file's mode tells nothing; a user's own folder is closed to others by default.
    #[cfg(not(unix))]
    #[expect(clippy::unnecessary_wraps, reason = "on Unix it can fail")]
    pub fn check_private(&self, path: &Path) -> anyhow::Result<()> {
        let _ = (&self.metadata, path);
        Ok(())
    }
}
