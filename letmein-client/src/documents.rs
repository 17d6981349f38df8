//! `docs/client.md` says what the code does: the same options, commands, examples, errors and exit codes.

use crate::{
    cli::Cli,
    config::{Config, Transport},
    exchange::{Failure, exit_code},
};
use clap::{CommandFactory as _, Parser as _};
use std::{collections::BTreeSet, io, net::SocketAddr, time::Duration};

const DOCS: &str = include_str!("../../docs/client.md");

/// The rows of the tables whose first column has this heading, as cells without their `code` quotes.
fn rows(heading: &str) -> Vec<Vec<String>> {
    let mut inside = false;
    let mut rows = Vec::new();
    for line in DOCS.lines() {
        let Some(row) = line.strip_prefix("| ") else {
            inside = false;
            continue;
        };
        let row = row.trim_end_matches(" |").replace("\\|", "/");
        let cells: Vec<_> = row.split(" | ").map(ToOwned::to_owned).collect();
        if cells[0] == heading {
            inside = true;
        } else if inside && !cells[0].starts_with("---") {
            rows.push(cells);
        }
    }
    assert!(!rows.is_empty(), "no table begins with {heading:?}");
    rows
}

/// The `TOML` blocks, which may stand in a list and then are indented.
fn examples() -> Vec<String> {
    let mut examples = Vec::new();
    let mut lines = DOCS.lines();
    while let Some(fence) = lines.find(|line| line.trim_start().starts_with("```toml")) {
        let indent = fence.len() - fence.trim_start().len();
        let block = lines.by_ref().take_while(|line| line.trim_start() != "```");
        examples.push(block.fold(String::new(), |text, line| {
            text + line.get(indent..).unwrap_or_default() + "\n"
        }));
    }
    examples
}

/// Everything between single backticks, outside of blocks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

#[test]
fn the_examples_are_configurations() {
    let examples = examples();
    assert_eq!(examples.len(), 2);
    for example in &examples {
        let config: Config = toml::from_str(example).unwrap_or_else(|error| panic!("{example}\n{error}"));
        assert!(!config.servers.is_empty(), "{example}");
    }
}

#[test]
fn the_commands_are_understood() {
    let blocks = DOCS.lines().filter_map(|line| line.strip_prefix("    "));
    let commands: Vec<_> = blocks
        .chain(DOCS.lines().flat_map(quoted))
        .filter_map(|text| text.trim_start().strip_prefix("letmein "))
        .filter(|rest| {
            // With what belongs to it: the name of a command alone is talked about, not typed.
            let verb = rest.split_once(' ').map_or("", |(verb, _)| verb);
            Cli::command().find_subcommand(verb).is_some()
        })
        .collect();
    assert!(commands.len() > 8, "{commands:?}");
    for command in commands {
        let command = command.split(['#', '&', '"', '>']).next().unwrap_or_default();
        let command = command
            .replace("PORT", "22")
            .replace("%p", "22")
            .replace("SHELL", "bash")
            .replace('[', "");
        let words = ["letmein"].into_iter().chain(command.split_whitespace());
        assert!(Cli::try_parse_from(words).is_ok(), "{command}");
    }
}

#[test]
fn every_option_of_a_section_is_documented_and_no_other() {
    for (heading_row, nonsense) in [
        ("host", "[servers.x]\nno-such-option = 0"),
        ("id", "[servers.x.resources.y]\nno-such-option = 0"),
    ] {
        let error = toml::from_str::<Config>(nonsense).err().unwrap();
        let options: BTreeSet<_> = quoted(error.message())
            .filter(|word| *word != "no-such-option")
            .map(|option| format!("`{option}`"))
            .collect();
        let rows = rows("Option");
        let first = rows
            .iter()
            .position(|row| row[0] == format!("`{heading_row}`"))
            .unwrap();
        let documented: BTreeSet<_> = rows[first..]
            .iter()
            .take(options.len())
            .map(|row| row[0].clone())
            .collect();
        assert_eq!(documented, options);
    }
    // Nothing but the two tables above: eleven options of a server, two of a resource.
    assert_eq!(rows("Option").len(), 11 + 2);
}

#[test]
fn the_defaults_are_the_defaults() {
    let text = "[servers.x]\nuser = \"1\"\nkey-file = \"k\"\n";
    let bare: Config = toml::from_str(text).unwrap();
    let given = rows("Option")
        .iter()
        .filter(|row| row[2].starts_with('`'))
        .fold(text.to_owned(), |given, row| {
            given + row[0].trim_matches('`') + " = " + row[2].trim_matches('`') + "\n"
        });
    assert_eq!(given.lines().count(), 3 + 6);
    let given: Config = toml::from_str(&given).unwrap();
    let shown = |config: &Config| {
        let server = &config.servers["x"];
        (
            (server.port, server.transport, server.timeout),
            (server.mode, server.gate_number, server.address),
        )
    };
    assert_eq!(shown(&given), shown(&bare));
}

#[test]
fn every_command_is_documented_and_no_other() {
    let documented: BTreeSet<_> = rows("Command")
        .iter()
        .filter_map(|row| {
            row[0]
                .split(' ')
                .nth(1)
                .map(|verb| verb.trim_matches('`').to_owned())
        })
        .collect();
    let command = Cli::command();
    let shown = command.get_subcommands().filter(|verb| !verb.is_hide_set());
    let verbs = shown.map(|verb| verb.get_name().to_owned());
    assert_eq!(documented, verbs.collect());
}

#[test]
fn every_option_of_the_command_line_is_documented_and_no_other() {
    let mut command = Cli::command();
    command.build();
    let options = |command: &clap::Command, global: bool| -> BTreeSet<String> {
        let options = command
            .get_arguments()
            .filter(|option| option.is_global_set() == global);
        options
            .filter_map(|option| Some((option.get_short(), option.get_long()?)))
            .filter(|(_, long)| global || !["help", "version"].contains(long))
            .map(|(short, long)| {
                short.map_or_else(|| format!("--{long}"), |short| format!("-{short}, --{long}"))
            })
            .collect()
    };
    let documented = |heading: &str| -> BTreeSet<String> {
        let rows = rows(heading).into_iter();
        rows.map(|row| {
            // Without the name of the value.
            let words: Vec<_> = quoted(&row[0])
                .filter_map(|option| option.split(' ').next())
                .collect();
            words.join(", ")
        })
        .collect()
    };
    let verb = |name: &str| options(command.find_subcommand(name).unwrap(), false);
    let mut of_knocks = documented("Option of `knock`, `revoke`, `ssh` and `proxy`");
    for same in ["ssh", "proxy"] {
        assert_eq!(of_knocks, verb(same), "{same}");
    }
    of_knocks.extend(documented("Further option of `knock` and `revoke`"));
    for same in ["knock", "revoke"] {
        assert_eq!(of_knocks, verb(same), "{same}");
    }
    assert_eq!(documented("Option of `status`"), verb("status"));
    assert_eq!(documented("Option of `enroll`"), verb("enroll"));
    assert_eq!(documented("Option of `import`"), verb("import"));
    assert_eq!(documented("Option of `gen-key`"), verb("gen-key"));
    let mut of_all = options(&command, true);
    of_all.extend(["-h, --help".to_owned(), "-V, --version".to_owned()]);
    assert_eq!(documented("Option of all commands"), of_all);
}

/// One of each.
fn failures() -> Vec<Failure> {
    let at: SocketAddr = "192.0.2.1:5800".parse().unwrap();
    let timeout = Duration::from_secs(5);
    let network = |transport, kind: io::ErrorKind| Failure::Network {
        at,
        transport,
        source: kind.into(),
    };
    let no_answer = |transport| Failure::NoAnswer {
        at,
        transport,
        timeout,
    };
    vec![
        Failure::Refused { at },
        no_answer(Transport::Udp),
        no_answer(Transport::Tcp),
        Failure::NotFinished { at, timeout },
        Failure::Closed { at },
        Failure::NoGate {
            at,
            seen: "it sent \"SSH-2.0\"".to_owned(),
        },
        Failure::StillClosed {
            at,
            waited: timeout,
            refused: true,
        },
        Failure::NoService {
            at,
            waited: timeout,
            refused: false,
        },
        Failure::Unreachable {
            at,
            times: 3,
            timeout,
        },
        network(Transport::Tcp, io::ErrorKind::ConnectionRefused),
        network(Transport::Udp, io::ErrorKind::NetworkUnreachable),
        network(Transport::Udp, io::ErrorKind::PermissionDenied),
        network(Transport::Udp, io::ErrorKind::Other),
        Failure::Direct {
            at,
            source: io::ErrorKind::TimedOut.into(),
        },
        Failure::System(io::ErrorKind::OutOfMemory.into()),
        Failure::Name {
            host: "gate".to_owned(),
            reason: "no such name".to_owned(),
        },
        Failure::Family {
            host: "gate".to_owned(),
            family: "IPv6",
            option: "-6",
        },
    ]
}

#[test]
fn every_failure_is_documented_with_its_exit_code_and_no_other() {
    let rows: Vec<_> = rows("Code").into_iter().filter(|row| row.len() == 3).collect();
    let failures = failures();
    assert_eq!(rows.len(), failures.len());
    for failure in failures {
        let (text, code) = (failure.to_string(), exit_code(&[failure]).to_string());
        let fitting: Vec<_> = rows
            .iter()
            .filter(|row| text.contains(row[1].trim_matches('`')))
            .collect();
        assert!(
            matches!(fitting[..], [row] if row[0] == code),
            "{code}: {text}\n{fitting:?}"
        );
    }
}

#[test]
fn errors_of_the_configuration_are_in_these_words() {
    let unknown_field = toml::from_str::<Config>("no-such-option = 0").err().unwrap();
    let said = [
        include_str!("config/file.rs"),
        include_str!("config/key.rs"),
        include_str!("config/mod.rs"),
        include_str!("plan/choose.rs"),
        unknown_field.message(),
    ];
    for row in rows("Message") {
        let words = row[0].trim_matches('`');
        assert!(said.iter().any(|text| text.contains(words)), "{words}");
    }
}
