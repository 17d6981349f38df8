//! Packages for systems with rpm.

use super::{
    anew, source_date,
    tree::{CONFIGURATION, Tree},
};
use crate::{paths, sh};
use anyhow::Context as _;
use std::{fmt::Write as _, fs, path::Path, process::Command};

/// Builds the packages from one specification, and has those of these trees in `finished`.
pub fn build(trees: &[&Tree], version: &str, folder: &Path, finished: &Path) -> anyhow::Result<()> {
    let top = folder.join("rpm");
    anew(&top)?;
    for tree in trees {
        fs::write(folder.join(format!("trees/{}.files", tree.name)), files(tree)?)?;
    }
    let template = fs::read_to_string(paths::workspace().join("dist/rpm/letmein.spec"))?;
    let specification = template
        .replace("@VERSION@", version)
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
    let built = top.join("RPMS").join(std::env::consts::ARCH);
    for tree in trees {
        let name = format!("{}-{version}-1.{}.rpm", tree.name, std::env::consts::ARCH);
        fs::copy(built.join(&name), finished.join(&name))
            .with_context(|| format!("rpmbuild has not built {name}"))?;
    }
    Ok(())
}

/// Where Debian's zsh looks for completions, and everybody else's.
const ZSH: (&str, &str) = (
    "usr/share/zsh/vendor-completions/",
    "usr/share/zsh/site-functions/",
);

/// Every file of the package, and the folders that nobody else has.
fn files(tree: &Tree) -> anyhow::Result<String> {
    let found = sh::output(
        Command::new("find")
            .current_dir(&tree.root)
            .args([".", "-type", "f"]),
    );
    let mut names: Vec<_> = found
        .context("find failed")?
        .lines()
        .map(|line| line.trim_start_matches("./").replace(ZSH.0, ZSH.1))
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
        list.push_str("%dir /etc/letmein\n%dir %attr(0700, root, root) /etc/letmein/keys\n");
    }
    writeln!(list, "%dir /usr/share/doc/{}", tree.name)?;
    if tree
        .root
        .join("usr/share/doc")
        .join(tree.name)
        .join("docs")
        .exists()
    {
        writeln!(list, "%dir /usr/share/doc/{}/docs", tree.name)?;
    }
    Ok(list)
}
