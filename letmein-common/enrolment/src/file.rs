//! Writing files that hold keys, or name those that do: whole or not at all, and closed to others.

#[cfg_attr(unix, path = "file/unix.rs")]
#[cfg_attr(not(unix), path = "file/elsewhere.rs")]
mod system;

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::Path,
};
use tempfile::{Builder, NamedTempFile};

/// Writes a file that did not exist before, which only its owner can read.
pub fn write_new(path: &Path, text: &str) -> io::Result<()> {
    let file = complete(path, text)?;
    file.persist_noclobber(path).map_err(|error| error.error)?;
    system::settle(folder_of(path))
}

/// Puts a file in the place of another, or where there is none. It has the permissions of the other (and its owner,
/// where that can be had); a new one can be read by its owner only.
pub fn replace(path: &Path, text: &str) -> io::Result<()> {
    // What is there may be a symbolic link, and is to stay one.
    let path = &fs::canonicalize(path).or_else(|error| match error.kind() {
        io::ErrorKind::NotFound => Ok(path.to_owned()),
        _ => Err(error),
    })?;
    let file = complete(path, text)?;
    match fs::metadata(path) {
        Ok(old) => system::inherit(file.as_file(), &old)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    file.persist(path).map_err(|error| error.error)?;
    system::settle(folder_of(path))
}

/// Makes a folder that only its owner can enter, and those above it, unless they are there.
pub fn make_folder(path: &Path) -> io::Result<()> {
    let mut folder = fs::DirBuilder::new();
    folder.recursive(true);
    system::close_to_others(&mut folder);
    folder.create(path)
}

/// The same with the folder that a file is in.
pub fn make_folder_of(file: &Path) -> io::Result<()> {
    make_folder(folder_of(file))
}

/// One at a time changes the files of a folder, as long as the returned file lives.
pub fn lock(folder: &Path) -> io::Result<File> {
    let file = system::open_to_lock(openable(folder))?;
    file.lock()?;
    Ok(file)
}

/// The text in a file beside that one; closed to others from the start, and removed if it comes to nothing.
fn complete(path: &Path, text: &str) -> io::Result<NamedTempFile> {
    let folder = folder_of(path);
    let mut file = Builder::new().prefix(".letmein-").tempfile_in(folder)?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    Ok(file)
}

/// The folder that a file is in.
fn folder_of(file: &Path) -> &Path {
    openable(file.parent().unwrap_or(Path::new("")))
}

/// The parent of a plain file name is an empty path, which no system opens.
fn openable(path: &Path) -> &Path {
    if path.as_os_str().is_empty() {
        Path::new(".")
    } else {
        path
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    use tempfile::TempDir;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn a_new_file_is_closed_to_others_and_overwrites_nothing() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("k");
        write_new(&path, "one").unwrap();
        assert_eq!(mode(&path), 0o600);
        let error = write_new(&path, "two").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(&path).unwrap(), "one");
        assert_eq!(
            fs::read_dir(folder.path()).unwrap().count(),
            1,
            "nothing is left over"
        );
    }

    #[test]
    fn what_is_replaced_keeps_its_permissions_and_stays_a_link() {
        let folder = TempDir::new().unwrap();
        let (path, link) = (folder.path().join("c"), folder.path().join("l"));
        replace(&path, "new").unwrap();
        assert_eq!(mode(&path), 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        symlink("c", &link).unwrap();
        replace(&link, "newer").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "newer");
        assert_eq!(mode(&path), 0o644);
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_folder_is_closed_to_others() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("a/b");
        make_folder(&path).unwrap();
        make_folder(&path).unwrap();
        assert_eq!(mode(&path), 0o700);
        make_folder_of(&path.join("c/k")).unwrap();
        assert!(path.join("c").is_dir());
        make_folder_of(Path::new("k")).unwrap();
    }
}
