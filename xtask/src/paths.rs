//! Where things are.

use std::path::{Path, PathBuf};

/// The top of the repository.
pub fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .map_or_else(|| PathBuf::from("."), Path::to_path_buf)
}

/// Cargo's target directory.
pub fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace().join("target"), PathBuf::from)
}

/// A program of ours, as `cargo build` makes it: for tests and the demonstration.
pub fn debug(program: &str) -> PathBuf {
    target().join("debug").join(program)
}
