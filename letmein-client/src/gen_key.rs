//! `letmein gen-key`: a fresh key, printed or written to a file of its own.

use crate::cli::GenKey;
use anyhow::anyhow;
use letmein_common::UserId;
use letmein_enrolment::{file, key};
use std::{
    io,
    path::{self, Path, PathBuf},
};
use zeroize::Zeroizing;

/// Makes a key. What to print: the key, or what the configurations need for it.
pub fn run(options: &GenKey) -> anyhow::Result<Zeroizing<String>> {
    let line = key::line(&*key::fresh()?);
    let file = options.output.as_deref();
    if let Some(file) = file {
        write_new(file, &line)?;
    }
    Ok(match (options.user, file) {
        (Some(user), file) => for_user(user, line.trim_end(), file),
        (None, None) => line,
        (None, Some(_)) => Zeroizing::default(),
    })
}

/// Writes a file that did not exist before: an old key that is overwritten would lock somebody out.
fn write_new(path: &Path, line: &str) -> anyhow::Result<()> {
    file::write_new(path, line).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => anyhow!(
            "{} exists already and is left as it is: name another file",
            path.display()
        ),
        _ => anyhow!("cannot write {}: {error}", path.display()),
    })
}

/// The sections for a new user, to be pasted into the configurations of gate and client.
fn for_user(user: UserId, key: &str, file: Option<&Path>) -> Zeroizing<String> {
    let (there, here) = if let Some(file) = file {
        // The client may use the file where it is, the gate gets a copy.
        let here = path::absolute(file).unwrap_or_else(|_| PathBuf::from(file));
        let here = toml::Value::from(here.to_string_lossy().as_ref());
        let copy = format!("# Copy {} there, closed to others (chmod 600).", file.display());
        (
            Zeroizing::new(format!("{copy}\nkey-file = \"keys/{user}.key\"\n")),
            Zeroizing::new(format!("key-file = {here}\n")),
        )
    } else {
        let closed = "# With a key in it, the file must be closed to others (chmod 600).";
        let line = wiped(&[closed, "\nkey = \"", key, "\"\n"]);
        (line.clone(), line)
    };
    let gate = format!(
        "# The gate's letmeind.toml; give the user a name, and the names of the resources it may open:\n\
         [users.NAME]\n\
         id = \"{user}\"\n"
    );
    let client = format!(
        "resources = [\"RESOURCE\"]\n\
         \n\
         # The client's letmein.toml; give the gate a name, and list what you open with its id there:\n\
         [servers.NAME]\n\
         host = \"HOST\"\n\
         user = \"{user}\"\n"
    );
    let resource = "\n[servers.NAME.resources]\nRESOURCE = { id = \"00000001\", port = 22 }\n";
    wiped(&[&gate, &there, &client, &here, resource])
}

/// These texts, one after the other, in a string that never grows: growing would leave a piece of a key behind.
fn wiped(texts: &[&str]) -> Zeroizing<String> {
    let mut whole = Zeroizing::new(String::with_capacity(texts.iter().map(|text| text.len()).sum()));
    for text in texts {
        whole.push_str(text);
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Key};
    use std::fs;
    use tempfile::TempDir;

    fn keygen(user: Option<u32>, output: Option<PathBuf>) -> anyhow::Result<String> {
        let user = user.map(UserId);
        run(&GenKey { output, user }).map(|text| text.to_string())
    }

    #[test]
    fn a_key_is_64_digits_and_another_each_time() {
        let (one, two) = (keygen(None, None).unwrap(), keygen(None, None).unwrap());
        assert_eq!(one.len(), 65);
        assert!(one.trim_end().bytes().all(|byte| byte.is_ascii_hexdigit()));
        assert_ne!(one, two);
    }

    #[test]
    fn a_file_is_never_overwritten() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("k");
        assert_eq!(keygen(None, Some(path.clone())).unwrap(), "");
        let first = fs::read_to_string(&path).unwrap();
        assert_eq!(first.len(), 65);
        let error = keygen(Some(1), Some(path.clone())).unwrap_err().to_string();
        assert!(error.contains("exists already and is left as it is"), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), first);
        let nowhere = keygen(None, Some(folder.path().join("no/k"))).unwrap_err();
        assert!(nowhere.to_string().contains("cannot write"), "{nowhere}");
    }

    /// The text of the second section, which is the client's.
    fn client(text: &str) -> Config {
        toml::from_str(&text[text.find("# The client's").unwrap()..]).unwrap()
    }

    #[test]
    fn what_is_printed_for_a_user_can_be_pasted() {
        let text = keygen(Some(0x1A), None).unwrap();
        let whole: toml::Table = text.parse().unwrap();
        let gate = &whole["users"]["NAME"];
        let server = &whole["servers"]["NAME"];
        assert_eq!(gate["id"].as_str(), Some("0000001A"));
        assert_eq!(gate["key"], server["key"]);
        assert_eq!(client(&text).servers["NAME"].user, UserId(0x1A));

        let folder = TempDir::new().unwrap();
        let path = folder.path().join("a \"key\"");
        let text = keygen(Some(1), Some(path.clone())).unwrap();
        let secret = fs::read_to_string(&path).unwrap();
        assert!(
            !text.contains(secret.trim()),
            "a key that is in a file is not printed"
        );
        assert!(matches!(&client(&text).servers["NAME"].key, Key::File(file) if *file == path));
    }
}
