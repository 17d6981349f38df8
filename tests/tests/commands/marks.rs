//! Every block of commands says where it belongs, and for every such place there is a test.

use letmein_tests::document::{blocks, documents};

/// Where commands may belong, and what runs them.
const PLACES: &[(&str, &str)] = &[
    ("gate", "story.rs"),
    ("client", "story.rs"),
    ("checkout", "checkout.rs"),
    ("ufw", "../neighbours/ufw.rs"),
    ("firewalld", "../neighbours/firewalld.rs"),
];

/// The documents of which a story is told.
const TOLD: &[&str] = &[
    "README.md",
    "docs/client.md",
    "docs/firewalls.md",
    "docs/switching.md",
];

/// What an indented line begins with that should be in a block with a mark.
const PROGRAMS: &[&str] = &[
    "letmein ",
    "letmeind ",
    "cargo ",
    "nft ",
    "ufw ",
    "apt ",
    "systemctl ",
];

#[test]
fn every_block_belongs_somewhere() {
    for block in blocks().unwrap() {
        let here = format!("{}:{}", block.document, block.line);
        match block.language.as_str() {
            "sh" => {
                let place = PLACES.iter().find(|(place, _)| *place == block.place);
                let (place, _) = place.unwrap_or_else(|| panic!("{here}: who runs this?"));
                let told = TOLD.contains(&block.document.as_str());
                assert!(
                    told || !["gate", "client"].contains(place),
                    "{here}: of this document no story is told"
                );
            }
            "toml" | "text" | "mermaid" => {}
            other => panic!("{here}: what is {other:?}?"),
        }
    }
}

#[test]
fn no_command_hides_in_an_indented_block() {
    for (document, text) in documents().unwrap() {
        let mut fenced = false;
        for (number, line) in text.lines().enumerate() {
            fenced ^= line.trim_start().starts_with("```");
            let hides = PROGRAMS
                .iter()
                .any(|program| line.trim_start().starts_with(program));
            assert!(
                fenced || !line.starts_with("    ") || !hides,
                "{document}:{}: put it into a block with a mark",
                number + 1
            );
        }
    }
}
