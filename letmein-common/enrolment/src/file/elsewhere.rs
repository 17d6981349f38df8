//! Where a folder is no file, and who may read what is inherited from the folder: a user's own is closed to others.

use std::{
    fs::{DirBuilder, File, Metadata},
    io,
    path::Path,
};

/// That it is already.
pub fn close_to_others(_: &mut DirBuilder) {}

/// From the folder.
#[expect(clippy::unnecessary_wraps, reason = "on Unix it can fail")]
pub fn inherit(_: &File, _: &Metadata) -> io::Result<()> {
    Ok(())
}

/// Nobody can ask for that here.
#[expect(clippy::unnecessary_wraps, reason = "on Unix it can fail")]
pub fn settle(_: &Path) -> io::Result<()> {
    Ok(())
}

/// What to lock for a folder: a file in it, which stays.
pub fn open_to_lock(folder: &Path) -> io::Result<File> {
    File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(folder.join(".letmein-lock"))
}
