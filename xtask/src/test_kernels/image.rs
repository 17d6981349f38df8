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

/// The package that depends on the newest kernel of a suite: the one for virtual machines, which is small.
const PACKAGE: &str = "linux-image-cloud-amd64";
/// With which Debian's archive proves what it says.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Downloads the newest kernel of a suite, unless it is in `folder` already.
pub fn fetch(suite: &str, folder: &Path) -> anyhow::Result<Kernel> {
    let apt = Apt::new(suite, folder)?;
    // Without the archive, what has been downloaded earlier will do.
    if sh::run(apt.command("apt-get").args(["update", "-qq"])).is_err() {
        eprintln!("apt-get update failed; trying with the package lists that are there");
    }
    let depends = sh::output(apt.command("apt-cache").args(["depends", PACKAGE]))
        .with_context(|| format!("apt-cache knows no {PACKAGE} in {suite}"))?;
    let image_package = depends
        .split_whitespace()
        .find(|word| word.starts_with("linux-image-") && *word != PACKAGE)
        .with_context(|| format!("{PACKAGE} of {suite} depends on no kernel"))?;
    let release = image_package.trim_start_matches("linux-image-").to_owned();
    let root = folder.join(&release);
    let image = root.join(format!("boot/vmlinuz-{release}"));
    if !image.exists() {
        fs::create_dir_all(&root)?;
        // Its own `_apt` user could not write there.
        let mut download = apt.command("apt-get");
        download.args(["-o", "APT::Sandbox::User=root", "download", image_package]);
        sh::run(download.current_dir(&root))?;
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

/// apt with one suite only, in a folder of its own: what this machine's apt knows is not touched. It checks Debian's
/// signature of what it downloads.
struct Apt(PathBuf);

impl Apt {
    fn new(suite: &str, folder: &Path) -> anyhow::Result<Self> {
        let folder = folder.join("apt").join(suite);
        for part in ["state/lists/partial", "cache/archives/partial"] {
            fs::create_dir_all(folder.join(part))?;
        }
        let archive = if suite.ends_with("-security") {
            "debian-security"
        } else {
            "debian"
        };
        let source = format!("deb [signed-by={KEYRING}] http://deb.debian.org/{archive} {suite} main\n");
        fs::write(folder.join("sources.list"), source)?;
        Ok(Self(folder))
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        let own = [
            ("Dir::Etc::SourceList", "sources.list"),
            ("Dir::State", "state"),
            ("Dir::Cache", "cache"),
        ];
        for (option, part) in own {
            command
                .arg("-o")
                .arg(format!("{option}={}", self.0.join(part).display()));
        }
        command.args(["-o", "Dir::Etc::SourceParts=-", "-o", "Acquire::Languages=none"]);
        command
    }
}
