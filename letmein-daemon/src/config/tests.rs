//! The configuration as a whole. What one value may be is tested beside the code that reads it.

mod bad;
mod conflicts;
mod documents;
mod filesystem;
mod good;
mod secrets;

use super::{Config, ConfigError};
use std::path::Path;

/// A configuration that needs no interface and no file, to put other sections behind. Two lines.
const GATE: &str = "[gate]\nxdp = \"off\"\n";
/// A key, and a piece of it to look for where it must not be.
const KEY: &str = "c0ffee1122334455667788990011223344556677889900112233445566778899";
const PIECE_OF_KEY: &str = "c0ffee11";

/// Reads a text as the file `f.toml`, with key files beside `/nonexistent`.
fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(text, Path::new("f.toml"), Path::new("/nonexistent"))
}
