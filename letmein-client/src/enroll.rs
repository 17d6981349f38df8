//! `letmein enroll`: from a gate's enrolment line to a section of the configuration and a key file beside it.

use crate::{
    cli::{Cli, Enroll},
    config::{self, Config},
};
use anyhow::{Context as _, anyhow, bail};
use letmein_common::DEFAULT_CONTROL_PORT;
use letmein_enrolment::{
    file, key,
    line::{Enrolment, LONGEST},
    percent,
};
use std::{
    fs,
    io::{self, BufRead as _, IsTerminal as _, Read as _},
    path::Path,
};
use toml_edit::{DocumentMut, InlineTable, Item, Table, value};
use zeroize::Zeroizing;

/// Writes the section, and the key before it. Returns what to tell.
pub fn run(cli: &Cli, options: &Enroll) -> anyhow::Result<String> {
    let line = read(&options.line)?;
    let mut enrolment: Enrolment = line.trim().parse()?;
    if let Some(name) = &options.name {
        enrolment.name.clone_from(name);
        enrolment
            .to_line()
            .with_context(|| format!("{name:?} is no usable name"))?;
    }
    let path = config::own(cli.config.as_deref())?;
    let folder = path.parent().unwrap_or(Path::new(""));
    if !folder.as_os_str().is_empty() {
        file::make_folder(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    let _lock = file::lock(folder).with_context(|| format!("cannot lock {}", folder.display()))?;
    let mut document = open(&path)?;
    let old_key = insert(&mut document, &enrolment, options.replace, &path)?;
    let new_key = key_file(&enrolment.name, &enrolment.user.to_string());
    let text = Zeroizing::new(document.to_string());
    Config::parse(&text)
        .map_err(|(_, error)| anyhow!("nothing was changed, because this would be wrong then: {error}"))?;
    let key_path = folder.join(&new_key);
    let same = old_key.as_ref() == Some(&new_key);
    let write = if same { file::replace } else { file::write_new };
    write(&key_path, &key::line(&enrolment.key))
        .with_context(|| format!("cannot write {}", key_path.display()))?;
    file::replace(&path, &text)
        .inspect_err(|_| {
            if !same {
                let _gone = fs::remove_file(&key_path);
            }
        })
        .with_context(|| format!("cannot write {}", path.display()))?;
    if let Some(old) = old_key.filter(|_| !same) {
        let _gone = fs::remove_file(folder.join(old));
    }
    Ok(told(&enrolment, &path))
}

/// The line itself, or the first of standard input.
fn read(line: &str) -> anyhow::Result<Zeroizing<String>> {
    if line != "-" {
        return Ok(Zeroizing::new(line.to_owned()));
    }
    let mut text = Zeroizing::new(String::with_capacity(2 * LONGEST));
    let limit = u64::try_from(LONGEST).unwrap_or(u64::MAX);
    let stdin = io::stdin();
    if stdin.is_terminal() {
        eprintln!("Paste the line that begins with letmein:// here, and press Enter:");
    }
    let mut input = stdin.lock().take(limit + 16);
    while text.trim().is_empty() {
        let read = input.read_line(&mut text);
        if read.context("cannot read the line from standard input")? == 0 {
            bail!("there was no line on standard input");
        }
    }
    Ok(text)
}

/// What the file says so far, which has to be good.
fn open(path: &Path) -> anyhow::Result<DocumentMut> {
    if !path
        .try_exists()
        .with_context(|| format!("cannot look for {}", path.display()))?
    {
        return Ok(DocumentMut::new());
    }
    config::load(path)?;
    let text = Zeroizing::new(fs::read_to_string(path)?);
    text.parse()
        .map_err(|_repeats_the_text| anyhow!("{} is no TOML", path.display()))
}

/// Puts the section into the document. Returns the key file that we wrote for the section in its place.
fn insert(
    document: &mut DocumentMut,
    enrolment: &Enrolment,
    replace: bool,
    path: &Path,
) -> anyhow::Result<Option<String>> {
    let name = &enrolment.name;
    let servers = document.entry("servers").or_insert_with(|| {
        let mut servers = Table::new();
        servers.set_implicit(true);
        Item::Table(servers)
    });
    let servers = servers
        .as_table_mut()
        .context("servers is written in one line; write sections [servers.NAME]")?;
    let mut section = section(enrolment);
    let Some(old) = servers.get_mut(name) else {
        section.decor_mut().set_prefix("\n");
        servers.insert(name, Item::Table(section));
        return Ok(None);
    };
    if !replace {
        bail!(
            "{} has a section [servers.{name}] already; --replace puts this one in its place, --name gives it another name",
            path.display()
        );
    }
    let old_table = old.as_table();
    let key = old_table.and_then(|old| {
        let (user, key) = (old.get("user")?.as_str()?, old.get("key-file")?.as_str()?);
        (key == key_file(name, user)).then(|| key.to_owned())
    });
    if let Some(old) = old_table {
        *section.decor_mut() = old.decor().clone();
        section.set_position(old.position());
    }
    *old = Item::Table(section);
    Ok(key)
}

fn section(enrolment: &Enrolment) -> Table {
    let mut section = Table::new();
    section["host"] = value(&enrolment.host);
    if enrolment.port != DEFAULT_CONTROL_PORT {
        section["port"] = value(i64::from(enrolment.port));
    }
    if enrolment.silent {
        section["mode"] = value("silent");
    }
    if enrolment.gate_number != 0 {
        section["gate-number"] = value(i64::from(enrolment.gate_number));
    }
    if enrolment.tcp {
        section["transport"] = value("tcp");
    }
    section["user"] = value(enrolment.user.to_string());
    section["key-file"] = value(key_file(&enrolment.name, &enrolment.user.to_string()));
    let mut resources = Table::new();
    for resource in &enrolment.resources {
        let mut options = InlineTable::new();
        options.insert("id", resource.id.to_string().into());
        if let Some(port) = resource.port {
            options.insert("port", i64::from(port).into());
        }
        resources[&resource.name] = value(options);
    }
    section["resources"] = Item::Table(resources);
    section
}

/// Beside the configuration. With another id it is another file, so that the section that has been there is good until
/// the new one takes its place.
fn key_file(name: &str, user: &str) -> String {
    format!("{}-{user}.key", percent::encoded(name))
}

fn told(enrolment: &Enrolment, path: &Path) -> String {
    let (name, path) = (&enrolment.name, path.display());
    let commands = enrolment.resources.iter().map(|resource| {
        let quote = |word: &str| {
            if word
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
            {
                word.to_owned()
            } else {
                format!("'{}'", word.replace('\'', "'\\''"))
            }
        };
        format!("letmein knock {} {}\n", quote(name), quote(&resource.name))
    });
    format!(
        "[servers.{name}] is in {path} now. This opens what there is:\n{}",
        commands.collect::<String>()
    )
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;
    use clap::Parser as _;
    use std::{collections::BTreeSet, os::unix::fs::PermissionsExt as _, path::PathBuf};
    use tempfile::TempDir;

    const KEY: &str = "5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a";

    fn line(user: &str) -> String {
        format!(
            "letmein://gate.example.org/home?v=1&user={user}&key={KEY}&resource=ssh:00000001:22&resource=vpn:0000000B"
        )
    }

    /// Runs `letmein -c FOLDER/x/letmein.toml enroll …`.
    fn enroll(folder: &TempDir, words: &[&str]) -> anyhow::Result<String> {
        let path = path(folder);
        let before = ["letmein", "-c", path.to_str().unwrap(), "enroll"];
        let words = before.iter().chain(words);
        let cli = Cli::try_parse_from(words)?;
        match &cli.command {
            crate::cli::Command::Enroll(crate::lazy::Lazy(options)) => run(&cli, options),
            _ => bail!("another command"),
        }
    }

    fn path(folder: &TempDir) -> PathBuf {
        folder.path().join("x/letmein.toml")
    }

    fn files(folder: &TempDir) -> BTreeSet<String> {
        let files = fs::read_dir(folder.path().join("x")).unwrap();
        files
            .map(|file| file.unwrap().file_name().into_string().unwrap())
            .collect()
    }

    #[test]
    fn folder_file_and_key_are_made_and_closed_to_others() {
        let folder = TempDir::new().unwrap();
        let told = enroll(&folder, &[&line("0000001A")]).unwrap();
        assert!(
            told.contains("letmein knock home ssh\nletmein knock home vpn\n"),
            "{told}"
        );
        assert!(!told.contains("5a5a"), "{told}");
        for (name, mode) in [
            ("x", 0o700),
            ("x/letmein.toml", 0o600),
            ("x/home-0000001A.key", 0o600),
        ] {
            let found = fs::metadata(folder.path().join(name))
                .unwrap()
                .permissions()
                .mode()
                & 0o7777;
            assert_eq!(found, mode, "{name}");
        }
        let config = config::load(&path(&folder)).unwrap();
        let home = &config.servers["home"];
        assert_eq!(home.host.as_deref(), Some("gate.example.org"));
        assert_eq!(
            (
                home.user.0,
                home.resources["ssh"].port,
                home.resources["vpn"].id.0
            ),
            (0x1A, Some(22), 0xB)
        );
        home.key(&path(&folder)).unwrap();
        assert!(!fs::read_to_string(path(&folder)).unwrap().contains("5a5a"));
    }

    #[test]
    fn every_option_of_a_line_gets_into_the_section() {
        let folder = TempDir::new().unwrap();
        for (options, place) in [
            ("&mode=silent&gate-number=7", "[2001:db8::1]:5801"),
            ("&transport=tcp", "192.0.2.1:1"),
        ] {
            let line =
                format!("letmein://{place}/a%20b?v=1&user=00000001&key={KEY}{options}&resource=%22:00000001");
            enroll(&folder, &[&line, "--replace"]).unwrap();
            let config = config::load(&path(&folder)).unwrap();
            let section = &config.servers["a b"];
            assert_eq!(section.mode == config::Mode::Silent, options.contains("silent"));
            assert_eq!(
                section.transport == config::Transport::Tcp,
                options.contains("tcp")
            );
            assert_eq!(section.gate_number, if options.contains('7') { 7 } else { 0 });
            assert_eq!(section.port, if options.contains('7') { 5801 } else { 1 });
            assert!(section.resources.contains_key("\""));
        }
    }

    #[test]
    fn another_section_is_never_overwritten_unless_asked_for() {
        let folder = TempDir::new().unwrap();
        let text = "# Mine.\n[servers.home] # old\nuser = \"1\"\nkey-file = \"mine.key\"\n\n# Work.\n[servers.work]\nuser = \"2\"\n\
                    key-file = \"k\"\n";
        fs::create_dir(folder.path().join("x")).unwrap();
        fs::write(path(&folder), text).unwrap();
        fs::write(folder.path().join("x/mine.key"), KEY).unwrap();
        let error = enroll(&folder, &[&line("0000001A")]).unwrap_err().to_string();
        assert!(error.contains("--replace puts this one in its place"), "{error}");
        assert_eq!(fs::read_to_string(path(&folder)).unwrap(), text);
        assert_eq!(files(&folder).len(), 2, "no key is left over");

        enroll(&folder, &[&line("0000001A"), "--name", "mobile"]).unwrap();
        assert!(fs::read_to_string(path(&folder)).unwrap().starts_with(text));
        enroll(&folder, &[&line("0000001A"), "--replace"]).unwrap();
        let changed = fs::read_to_string(path(&folder)).unwrap();
        assert!(
            changed.starts_with("# Mine.\n[servers.home] # old\nhost = \"gate.example.org\"\n"),
            "{changed}"
        );
        assert!(
            changed.contains("\n# Work.\n[servers.work]\nuser = \"2\"\n"),
            "{changed}"
        );
        // A new id has a new file, and of the old ones only what was written here goes.
        enroll(&folder, &[&line("0000001B"), "--replace"]).unwrap();
        let expected = [
            "home-0000001B.key",
            "letmein.toml",
            "mine.key",
            "mobile-0000001A.key",
        ];
        assert_eq!(files(&folder), expected.map(ToOwned::to_owned).into());
        // The same again changes nothing.
        let before = fs::read_to_string(path(&folder)).unwrap();
        enroll(&folder, &[&line("0000001B"), "--replace"]).unwrap();
        assert_eq!(fs::read_to_string(path(&folder)).unwrap(), before);
        assert_eq!(files(&folder).len(), 4);
    }

    #[test]
    fn what_is_no_line_or_meets_a_wrong_file_changes_nothing() {
        let folder = TempDir::new().unwrap();
        for (words, expected) in [
            (vec!["https://example.org"], "this is no enrolment line"),
            (vec![&line("0000001A")[..100]], "from the key on"),
            (vec![&line("0000001A")[..], "--name", "\n"], "is no usable name"),
        ] {
            let error = format!("{:#}", enroll(&folder, &words).unwrap_err());
            assert!(error.contains(expected) && !error.contains("5a5a"), "{error}");
        }
        assert!(!folder.path().join("x").exists());
        fs::create_dir(folder.path().join("x")).unwrap();
        fs::write(path(&folder), "[servers.x]\n").unwrap();
        let error = enroll(&folder, &[&line("0000001A")]).unwrap_err().to_string();
        assert!(error.contains("letmein.toml:1:1: this server lacks"), "{error}");
        assert_eq!(files(&folder).len(), 1);
    }
}
