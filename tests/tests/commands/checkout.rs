//! Commands for a checkout of the repository. They build, test and measure for many minutes, and `.ci/run` has the
//! important ones; here it is seen that there is such a verb, option, package or test.

use letmein_tests::{
    document::{blocks, top},
    gate::program,
};
use std::process::Command;

#[test]
fn in_a_checkout() {
    let blocks = blocks().unwrap();
    let mut checked = 0;
    for block in blocks.iter().filter(|block| block.place == "checkout") {
        for command in block.commands() {
            let words: Vec<_> = command.split_whitespace().collect();
            let exists = match words.as_slice() {
                ["cargo", "xtask", rest @ ..] => verb_exists(rest),
                ["cargo", "build" | "test" | "install", rest @ ..] => target_exists(rest),
                _ => false,
            };
            assert!(exists, "{}:{}: {command}", block.document, block.line);
            checked += 1;
        }
    }
    assert!(checked > 5, "{checked}");
}

/// A verb of `cargo xtask`, its own verb if it has one, and its options.
fn verb_exists(words: &[&str]) -> bool {
    let ours: Vec<_> = words.iter().copied().take_while(|word| *word != "--").collect();
    let verbs: Vec<_> = ours
        .iter()
        .copied()
        .take_while(|word| !word.starts_with('-'))
        .collect();
    let options: Vec<_> = ours.into_iter().filter(|word| word.starts_with("--")).collect();
    is_explained("xtask", &verbs, &options)
}

/// Whether the program's help knows these verbs, one below the other, and there these options.
pub fn is_explained(name: &str, verbs: &[&str], options: &[&str]) -> bool {
    explanation(name, verbs).is_some_and(|text| options.iter().all(|option| text.contains(option)))
}

/// The program's help for these verbs, if there are such.
pub fn explanation(name: &str, verbs: &[&str]) -> Option<String> {
    let mut help = Command::new(program(name).unwrap());
    let help = help.args(verbs).arg("--help").output().unwrap();
    let text = String::from_utf8_lossy(&help.stdout).into_owned();
    help.status.success().then_some(text)
}

/// The package that `-p` or `--path`, and the test that `--test` names.
fn target_exists(words: &[&str]) -> bool {
    let mut package = "tests";
    words.windows(2).all(|pair| match pair {
        ["-p" | "--path", name] => {
            package = if *name == "letmein-tests" { "tests" } else { name };
            top().join(package).join("Cargo.toml").is_file()
        }
        ["--test", name] => {
            let tests = top().join(package).join("tests");
            tests.join(format!("{name}.rs")).is_file() || tests.join(name).join("main.rs").is_file()
        }
        _ => true,
    })
}
