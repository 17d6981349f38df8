//! Packages for systems with rpm.

use super::{
    VERSION, anew, source_date,
    tree::{CONFIGURATION, Tree},
};
use crate::{paths, sh};
use anyhow::Context as _;
use std::{fmt::Write as _, fs, path::Path, process::Command};

/// Builds both packages from one specification.
pub fn build(trees: &[&Tree], folder: &Path, finished: &Path) -> anyhow::Result<()> {
    let top = folder.join("rpm");
    anew(&top)?;
    for tree in trees {
        fs::write(folder.join(format!("trees/{}.files", tree.name)), files(tree)?)?;
    }
    let template = fs::read_to_string(paths::workspace().join("dist/rpm/letmein.spec"))?;
    let specification = template
        .replace("@VERSION@", VERSION)
        .replace("@TREES@", &folder.join("trees").to_string_lossy());
    let path = top.join("letmein.spec");
    fs::write(&path, specification)?;
    let mut rpmbuild = Command::new("rpmbuild");
    rpmbuild
        .env("SOURCE_DATE_EPOCH", source_date())
        .args(["-bb", "--quiet", "--define"])
        .arg(format!("_topdir {}", top.display()))
        .args(["--define", "use_source_date_epoch_as_buildtime 1"])
        .args(["--define", "clamp_mtime_to_source_date_epoch 1"])
        .args(["--define", "_buildhost localhost"]);
    sh::run(rpmbuild.arg(&path))?;
    for entry in fs::read_dir(top.join("RPMS").join(std::env::consts::ARCH))? {
        let entry = entry?;
        fs::copy(entry.path(), finished.join(entry.file_name()))?;
    }
    Ok(())
}

/// Every file of the package. Folders that others have, too, are not listed.
fn files(tree: &Tree) -> anyhow::Result<String> {
    let found = sh::output(
        Command::new("find")
            .current_dir(&tree.root)
            .args([".", "-type", "f"]),
    );
    let mut names: Vec<_> = found
        .context("find failed")?
        .lines()
        .map(|line| line.trim_start_matches("./").to_owned())
        .collect();
    names.sort();
    let mut list = String::from("%defattr(-, root, root, -)\n");
    for name in names {
        let kind = if name == CONFIGURATION {
            "%config(noreplace) "
        } else {
            ""
        };
        writeln!(list, "{kind}/{name}")?;
    }
    if tree.root.join("etc/letmein/keys").exists() {
        list.push_str("%dir %attr(0700, root, root) /etc/letmein/keys\n");
    }
    Ok(list)
}
