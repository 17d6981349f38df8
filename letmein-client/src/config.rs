//! The configuration file: the gates this user knows.

use anyhow::{Context as _, bail};
use letmein_common::{
    DEFAULT_CONTROL_PORT,
    hmac::{KEY_LEN, KeyedStates},
};
use serde::Deserialize;
use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
};
use toml::Spanned;
use zeroize::Zeroizing;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    #[serde(default)]
    pub servers: BTreeMap<String, Server>,
}

/// One gate and one user of it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Server {
    /// Its name or address; the section's name if there is none.
    pub host: Option<String>,
    #[serde(default = "default_port")]
    pub port: u16,
    #[serde(default)]
    pub transport: Transport,
    /// How long the whole exchange may take, in seconds.
    #[serde(default = "default_timeout")]
    pub timeout: u32,
    /// Hexadecimal.
    pub user: String,
    pub key: Option<Spanned<Zeroizing<String>>>,
    pub key_file: Option<PathBuf>,
    #[serde(default)]
    pub resources: BTreeMap<String, Resource>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resource {
    /// Hexadecimal.
    pub id: String,
    /// The port it opens, for `letmein knock HOST PORT`.
    pub port: Option<u16>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    #[default]
    Udp,
    Tcp,
}

const fn default_port() -> u16 {
    DEFAULT_CONTROL_PORT
}

const fn default_timeout() -> u32 {
    5
}

/// The file that is read without `--config`.
pub fn default_path() -> PathBuf {
    let home = |variable, folder: &str| env::var_os(variable).map(|home| PathBuf::from(home).join(folder));
    let folder = home("XDG_CONFIG_HOME", "")
        .or_else(|| home("HOME", ".config"))
        .or_else(|| home("APPDATA", ""));
    folder
        .map(|folder| folder.join("letmein/letmein.toml"))
        .filter(|path| path.exists())
        .unwrap_or_else(|| PathBuf::from("/etc/letmein/letmein.toml"))
}

/// Reads the file at `path`.
pub fn load(path: &Path) -> anyhow::Result<Config> {
    let text = fs::read_to_string(path)
        .map(Zeroizing::new)
        .with_context(|| format!("cannot read {}; --config names another file", path.display()))?;
    let config: Config = toml::from_str(&text).map_err(|error| {
        let line = 1 + text[..error.span().map_or(0, |span| span.start)]
            .matches('\n')
            .count();
        anyhow::anyhow!("{}:{line}: {}", path.display(), error.message())
    })?;
    if config.servers.values().any(|server| server.key.is_some()) {
        check_private(path)?;
    }
    Ok(config)
}

impl Server {
    /// The key, from the file beside `config` or from the section itself.
    pub fn key(&self, config: &Path) -> anyhow::Result<KeyedStates> {
        match (&self.key, &self.key_file) {
            (Some(key), None) => parse_key(key.get_ref().trim()).context("the key in the configuration"),
            (None, Some(file)) => {
                let file = config
                    .parent()
                    .map_or_else(|| file.clone(), |folder| folder.join(file));
                check_private(&file)?;
                let text = fs::read_to_string(&file)
                    .map(Zeroizing::new)
                    .with_context(|| format!("cannot read {}", file.display()))?;
                parse_key(text.trim()).with_context(|| file.display().to_string())
            }
            _ => bail!("a server needs either key-file = \"FILE\" or key = \"64 digits\""),
        }
    }
}

fn parse_key(text: &str) -> anyhow::Result<KeyedStates> {
    let mut key = Zeroizing::new([0_u8; KEY_LEN]);
    if text.len() != 2 * KEY_LEN || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        bail!("a key is 64 hexadecimal digits; `letmein gen-key` makes one");
    }
    for (i, byte) in key.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * i..2 * i + 2], 16)?;
    }
    Ok(KeyedStates::new(&key))
}

/// Refuses a file with a key that others can read.
#[cfg(unix)]
fn check_private(path: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let metadata = fs::metadata(path).with_context(|| format!("cannot read {}", path.display()))?;
    if metadata.permissions().mode() & 0o077 != 0 {
        bail!(
            "others can read the key in {}: `chmod 600 {}`",
            path.display(),
            path.display()
        );
    }
    Ok(())
}

#[cfg(not(unix))]
fn check_private(_: &Path) -> anyhow::Result<()> {
    Ok(())
}
