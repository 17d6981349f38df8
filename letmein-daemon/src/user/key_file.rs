//! Files with users' keys, in the folder `keys` beside the configuration.

use anyhow::{Context as _, anyhow};
use letmein_common::hmac::KEY_LEN;
use letmein_enrolment::file;
use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};
use zeroize::Zeroizing;

/// Where they are, from the configuration's folder.
const FOLDER: &str = "keys";

/// Writes a fresh key to a file of its own. Returns its path from the configuration's folder.
pub fn make(configuration: &Path, name: &str) -> anyhow::Result<PathBuf> {
    let mut key = Zeroizing::new([0_u8; KEY_LEN]);
    getrandom::fill(&mut *key).map_err(|error| anyhow!("the system gives no random numbers: {error}"))?;
    // Room for all of it, so that no shorter buffer with a part of the secret is left behind by growing.
    let mut text = Zeroizing::new(String::with_capacity(2 * KEY_LEN + 1));
    for byte in key.iter() {
        write!(text, "{byte:02x}")?;
    }
    text.push('\n');
    let relative = Path::new(FOLDER).join(format!("{name}.key"));
    let (folder, path) = (configuration.join(FOLDER), configuration.join(&relative));
    file::make_folder(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    file::write_new(&path, &text).with_context(|| format!("cannot write {}", path.display()))?;
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
