//! Files with users' keys, in the folder `keys` beside the configuration.

use anyhow::Context as _;
use letmein_enrolment::{file, key};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Where they are, from the configuration's folder.
const FOLDER: &str = "keys";

/// Writes a fresh key to a file of its own. Returns its path from the configuration's folder.
pub fn make(configuration: &Path, name: &str) -> anyhow::Result<PathBuf> {
    let key = key::fresh()?;
    let relative = Path::new(FOLDER).join(format!("{name}.key"));
    let (folder, path) = (configuration.join(FOLDER), configuration.join(&relative));
    file::make_folder(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    file::write_new(&path, &key::line(&key)).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(relative)
}

/// Removes a key file that is in our folder; elsewhere it may be somebody else's.
pub fn remove(configuration: &Path, relative: &Path) {
    if relative.parent() != Some(Path::new(FOLDER)) {
        return;
    }
    let path = configuration.join(relative);
    if let Err(error) = fs::remove_file(&path) {
        eprintln!(
            "{} is of no use any more, but cannot be removed: {error}",
            path.display()
        );
    }
}
