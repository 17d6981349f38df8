//! Owners, permissions and folders of Unix.

use std::{
    fs::{DirBuilder, File, Metadata},
    io,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, fchown},
    path::Path,
};

/// Only its owner will enter a folder made by this.
pub fn close_to_others(folder: &mut DirBuilder) {
    folder.mode(0o700);
}

/// The new file gets what the old one has.
pub fn inherit(file: &File, old: &Metadata) -> io::Result<()> {
    file.set_permissions(old.permissions())?;
    let new = file.metadata()?;
    if (new.uid(), new.gid()) != (old.uid(), old.gid()) {
        fchown(file, Some(old.uid()), Some(old.gid()))?;
    }
    Ok(())
}

/// Has the names in a folder survive a crash, too.
pub fn settle(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// What to lock for a folder: itself.
pub fn open_to_lock(folder: &Path) -> io::Result<File> {
    File::open(folder)
}
