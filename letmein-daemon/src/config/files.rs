//! Reading files that decide about access: only if nobody else can write them, or read them where they hold keys.

use nix::unistd::geteuid;
use std::{
    fs::{Metadata, OpenOptions},
    io::{self, Read as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::Path,
};
use zeroize::Zeroizing;

/// Larger than any configuration. Refused above, before memory runs out.
const LARGEST: u64 = 16 << 20;

/// Who may do what with a file.
#[derive(Clone, Copy)]
pub(super) struct Access {
    mode: u32,
    owner: u32,
}

/// Reads a regular file whole. Type and permissions are those of what was read, even if somebody moves another
/// file there meanwhile. The error is a text that names the file and the remedy.
pub(super) fn read(path: &Path) -> Result<(Zeroizing<String>, Access), String> {
    let cannot = |error: io::Error| {
        let remedy = match error.kind() {
            io::ErrorKind::NotFound => "; is the path right?",
            io::ErrorKind::PermissionDenied => "; run as root, or as the file's owner",
            io::ErrorKind::InvalidData => "; save it as UTF-8 text",
            _ => "",
        };
        format!("{} cannot be read: {error}{remedy}", path.display())
    };
    // Opening a FIFO would otherwise wait for somebody to write to it.
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path)
        .map_err(cannot)?;
    let metadata = file.metadata().map_err(cannot)?;
    if !metadata.is_file() {
        return Err(format!("{} is not a regular file; name a file", path.display()));
    }
    if metadata.len() > LARGEST {
        return Err(format!(
            "{} is larger than {LARGEST} bytes; is it the right file?",
            path.display()
        ));
    }
    // Room for all of it, so that no shorter buffer with a part of the secret is left behind by growing.
    let room = usize::try_from(metadata.len()).unwrap_or_default() + 1;
    let mut text = Zeroizing::new(String::with_capacity(room));
    file.take(LARGEST).read_to_string(&mut text).map_err(cannot)?;
    Ok((text, Access::of(&metadata)))
}

impl Access {
    fn of(metadata: &Metadata) -> Self {
        Self {
            mode: metadata.mode() & 0o7777,
            owner: metadata.uid(),
        }
    }

    /// Refuses a file that others than its owner may write.
    pub fn check_trusted(self, path: &Path) -> Result<(), String> {
        if self.mode & 0o022 == 0 {
            return Ok(());
        }
        let path = path.display();
        Err(format!(
            "{path} can be changed by others (mode {:04o}); run `chmod go-w {path}`",
            self.mode
        ))
    }

    /// Refuses a file with keys that others than its owner may read or write, or that belongs to neither root nor
    /// the user we run as.
    pub fn check_secret(self, path: &Path) -> Result<(), String> {
        self.check_secret_for(geteuid().as_raw(), path)
    }

    fn check_secret_for(self, user: u32, path: &Path) -> Result<(), String> {
        let path = path.display();
        if self.mode & 0o077 != 0 {
            let mode = self.mode;
            return Err(format!(
                "{path} holds a key, but is open to others (mode {mode:04o}); run `chmod 600 {path}`"
            ));
        }
        if self.owner != 0 && self.owner != user {
            let owner = self.owner;
            return Err(format!(
                "{path} holds a key, but belongs to user {owner}; run `chown {user} {path}`"
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_for_their_owner_only() {
        let check = |mode, owner, user| Access { mode, owner }.check_secret_for(user, Path::new("k"));
        for (mode, owner, user) in [
            (0o600, 0, 0),
            (0o400, 0, 0),
            (0o600, 0, 990),
            (0o600, 990, 990),
            (0o700, 0, 0),
        ] {
            assert_eq!(check(mode, owner, user), Ok(()), "{mode:o} {owner} {user}");
        }
        for mode in [0o640, 0o620, 0o610, 0o604, 0o602, 0o601, 0o644, 0o777] {
            let error = check(mode, 0, 0).unwrap_err();
            assert!(
                error.contains(&format!("mode {mode:04o}); run `chmod 600 k`")),
                "{error}"
            );
        }
        assert!(
            check(0o600, 1000, 0)
                .unwrap_err()
                .contains("belongs to user 1000; run `chown 0 k`")
        );
        assert!(check(0o600, 1000, 990).unwrap_err().contains("run `chown 990 k`"));
    }

    #[test]
    fn a_configuration_is_changed_by_its_owner_only() {
        let check = |mode| Access { mode, owner: 1000 }.check_trusted(Path::new("c"));
        for mode in [0o600, 0o644, 0o755, 0o444] {
            assert_eq!(check(mode), Ok(()), "{mode:o}");
        }
        for mode in [0o664, 0o646, 0o666, 0o777, 0o620] {
            assert!(
                check(mode).unwrap_err().contains("run `chmod go-w c`"),
                "{mode:o}"
            );
        }
    }
}
