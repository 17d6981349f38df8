//! What is in each package, and where.

use super::{
    anew,
    roff::{self, Title},
};
use crate::{paths, sh};
use anyhow::{Context as _, bail, ensure};
use std::{
    fs,
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// A package's files, as they are installed.
pub struct Tree {
    pub name: &'static str,
    pub root: PathBuf,
}

/// Files of `/etc`, which belong to the administrator once they are installed.
pub const CONFIGURATION: &str = "etc/letmein/letmeind.toml";

pub fn server(root: &Path, program: &Path) -> anyhow::Result<Tree> {
    let tree = Tree::new("letmeind", root)?;
    tree.copy(program, "usr/sbin/letmeind", 0o755)?;
    let dist = paths::workspace().join("dist/systemd");
    for unit in ["letmeind.service", "letmeind.socket", "letmeind-guard.service"] {
        tree.copy(&dist.join(unit), &format!("usr/lib/systemd/system/{unit}"), 0o644)?;
    }
    let users = "usr/lib/sysusers.d/letmein.conf";
    tree.copy(&dist.join("letmein.sysusers.conf"), users, 0o644)?;
    let example = fs::read_to_string(paths::workspace().join("letmein-daemon/letmeind.toml"))?;
    tree.write(CONFIGURATION, &without_users(&example)?, 0o644)?;
    tree.folder("etc/letmein/keys", 0o700)?;

    tree.manual("letmeind.8", &said(program, &["man"])?)?;
    let title = Title {
        name: "letmeind.toml",
        about: "configuration of the knock gate's server",
        version: super::VERSION,
    };
    let options = fs::read_to_string(paths::workspace().join("docs/configuration.md"))?;
    let page = roff::page(&title, &options, ".BR letmeind (8),\n.BR letmein.toml (5)");
    tree.manual("letmeind.toml.5", &page)?;
    tree.completions(program)?;
    tree.documents(&["docs", "SECURITY.md", "CHANGELOG.md"])?;
    Ok(tree)
}

pub fn client(root: &Path, program: &Path) -> anyhow::Result<Tree> {
    let tree = Tree::new("letmein", root)?;
    tree.copy(program, "usr/bin/letmein", 0o755)?;
    tree.manual("letmein.1", &said(program, &["man"])?)?;
    let title = Title {
        name: "letmein.toml",
        about: "configuration of the knock gate's client",
        version: super::VERSION,
    };
    let page = roff::page(
        &title,
        &client_configuration()?,
        ".BR letmein (1),\n.BR letmeind.toml (5)",
    );
    tree.manual("letmein.toml.5", &page)?;
    tree.completions(program)?;
    tree.documents(&["CHANGELOG.md"])?;
    Ok(tree)
}

/// The section of the client's document that is about its file.
fn client_configuration() -> anyhow::Result<String> {
    let document = fs::read_to_string(paths::workspace().join("docs/client.md"))?;
    let section = document
        .split_once("\n## Configuration\n")
        .and_then(|(_, rest)| rest.split_once("\n## "));
    let (section, _) = section.context("docs/client.md has no section Configuration")?;
    Ok(section.to_owned())
}

/// The example with nobody in it: with a user whose key is not there, it would not be accepted.
fn without_users(example: &str) -> anyhow::Result<String> {
    let (before, users) = example
        .split_once("\n[users.alice]\n")
        .context("letmein-daemon/letmeind.toml has no [users.alice]")?;
    let comment = |line: &str| match line {
        "" => "\n".to_owned(),
        line if line.starts_with('#') => format!("{line}\n"),
        line => format!("#{line}\n"),
    };
    let users: String = users.lines().map(comment).collect();
    Ok(format!("{before}\n#[users.alice]\n{users}"))
}

impl Tree {
    fn new(name: &'static str, root: &Path) -> anyhow::Result<Self> {
        anew(root)?;
        let root = root.to_owned();
        Ok(Self { name, root })
    }

    fn copy(&self, from: &Path, to: &str, mode: u32) -> anyhow::Result<()> {
        let bytes = fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
        self.write(to, &bytes, mode)
    }

    fn write(&self, to: &str, bytes: impl AsRef<[u8]>, mode: u32) -> anyhow::Result<()> {
        let path = self.root.join(to);
        let above = Path::new(to).parent().context("a file is in a folder")?;
        for folder in above
            .ancestors()
            .filter(|folder| !self.root.join(folder).exists())
            .collect::<Vec<_>>()
            .iter()
            .rev()
        {
            self.folder(&folder.to_string_lossy(), 0o755)?;
        }
        fs::write(&path, bytes)?;
        Ok(fs::set_permissions(path, fs::Permissions::from_mode(mode))?)
    }

    fn folder(&self, folder: &str, mode: u32) -> anyhow::Result<()> {
        let path = self.root.join(folder);
        fs::create_dir_all(&path)?;
        Ok(fs::set_permissions(path, fs::Permissions::from_mode(mode))?)
    }

    /// A page, compressed, if troff has nothing to say about it.
    fn manual(&self, name: &str, page: &str) -> anyhow::Result<()> {
        let mut groff = Command::new("groff");
        let complaints = piped(
            groff
                .args(["-man", "-Tutf8", "-wall", "-z"])
                .stderr(Stdio::piped()),
            page,
        )?;
        ensure!(
            complaints.stderr.is_empty(),
            "{name}: {}",
            String::from_utf8_lossy(&complaints.stderr)
        );
        let section = name.rsplit('.').next().unwrap_or_default();
        let zipped = piped(Command::new("gzip").arg("-9n"), page)?.stdout;
        self.write(&format!("usr/share/man/man{section}/{name}.gz"), zipped, 0o644)
    }

    fn completions(&self, program: &Path) -> anyhow::Result<()> {
        let name = self.name;
        for (shell, to) in [
            ("bash", format!("usr/share/bash-completion/completions/{name}")),
            ("zsh", format!("usr/share/zsh/vendor-completions/_{name}")),
            ("fish", format!("usr/share/fish/vendor_completions.d/{name}.fish")),
        ] {
            self.write(&to, said(program, &["completions", shell])?, 0o644)?;
        }
        Ok(())
    }

    /// Documents and licences.
    fn documents(&self, what: &[&str]) -> anyhow::Result<()> {
        let folder = format!("usr/share/doc/{}", self.name);
        self.copy(
            &paths::workspace().join("dist/debian/copyright"),
            &format!("{folder}/copyright"),
            0o644,
        )?;
        for name in [what, &["LICENSE-MIT", "LICENSE-APACHE"]].concat() {
            let path = paths::workspace().join(name);
            if path.is_file() {
                self.copy(&path, &format!("{folder}/{name}"), 0o644)?;
                continue;
            }
            for entry in fs::read_dir(&path)? {
                let entry = entry?;
                let file = entry.file_name().to_string_lossy().into_owned();
                if Path::new(&file)
                    .extension()
                    .is_some_and(|extension| extension == "md")
                {
                    self.copy(&entry.path(), &format!("{folder}/{name}/{file}"), 0o644)?;
                }
            }
        }
        Ok(())
    }
}

/// What a program of ours prints.
fn said(program: &Path, arguments: &[&str]) -> anyhow::Result<String> {
    let text = sh::output(Command::new(program).args(arguments));
    text.with_context(|| format!("{} {} failed", program.display(), arguments.join(" ")))
}

/// Runs a filter.
fn piped(command: &mut Command, input: &str) -> anyhow::Result<std::process::Output> {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let mut stdin = child.stdin.take().context("standard input was piped")?;
    let input = input.to_owned();
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output()?;
    match writer.join() {
        Ok(written) => written?,
        Err(_) => bail!("the thread that writes has panicked"),
    }
    ensure!(output.status.success(), "{} failed", sh::shown(command));
    Ok(output)
}

#[cfg(test)]
mod tests {
    use super::{client_configuration, without_users};

    #[test]
    fn the_packaged_configuration_has_nobody_and_all_explanations() {
        let example = include_str!("../../../letmein-daemon/letmeind.toml");
        let packaged = without_users(example).unwrap();
        let settings = |text: &str| {
            text.lines()
                .filter(|line| !line.is_empty() && !line.starts_with('#'))
                .count()
        };
        assert!(settings(&packaged) > 5);
        assert!(!packaged.contains("\n[users") && packaged.contains("\n#[users.alice]"));
        assert_eq!(packaged.lines().count(), example.lines().count());
    }

    #[test]
    fn the_clients_page_has_the_options_of_a_server() {
        let section = client_configuration().unwrap();
        assert!(section.contains("| `key-file` |") && !section.contains("\n## "));
    }
}
