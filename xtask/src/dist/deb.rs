//! Debian packages, by dpkg-deb: what it adds to a tree of files is a folder of a few text files.

use super::{
    source_date,
    tree::{CONFIGURATION, Tree},
};
use crate::{paths, sh};
use anyhow::Context as _;
use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

/// Builds the package, and returns where it is.
pub fn build(tree: &Tree, version: &str, to: &Path) -> anyhow::Result<PathBuf> {
    let architecture = sh::output(Command::new("dpkg").arg("--print-architecture")).context("dpkg failed")?;
    let architecture = architecture.trim();
    let templates = paths::workspace().join("dist/debian");
    let control = tree.root.join("DEBIAN");
    super::anew(&control)?;
    let template = fs::read_to_string(templates.join(format!("{}.control", tree.name)))?;
    let mut text = template
        .replace("@VERSION@", version)
        .replace("@ARCHITECTURE@", architecture)
        .replace("@SIZE@", &size(tree)?);
    if text.contains("@DEPENDS@") {
        text = text.replace("@DEPENDS@", &libraries(tree)?);
    }
    fs::write(control.join("control"), text)?;
    if tree.root.join(CONFIGURATION).exists() {
        fs::write(control.join("conffiles"), format!("/{CONFIGURATION}\n"))?;
    }
    for script in ["postinst", "prerm", "postrm"] {
        let from = templates.join(format!("{}.{script}", tree.name));
        if from.exists() {
            fs::copy(from, control.join(script))?;
            fs::set_permissions(control.join(script), fs::Permissions::from_mode(0o755))?;
        }
    }
    let package = to.join(format!("{}_{version}_{architecture}.deb", tree.name));
    let mut dpkg = Command::new("dpkg-deb");
    dpkg.env("SOURCE_DATE_EPOCH", source_date());
    sh::run(
        dpkg.args(["--root-owner-group", "--build"])
            .arg(&tree.root)
            .arg(&package),
    )?;
    fs::remove_dir_all(control)?;
    Ok(package)
}

/// The packages of the libraries that the program is linked with.
fn libraries(tree: &Tree) -> anyhow::Result<String> {
    let folder = tempfile::tempdir()?;
    fs::create_dir(folder.path().join("debian"))?;
    // dpkg-shlibdeps reads it, though it needs nothing of it.
    fs::write(
        folder.path().join("debian/control"),
        "Source: letmein\n\nPackage: letmeind\nArchitecture: any\n",
    )?;
    let mut shlibdeps = Command::new("dpkg-shlibdeps");
    shlibdeps
        .current_dir(folder.path())
        .arg("-O")
        .arg(tree.root.join("usr/sbin/letmeind"));
    let depends = sh::output(&mut shlibdeps).context("dpkg-shlibdeps failed")?;
    let depends = depends.trim().strip_prefix("shlibs:Depends=");
    Ok(depends.context("dpkg-shlibdeps says something else")?.to_owned())
}

/// In KiB, as control files have it.
fn size(tree: &Tree) -> anyhow::Result<String> {
    let du = sh::output(
        Command::new("du")
            .args(["-sk", "--apparent-size", "--exclude=DEBIAN"])
            .arg(&tree.root),
    );
    let size = du.context("du failed")?;
    Ok(size.split_whitespace().next().unwrap_or_default().to_owned())
}
