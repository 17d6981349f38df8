//! The users' sections of the configuration, changed where they stand: everything else of the file stays as it is,
//! comments and order included.

use super::{keep, key_file};
use crate::config::{Config, key};
use anyhow::{Context as _, anyhow, bail};
use letmein_common::{UserId, hmac::KEY_LEN};
use letmein_enrolment::file;
use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};
use toml_edit::{Array, DocumentMut, Item, Table, value};
use zeroize::Zeroizing;

/// The longest name of a user that is added here: it goes into the name of a file.
const LONGEST_NAME: usize = 32;

/// The configuration, while nobody else changes it.
pub struct Book {
    path: PathBuf,
    folder: PathBuf,
    document: DocumentMut,
    /// What it means.
    pub config: Config,
    _lock: File,
}

impl Book {
    /// Reads the configuration, which has to be a good one.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        let folder = path.parent().unwrap_or(Path::new("")).to_owned();
        let lock = file::lock(&folder).with_context(|| format!("cannot lock {}", folder.display()))?;
        let config = Config::load(path)?;
        let text = Zeroizing::new(fs::read_to_string(path)?);
        let document = text
            .parse()
            .map_err(|_repeats_the_text| anyhow!("{} is no TOML", path.display()))?;
        Ok(Self {
            path: path.to_owned(),
            folder,
            document,
            config,
            _lock: lock,
        })
    }

    /// A new user with a fresh key, in a file of its own.
    pub fn add(&mut self, name: &str, resources: &[String], until: Option<SystemTime>) -> anyhow::Result<()> {
        check_name(name)?;
        if self.users()?.contains_key(name) {
            bail!("there is a user {name:?} already; `letmeind user rotate {name}` gives a new key");
        }
        let id = self.fresh_id()?;
        let key = key_file::make(&self.folder, &format!("{name}-{id}"))?;
        let mut section = Table::new();
        section.decor_mut().set_prefix("\n");
        set_identity(&mut section, id, &key);
        section["resources"] = value(resources.iter().collect::<Array>());
        if let Some(until) = until {
            section["until"] = value(keep::moment(until));
        }
        self.users()?.insert(name, Item::Table(section));
        self.save_with(&key)
    }

    /// A new id and a new key for a user. The old ones stay good for a while, under another name, or not at all.
    pub fn rotate(&mut self, name: &str, keep: Duration, now: SystemTime) -> anyhow::Result<()> {
        check_name(name)?;
        let old_id = self.id(name)?;
        self.section(name)?;
        let id = self.fresh_id()?;
        let file_name = format!("{name}-{id}");
        let key = key_file::make(&self.folder, &file_name)?;
        let section = self.section(name)?;
        let mut old = section.clone();
        set_identity(section, id, &key);
        section.remove("key");
        let old_key = old.get("key-file").and_then(Item::as_str).map(PathBuf::from);
        if !keep.is_zero() {
            let before = self.config.user(old_id).and_then(|user| user.until);
            let until = before.map_or(now + keep, |before| before.min(now + keep));
            old["until"] = value(keep::moment(until));
            old.decor_mut().set_prefix("\n");
            old.set_position(None);
            self.users()?.insert(&old_name(name, old_id), Item::Table(old));
        }
        self.save_with(&key)?;
        if let Some(old_key) = old_key.filter(|_| keep.is_zero()) {
            self.discard(&old_key);
        }
        Ok(())
    }

    /// Removes a user, and what rotations have kept of earlier ids. Returns the names of the sections.
    pub fn remove(&mut self, name: &str) -> anyhow::Result<Vec<String>> {
        self.id(name)?;
        let found = self.config.users().filter(|(id, user)| {
            user.name == name || user.until.is_some() && user.name == old_name(name, *id)
        });
        let mut names: Vec<_> = found.map(|(_, user)| user.name.clone()).collect();
        names.sort_unstable();
        let mut keys = Vec::new();
        for name in &names {
            keys.extend(
                self.section(name)?
                    .get("key-file")
                    .and_then(Item::as_str)
                    .map(PathBuf::from),
            );
            self.users()?.remove(name);
        }
        self.save()?;
        for key in keys {
            self.discard(&key);
        }
        Ok(names)
    }

    /// The user's key.
    pub fn key(&self, name: &str) -> anyhow::Result<Zeroizing<[u8; KEY_LEN]>> {
        let option = |option| self.document.get("users")?.get(name)?.get(option)?.as_str();
        let key = match (option("key"), option("key-file")) {
            (Some(key), _) => key::bytes(key),
            (None, Some(file)) => key::read_bytes(&self.folder.join(file)),
            (None, None) => Err("there is no key".to_owned()),
        };
        key.map_err(|error| anyhow!("user {name:?}: {error}"))
    }

    fn id(&self, name: &str) -> anyhow::Result<UserId> {
        let found = self.config.users().find(|(_, user)| user.name == name);
        found
            .map(|(id, _)| id)
            .with_context(|| format!("there is no user {name:?}; `letmeind user list` lists them"))
    }

    fn users(&mut self) -> anyhow::Result<&mut Table> {
        let users = self.document.entry("users").or_insert_with(|| {
            let mut users = Table::new();
            users.set_implicit(true);
            Item::Table(users)
        });
        users
            .as_table_mut()
            .context("users is written in one line; write sections [users.NAME], so that they can be changed one by one")
    }

    fn section(&mut self, name: &str) -> anyhow::Result<&mut Table> {
        let section = self.users()?.get_mut(name).and_then(Item::as_table_mut);
        section.with_context(|| {
            format!("user {name:?} is written in one line; write it as a section [users.{name}]")
        })
    }

    /// An id that nobody has. It says nothing of how many users there are, and is none that is guessed first.
    fn fresh_id(&self) -> anyhow::Result<UserId> {
        loop {
            let mut bytes = [0; 4];
            getrandom::fill(&mut bytes)
                .map_err(|error| anyhow!("the system gives no random numbers: {error}"))?;
            let id = UserId(u32::from_le_bytes(bytes));
            if id.0 != 0 && self.config.user(id).is_none() {
                return Ok(id);
            }
        }
    }

    /// Saves a change that needs this key file, which otherwise goes again.
    fn save_with(&mut self, key: &Path) -> anyhow::Result<()> {
        self.save().inspect_err(|_| key_file::remove(&self.folder, key))
    }

    /// Puts the changed text in the place of the file, if it is a good configuration.
    fn save(&mut self) -> anyhow::Result<()> {
        let text = Zeroizing::new(self.document.to_string());
        self.config = Config::parse(&text, &self.path, &self.folder)
            .context("nothing was changed, because this would be wrong then")?;
        file::replace(&self.path, &text).with_context(|| format!("cannot write {}", self.path.display()))
    }

    /// Removes a key file that nobody uses any more.
    fn discard(&self, key: &Path) {
        let users = self.document.get("users").and_then(Item::as_table);
        let mut used = users.into_iter().flat_map(Table::iter);
        if !used.any(|(_, user)| user.get("key-file").and_then(Item::as_str).map(Path::new) == Some(key)) {
            key_file::remove(&self.folder, key);
        }
    }
}

fn set_identity(section: &mut Table, id: UserId, key: &Path) {
    section["id"] = value(id.to_string());
    section["key-file"] = value(key.to_string_lossy().as_ref());
}

/// What the section of an earlier id is called.
fn old_name(name: &str, id: UserId) -> String {
    format!("{name}-{id}")
}

/// The name is part of a file's name as well.
fn check_name(name: &str) -> anyhow::Result<()> {
    let good = matches!(name.len(), 1..=LONGEST_NAME)
        && !name.starts_with(['.', '_', '-'])
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    if !good {
        bail!(
            "{name:?} is no usable name; choose one of 1 to {LONGEST_NAME} letters, digits and . _ - that begins with a \
             letter or digit"
        );
    }
    Ok(())
}
