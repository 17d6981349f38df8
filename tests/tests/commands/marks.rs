//! Every block of commands says where it belongs, and for every such place there is a test.

use letmein_tests::document::{blocks, documents, top};
use std::fs;

/// Where commands may belong, and what runs them. A file that types them at several moments has the words for those.
const PLACES: &[(&str, &str)] = &[
    ("gate", "tests/tests/commands/story.rs"),
    ("client", "tests/tests/commands/story.rs"),
    ("checkout", "tests/tests/commands/checkout.rs"),
    ("ufw", "tests/tests/neighbours/ufw.rs"),
    ("firewalld", "tests/tests/neighbours/firewalld.rs"),
    ("systemd", "tests/tests/systemd/documents.rs"),
    ("journal", "tests/tests/systemd/journal.rs"),
    ("rescue", "tests/tests/systemd/documents.rs"),
    // In `cargo xtask dist --check`: apt takes a Debian that nobody else uses.
    ("debian", "xtask/src/dist/check.rs"),
    // No card here does what they are for; that they are well-formed, and what else there is, is seen there.
    ("nic", "tests/tests/commands/nic.rs"),
];

/// The documents of which a story is told.
const TOLD: &[&str] = &[
    "README.md",
    "docs/client.md",
    "docs/configuration.md",
    "docs/firewalls.md",
    "docs/monitoring.md",
    "docs/operations.md",
    "docs/switching.md",
];

/// Blocks that are no commands: files of letmein's, rules (`../established/main.rs` loads them), what programs say, diagrams, a file of Prometheus's
/// (`../metrics.rs` has its own program read it), a script for `TRex`, which takes a network card for itself.
const OTHERS: &[&str] = &["toml", "nft", "text", "mermaid", "yaml", "python"];

#[test]
fn every_block_belongs_somewhere() {
    for block in blocks().unwrap() {
        let here = format!("{}:{}", block.document, block.line);
        match block.language.as_str() {
            "sh" => {
                let place = PLACES.iter().find(|(place, _)| *place == block.place);
                let (place, runner) = place.unwrap_or_else(|| panic!("{here}: who runs this?"));
                let runner = fs::read_to_string(top().join(runner)).unwrap();
                let moment = format!("{:?}", block.file);
                assert!(
                    block.file.is_empty() || runner.contains(&moment),
                    "{here}: nobody runs this at {moment}"
                );
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
