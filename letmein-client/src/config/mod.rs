//! The configuration file: the gates this user knows.

mod duration;
mod file;
mod key;
#[cfg(test)]
mod tests;
pub mod values;

use anyhow::{anyhow, bail};
use letmein_common::{DEFAULT_CONTROL_PORT, ResourceId, UserId, hmac::KeyedStates};
use serde::Deserialize;
use std::{
    collections::BTreeMap,
    env, fmt,
    net::IpAddr,
    path::{Path, PathBuf},
    time::Duration,
};
use toml::de::{DeTable, Deserializer};

/// How long to wait for a port to open, unless told otherwise.
pub const DEFAULT_WAIT: Duration = Duration::from_secs(10);

/// The whole file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    #[serde(default)]
    pub servers: BTreeMap<String, Server>,
}

/// One gate and one user of it.
#[derive(Deserialize)]
#[serde(try_from = "Section")]
pub struct Server {
    /// Its name or address; the section's name if there is none.
    pub host: Option<String>,
    pub port: u16,
    pub transport: Transport,
    pub mode: Mode,
    /// The gate's `number`, which tells it from others that hold the same key.
    pub gate_number: u32,
    /// Whose address a silent knock names.
    pub address: Address,
    /// How long finding the gate and the whole exchange may take.
    pub timeout: Duration,
    pub user: UserId,
    pub key: Key,
    pub resources: BTreeMap<String, Resource>,
}

/// Where a key is.
pub enum Key {
    Here(Box<KeyedStates>),
    /// As written; relative to the configuration's folder.
    File(PathBuf),
}

/// A `servers` section as written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Section {
    host: Option<String>,
    #[serde(default = "default_port", deserialize_with = "values::port")]
    port: u16,
    #[serde(default)]
    transport: Transport,
    #[serde(default)]
    mode: Mode,
    #[serde(default, deserialize_with = "values::gate_number")]
    gate_number: u32,
    #[serde(default, deserialize_with = "values::address")]
    address: Address,
    #[serde(default = "default_timeout", deserialize_with = "values::timeout")]
    timeout: Duration,
    #[serde(default, deserialize_with = "values::user")]
    user: Option<UserId>,
    #[serde(default, deserialize_with = "values::key")]
    key: Option<Box<KeyedStates>>,
    key_file: Option<PathBuf>,
    #[serde(default)]
    resources: BTreeMap<String, Resource>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resource {
    #[serde(deserialize_with = "values::resource")]
    pub id: ResourceId,
    /// The port it opens, for `letmein knock HOST PORT`.
    #[serde(default, deserialize_with = "values::some_port")]
    pub port: Option<u16>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    #[default]
    Udp,
    Tcp,
}

/// Which kind of knock.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    #[default]
    Challenge,
    Silent,
}

/// Whose address a silent knock names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Address {
    /// This machine's, if it is one that the whole internet knows; otherwise as [`Address::Source`].
    #[default]
    Auto,
    /// None: the gate takes the one that the packet comes from.
    Source,
    Ip(IpAddr),
}

impl fmt::Display for Transport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
        })
    }
}

const fn default_port() -> u16 {
    DEFAULT_CONTROL_PORT
}

const fn default_timeout() -> Duration {
    Duration::from_secs(5)
}

impl TryFrom<Section> for Server {
    type Error = &'static str;

    fn try_from(section: Section) -> Result<Self, Self::Error> {
        let user = section.user.ok_or(
            "this server lacks the id that the gate knows you by; add user = \"00000001\" with yours",
        )?;
        let key = match (section.key, section.key_file) {
            (Some(key), None) => Key::Here(key),
            (None, Some(file)) if file.to_str().is_some_and(|name| key::parse(name).is_ok()) => {
                return Err(
                    "key-file is the name of a file; a key itself is written as key = \"64 hexadecimal digits\"",
                );
            }
            (None, Some(file)) => Key::File(file),
            (None, None) => {
                return Err(
                    "this server lacks a key; add key-file = \"FILE\" or key = \"64 hexadecimal digits\"",
                );
            }
            (Some(_), Some(_)) => {
                return Err("this server has two keys; remove either key or key-file");
            }
        };
        Ok(Self {
            host: section.host,
            port: section.port,
            transport: section.transport,
            mode: section.mode,
            gate_number: section.gate_number,
            address: section.address,
            timeout: section.timeout,
            user,
            key,
            resources: section.resources,
        })
    }
}

impl Server {
    /// The key itself, from the section or from the file beside `config`.
    pub fn key(&self, config: &Path) -> anyhow::Result<Box<KeyedStates>> {
        match &self.key {
            Key::Here(key) => Ok(key.clone()),
            Key::File(file) => key::read(&config.parent().unwrap_or(Path::new("")).join(file)),
        }
    }
}

/// Where the file is looked for without `--config`, best first.
fn default_paths() -> Vec<PathBuf> {
    let folder = |variable, below: &str| {
        // A relative path would depend on where the user happens to be.
        let folder = env::var_os(variable).map(PathBuf::from);
        folder
            .filter(|folder| folder.is_absolute())
            .map(|folder| folder.join(below))
    };
    let (own, system) = if cfg!(windows) {
        (folder("APPDATA", ""), folder("ProgramData", ""))
    } else {
        let own = folder("XDG_CONFIG_HOME", "").or_else(|| folder("HOME", ".config"));
        (own, Some(PathBuf::from("/etc")))
    };
    let folders = own.into_iter().chain(system);
    folders
        .map(|folder| folder.join("letmein").join("letmein.toml"))
        .collect()
}

/// The file to read: the one that was named, or the first of the usual ones that exists.
pub fn find(named: Option<&Path>) -> anyhow::Result<PathBuf> {
    if let Some(path) = named {
        return Ok(path.to_owned());
    }
    let usual = default_paths();
    let Some(path) = usual.iter().find(|path| path.exists()) else {
        let usual: Vec<_> = usual.iter().map(|path| path.display().to_string()).collect();
        bail!(
            "there is no configuration; write {}, or name another file with --config",
            usual.join(" or ")
        );
    };
    Ok(path.clone())
}

/// Reads the file at `path`.
pub fn load(path: &Path) -> anyhow::Result<Config> {
    let file = file::read(path)?;
    // Not `toml::from_str`, whose errors have a copy of the text, keys included, which nobody wipes.
    let parsed = DeTable::parse(&file.text).map(Deserializer::from);
    let config = parsed.and_then(Config::deserialize).map_err(|error| {
        let start = error.span().map_or(0, |span| span.start);
        let (line, column) = position(&file.text, start);
        // Some of TOML's own messages have several lines.
        let message = error.message().replace('\n', ", ");
        anyhow!("{}:{line}:{column}: {message}", path.display())
    })?;
    if config
        .servers
        .values()
        .any(|server| matches!(server.key, Key::Here(_)))
    {
        file.check_private(path)?;
    }
    Ok(config)
}

/// Line and column of the byte `at`, both counted from 1.
fn position(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let line = 1 + before.bytes().filter(|byte| *byte == b'\n').count();
    (line, 1 + before[line_start..].chars().count())
}
