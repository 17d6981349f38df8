//! The example and `docs/configuration.md` say what the code does: the same options, choices and defaults.

use super::KEY;
use crate::config::{
    Config,
    raw::{
        self, Closed, ErrorPolicy, FirewallMode, JumpHook, LogFormat, Seccomp, Shield, Transport, XdpMode,
    },
};
use serde::{Deserialize, de::DeserializeOwned};
use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::Path,
};
use tempfile::TempDir;

const EXAMPLE: &str = include_str!("../../../letmeind.toml");
const DOCS: &str = include_str!("../../../../docs/configuration.md");

/// Options that are commented out and have no default: what is shown is an example.
const SHOWN_BY_EXAMPLE: [&str; 8] = [
    "key",
    "jump-input",
    "jump-forward",
    "jump-output",
    "until",
    "group",
    "metrics",
    "metrics-group",
];

/// One option as a document shows it.
#[derive(Debug)]
struct Shown {
    section: String,
    name: String,
    /// As TOML; in the example only of options that are commented out.
    default: String,
    about: String,
}

/// What serde says it expected instead of something that cannot be right.
fn expected<T: DeserializeOwned>(nonsense: &str) -> Vec<String> {
    let error = toml::from_str::<T>(nonsense).err().unwrap();
    let (_, expected) = error.message().split_once("expected ").unwrap();
    expected
        .split('`')
        .skip(1)
        .step_by(2)
        .map(ToOwned::to_owned)
        .collect()
}

/// Section and name of every option there is, in the code's order.
fn options() -> Vec<(String, String)> {
    let nonsense = "no-such-option = 0";
    let sections = [
        ("daemon", expected::<raw::Daemon>(nonsense)),
        ("gate", expected::<raw::Gate>(nonsense)),
        ("firewall", expected::<raw::Firewall>(nonsense)),
        ("operator", expected::<raw::Operator>(nonsense)),
        ("resources", expected::<raw::Resource>(nonsense)),
        ("users", expected::<raw::User>(nonsense)),
    ];
    // A section that is missing above would be missing from the comparison.
    let names: Vec<_> = sections
        .iter()
        .map(|(section, _)| (*section).to_owned())
        .collect();
    assert_eq!(expected::<raw::File>(nonsense), names);
    let pairs = |(section, names): (&str, Vec<String>)| {
        names
            .into_iter()
            .map(|name| (section.to_owned(), name))
            .collect::<Vec<_>>()
    };
    sections.into_iter().flat_map(pairs).collect()
}

/// Section, name and choices of every option that takes one of some words.
fn choices() -> Vec<(&'static str, &'static str, Vec<String>)> {
    #[derive(Deserialize)]
    struct Of<T> {
        #[expect(dead_code, reason = "never gets a value")]
        choice: T,
    }
    fn words<T: DeserializeOwned>() -> Vec<String> {
        expected::<Of<T>>("choice = \"no-such-word\"")
    }
    vec![
        ("daemon", "seccomp", words::<Seccomp>()),
        ("daemon", "log-format", words::<LogFormat>()),
        ("gate", "transports", words::<Transport>()),
        ("gate", "xdp", words::<XdpMode>()),
        ("gate", "error-policy", words::<ErrorPolicy>()),
        ("firewall", "mode", words::<FirewallMode>()),
        ("firewall", "closed", words::<Closed>()),
        ("resources", "jump-for-all", words::<JumpHook>()),
        ("firewall", "shield", words::<Shield>()),
        ("resources", "shield", words::<Shield>()),
    ]
}

/// The rows of the tables in the docs.
fn documented() -> Vec<Shown> {
    let mut section = String::new();
    let mut rows = Vec::new();
    for line in DOCS.lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            section = heading
                .trim_matches(['`', '[', ']'])
                .trim_end_matches(".NAME")
                .to_owned();
        } else if let Some(row) = line.strip_prefix("| `") {
            let (name, rest) = row.split_once('`').unwrap();
            let cells: Vec<_> = rest.split(" | ").collect();
            assert_eq!(cells.len(), 4, "{line}");
            rows.push(Shown {
                section: section.clone(),
                name: name.to_owned(),
                default: cells[2].trim_matches('`').to_owned(),
                about: cells[1].to_owned(),
            });
        }
    }
    rows
}

/// A line of the example that sets an option, perhaps commented out as `#name = value`.
fn setting(line: &str) -> Option<(&str, &str)> {
    let (name, value) = line.strip_prefix('#').unwrap_or(line).split_once(" = ")?;
    let is_name = name
        .bytes()
        .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    is_name.then_some((name, value))
}

/// The options of the example, set or commented out.
fn exemplified() -> Vec<Shown> {
    let mut section = String::new();
    let mut shown = Vec::new();
    let mut prose = String::new();
    for line in EXAMPLE.lines() {
        if let Some(header) = line.strip_prefix('[') {
            section = header.trim_end_matches(']').split('.').next().unwrap().to_owned();
        } else if let Some((name, value)) = setting(line) {
            let default = if line.starts_with('#') {
                value.to_owned()
            } else {
                String::new()
            };
            shown.push(Shown {
                section: section.clone(),
                name: name.to_owned(),
                default,
                about: format!("{prose}{line}"),
            });
        } else if line.is_empty() {
            prose.clear();
        } else {
            prose.push_str(line);
        }
    }
    shown
}

fn names(shown: &[Shown]) -> Vec<(String, String)> {
    let mut names: Vec<_> = shown
        .iter()
        .map(|option| (option.section.clone(), option.name.clone()))
        .collect();
    names.sort();
    names
}

/// Loads a text as a file with alice's key beside it.
fn load(text: &str) -> Config {
    let folder = TempDir::new().unwrap();
    let write = |path: &Path, text: &str, mode| {
        fs::write(path, text).unwrap();
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    };
    let path = folder.path().join("letmeind.toml");
    write(&path, text, 0o644);
    fs::create_dir(folder.path().join("keys")).unwrap();
    write(&folder.path().join("keys/alice.key"), KEY, 0o600);
    Config::load(&path).unwrap()
}

#[test]
fn the_example_loads_as_it_stands() {
    let config = load(EXAMPLE);
    assert_eq!(config.warnings(), Vec::<String>::new());
    let (_, alice) = config.users().next().unwrap();
    let (id, ssh) = config.resources().next().unwrap();
    assert_eq!(
        (alice.name.as_str(), ssh.name.as_str(), ssh.port_list().as_str()),
        ("alice", "ssh", "tcp/22")
    );
    assert!(alice.permits(id));
}

#[test]
fn docs_and_example_name_every_option_and_no_other() {
    let mut options = options();
    assert!(
        options.contains(&("gate".to_owned(), "error-policy".to_owned())),
        "{options:?}"
    );
    options.sort();
    assert_eq!(names(&documented()), options);
    assert_eq!(names(&exemplified()), options);
}

#[test]
fn docs_and_example_name_every_choice() {
    for (section, name, words) in choices() {
        assert!(words.len() > 1, "{name}: {words:?}");
        for shown in [documented(), exemplified()] {
            let option = shown
                .iter()
                .find(|option| option.section == section && option.name == name)
                .unwrap();
            for word in &words {
                assert!(
                    option.about.contains(&format!("\"{word}\"")),
                    "{word}: {option:?}"
                );
            }
        }
    }
    // Nor do the docs offer a word that there is not.
    for option in documented() {
        let offered: Vec<_> = option
            .about
            .split("`\"")
            .skip(1)
            .filter_map(|rest| rest.split('"').next())
            .collect();
        if !offered.is_empty() {
            let words = choices()
                .into_iter()
                .find(|(_, name, _)| *name == option.name)
                .unwrap()
                .2;
            assert!(
                offered.iter().all(|word| words.iter().any(|known| known == word)),
                "{option:?}"
            );
        }
    }
}

#[test]
fn the_defaults_of_the_example_are_the_defaults() {
    let guard_only = ["mode", "closed", "inside-interfaces"];
    let chain_only = ["table", "chain", "forward-chain", "output-chain"];
    let uncommented = |skip: &[&str]| {
        let line = |line: &str| match setting(line) {
            Some((name, _)) if !SHOWN_BY_EXAMPLE.contains(&name) && !skip.contains(&name) => {
                line.strip_prefix('#').unwrap_or(line).to_owned() + "\n"
            }
            _ => line.to_owned() + "\n",
        };
        EXAMPLE.lines().map(line).collect::<String>()
    };
    // Each is loaded from a folder of its own.
    let bare = |text: &str| {
        let config = load(text);
        format!("{config:#?}").replace(config.folders[0].to_str().unwrap(), "FOLDER")
    };
    assert_ne!(uncommented(&chain_only), EXAMPLE);
    assert_eq!(bare(&uncommented(&chain_only)), bare(EXAMPLE));
    let chain_mode = |text: &str| text.replace("[firewall]\n", "[firewall]\nmode = \"chain\"\n");
    assert_eq!(
        bare(&chain_mode(&uncommented(&guard_only))),
        bare(&chain_mode(EXAMPLE))
    );
    // A resource without a lease shows firewall.default-lease.
    let without_lease = |text: &str| text.replace("lease = \"1h\"\n", "");
    assert_ne!(without_lease(EXAMPLE), EXAMPLE);
    assert_eq!(
        bare(&without_lease(&uncommented(&chain_only))),
        bare(&without_lease(EXAMPLE))
    );
}

#[test]
fn the_defaults_of_the_docs_are_those_of_the_example() {
    let documented = documented();
    // Where the docs name another option, its default is meant.
    let default_of = |section: &str, name: &str| {
        let same = |row: &&Shown| row.section == section && row.name == name;
        let default = &documented.iter().find(same).unwrap().default;
        let others = |row: &&Shown| *default == format!("{}.{}", row.section, row.name);
        documented
            .iter()
            .find(others)
            .map_or(default, |other| &other.default)
    };
    let mut compared = 0;
    for option in exemplified()
        .iter()
        .filter(|option| !option.default.is_empty() && !SHOWN_BY_EXAMPLE.contains(&option.name.as_str()))
    {
        assert_eq!(
            *default_of(&option.section, &option.name),
            option.default,
            "{option:?}"
        );
        compared += 1;
    }
    assert!(compared > 15, "{compared}");
}

#[test]
fn no_beginning_of_the_example_does_harm() {
    for end in 0..EXAMPLE.len() {
        let text = &EXAMPLE[..end];
        if let Err(error) = Config::parse(text, Path::new("f"), Path::new("/nonexistent")) {
            let last = text.lines().count().max(1);
            for problem in error.problems() {
                let line = problem.position.unwrap().line;
                assert!((1..=last + 1).contains(&line), "{end}: {problem}");
            }
        }
    }
}
