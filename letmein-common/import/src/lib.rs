//! Configurations of letmein 12 (`letmeind.conf`, `letmein.conf`) as configurations of this project, with a comment for
//! whatever has no counterpart here.
//!
//! What is wrong there is refused with its line, as letmein 12 refuses it; errors repeat no key.

mod client;
mod ini;
mod resource;
mod server;
mod value;
mod writer;

pub use client::client;
pub use server::server;

use thiserror::Error;

/// Why a configuration is not taken over.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("line {line}: {what}")]
pub struct ImportError {
    /// The line, counted from 1.
    pub line: usize,
    /// What is wrong there. Never contains a key.
    pub what: String,
}

impl ImportError {
    fn at(line: usize, what: impl Into<String>) -> Self {
        let what = what.into();
        Self { line, what }
    }
}
