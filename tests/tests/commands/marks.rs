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
    "docs/configuration.md",
    "docs/firewalls.md",
    "docs/monitoring.md",
    "docs/switching.md",
];

/// Blocks that are no commands: files of letmein's, what programs say, diagrams, a file of Prometheus's
/// (`../metrics.rs` has its own program read it), a script for TRex, which takes a network card for itself.
const OTHERS: &[&str] = &["toml", "text", "mermaid", "yaml", "python"];

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
            other => assert!(OTHERS.contains(&other), "{here}: what is {other:?}?"),
        }
    }
}

#[test]
fn no_block_is_without_a_mark() {
    for (document, text) in documents().unwrap() {
        let (mut fenced, mut fresh) = (false, true);
        for (number, line) in text.lines().enumerate() {
            fenced ^= line.trim_start().starts_with("```");
            let indented = fresh && line.starts_with("    ") && !line.trim_start().starts_with("```");
            assert!(
                fenced || !indented,
                "{document}:{}: put it into a block with a mark",
                number + 1
            );
            fresh = line.trim().is_empty();
        }
        assert!(!fenced, "{document}: a block without an end");
    }
}
