//! A kernel from Debian's archive, unpacked and not installed.

use crate::sh;
use anyhow::{Context as _, bail};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// An unpacked kernel.
pub struct Kernel {
    /// Such as `6.1.0-18-cloud-amd64`.
    pub release: String,
    /// What boots.
    pub image: PathBuf,
    /// The folder of which `lib/modules` is a part.
    pub root: PathBuf,
}

/// Downloads the kernel that `package` depends on, unless it is in `folder` already.
pub fn fetch(package: &str, folder: &Path) -> anyhow::Result<Kernel> {
    let depends = sh::output(Command::new("apt-cache").args(["depends", package]))
        .with_context(|| format!("apt-cache does not know {package}; try apt-get update"))?;
    let image_package = depends
        .split_whitespace()
        .find(|word| word.starts_with("linux-image-") && *word != package)
        .with_context(|| format!("{package} depends on no kernel"))?;
    let release = image_package.trim_start_matches("linux-image-").to_owned();
    let root = folder.join(&release);
    let image = root.join(format!("boot/vmlinuz-{release}"));
    if !image.exists() {
        fs::create_dir_all(&root)?;
        sh::run(
            Command::new("apt-get")
                .current_dir(&root)
                .args(["download", image_package]),
        )?;
        let archive = fs::read_dir(&root)?
            .filter_map(Result::ok)
            .map(|entry| entry.path())
            .find(|path| path.extension().is_some_and(|extension| extension == "deb"))
            .context("apt-get downloaded no package")?;
        sh::run(Command::new("dpkg").arg("-x").arg(&archive).arg(&root))?;
        fs::remove_file(archive)?;
    }
    if !image.exists() {
        bail!("{image_package} has no {}", image.display());
    }
    Ok(Kernel { release, image, root })
}
