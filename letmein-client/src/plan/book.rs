//! The configuration, asked by what the command line names.

use super::choose;
use crate::config::{self, Config, Server};
use anyhow::Context as _;
use letmein_common::{UserId, hmac::KeyedStates};
use std::path::{Path, PathBuf};

/// The configuration, and where it was found.
pub struct Book {
    pub(super) path: PathBuf,
    pub(super) config: Config,
}

impl Book {
    /// Reads the file that was named, or the usual one.
    pub fn read(named: Option<&Path>) -> anyhow::Result<Self> {
        let path = config::find(named)?;
        let config = config::load(&path)?;
        Ok(Self { path, config })
    }

    /// Whether a section has this name or host.
    pub fn has(&self, host: &str) -> bool {
        choose::with_host(&self.config, host).next().is_some()
    }

    /// The section for this host and user, and its name.
    pub fn server(&self, host: &str, user: Option<UserId>) -> anyhow::Result<(&str, &Server)> {
        choose::server(&self.config, host, user).with_context(|| self.path.display().to_string())
    }

    /// The key of this section.
    pub fn key(&self, name: &str, server: &Server) -> anyhow::Result<Box<KeyedStates>> {
        server
            .key(&self.path)
            .with_context(|| format!("the key of [servers.{name}]"))
    }
}
