//! Files: where they are looked for, and whose they may be.

use super::{KEY, PIECE_OF_KEY};
use crate::config::{Config, ConfigError};
use letmein_common::{UserId, hmac::KeyedStates};
use nix::{sys::stat::Mode, unistd::mkfifo};
use std::{
    fs::{self, Permissions},
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
};
use tempfile::TempDir;

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>, mode: u32) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        path
    }

    /// A configuration with one user, whose key is line 5.
    fn config(&self, key: &str, mode: u32) -> PathBuf {
        let text = format!("[gate]\nxdp = \"off\"\n[users.a]\nid = \"1\"\n{key}\nresources = [\"*\"]\n");
        self.write("f.toml", text, mode)
    }

    fn load_key_file(&self, file: &str) -> Result<Config, ConfigError> {
        Config::load(&self.config(&format!("key-file = \"{file}\""), 0o644))
    }
}

/// Asserts one problem in line 5 of `f.toml` with all these parts.
#[track_caller]
fn refused(loaded: Result<Config, ConfigError>, parts: &[&str]) {
    let error = loaded.unwrap_err();
    let shown = error.to_string();
    assert_eq!(error.problems().len(), 1, "{shown}");
    assert!(shown.contains("/f.toml:5:"), "{shown}");
    for part in parts {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    assert!(!format!("{shown}{error:?}").contains(PIECE_OF_KEY), "{shown}");
}

/// Asserts that the one user has [`KEY`].
#[track_caller]
fn has_key(config: &Config) {
    let bytes = std::array::from_fn(|i| u8::from_str_radix(&KEY[2 * i..2 * i + 2], 16).unwrap());
    assert_eq!(
        *config.user(UserId(1)).unwrap().key.lanes(),
        *KeyedStates::new(&bytes).lanes()
    );
}

#[test]
fn a_key_file_is_found_beside_the_configuration() {
    let folder = Folder::new();
    let key = folder.write("a.key", format!("{KEY}\n"), 0o600);
    has_key(&folder.load_key_file("a.key").unwrap());
    has_key(&folder.load_key_file(key.to_str().unwrap()).unwrap());
    symlink(&key, folder.path("link")).unwrap();
    has_key(&folder.load_key_file("link").unwrap());
    folder.write("a.key", KEY, 0o400);
    has_key(&folder.load_key_file("./a.key").unwrap());
}

#[test]
fn a_key_file_is_closed_to_others() {
    let folder = Folder::new();
    for mode in [0o640, 0o604, 0o644, 0o620, 0o660, 0o601] {
        let key = folder.write("a.key", KEY, mode);
        let remedy = format!("(mode {mode:04o}); run `chmod 600 {}`", key.display());
        refused(
            folder.load_key_file("a.key"),
            &["user \"a\"", "open to others", &remedy],
        );
    }
}

#[test]
fn a_key_file_is_a_file_with_a_key() {
    let folder = Folder::new();
    let named = |name: &str| folder.path(name).display().to_string();
    refused(
        folder.load_key_file("none"),
        &[
            &named("none"),
            "cannot be read: No such file",
            "is the path right?",
        ],
    );
    fs::create_dir(folder.path("folder")).unwrap();
    refused(
        folder.load_key_file("folder"),
        &[&named("folder"), "is not a regular file"],
    );
    mkfifo(&folder.path("fifo"), Mode::S_IRWXU).unwrap();
    refused(
        folder.load_key_file("fifo"),
        &[&named("fifo"), "is not a regular file"],
    );
    refused(
        folder.load_key_file("/dev/null"),
        &["/dev/null is not a regular file"],
    );
    folder.write("empty", "", 0o600);
    refused(
        folder.load_key_file("empty"),
        &[&named("empty"), "64 hexadecimal digits, not 0"],
    );
    folder.write("two", format!("{KEY}\n{KEY}\n"), 0o600);
    refused(
        folder.load_key_file("two"),
        &[&named("two"), "character 65 is none"],
    );
    folder.write("binary", [0xFF; 32], 0o600);
    refused(
        folder.load_key_file("binary"),
        &[&named("binary"), "save it as UTF-8 text"],
    );
}

#[test]
fn a_key_in_the_configuration_closes_the_configuration() {
    let folder = Folder::new();
    let key = format!("key = \"{KEY}\"");
    has_key(&Config::load(&folder.config(&key, 0o600)).unwrap());
    let path = folder.config(&key, 0o644);
    refused(
        Config::load(&path),
        &["holds a key", &format!("run `chmod 600 {}`", path.display())],
    );
}

#[test]
fn a_configuration_that_others_can_write_is_not_even_read() {
    let folder = Folder::new();
    for mode in [0o664, 0o646, 0o666] {
        let path = folder.write("f.toml", "no toml", mode);
        let error = Config::load(&path).unwrap_err();
        assert_eq!(error.problems().len(), 1);
        let expected = format!("run `chmod go-w {}`", path.display());
        assert!(error.to_string().contains(&expected), "{error}");
    }
}

#[test]
fn a_configuration_that_cannot_be_read() {
    let folder = Folder::new();
    let error = Config::load(&folder.path("none")).unwrap_err().to_string();
    assert!(error.contains("none cannot be read: No such file"), "{error}");
    let error = Config::load(folder.0.path()).unwrap_err().to_string();
    assert!(error.contains("is not a regular file"), "{error}");
    let error = Config::load(&folder.write("b", [0xFF, 0xFE], 0o600))
        .unwrap_err()
        .to_string();
    assert!(error.contains("save it as UTF-8 text"), "{error}");
    assert!(Config::load(Path::new("")).is_err());
}

#[test]
fn interfaces_of_the_command_line_replace_those_of_the_file() {
    let folder = Folder::new();
    let names = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    let without = folder.write("without", "[gate]\nport = 1\n", 0o600);
    assert!(Config::load_for(&without, &[]).is_err());
    assert_eq!(
        Config::load_for(&without, &names(&["eth1"]))
            .unwrap()
            .gate
            .interfaces,
        ["eth1"]
    );
    let with = folder.write("with", "[gate]\ninterfaces = [\"eth0\"]\n", 0o600);
    assert_eq!(Config::load_for(&with, &[]).unwrap().gate.interfaces, ["eth0"]);
    assert_eq!(
        Config::load_for(&with, &names(&["eth1", "lo"]))
            .unwrap()
            .gate
            .interfaces,
        ["eth1", "lo"]
    );
    let error = Config::load_for(&with, &names(&["a/b"])).unwrap_err().to_string();
    assert!(
        error.starts_with("--interface: \"a/b\" cannot be the name of an interface"),
        "{error}"
    );
}
