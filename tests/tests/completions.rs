//! The completions of both programs in the shells that they are for: what is typed there becomes a command. Needs no
//! root.

#![expect(
    clippy::unwrap_used,
    reason = "what a test cannot do without, it must fail without"
)]

use letmein_tests::gate::program;
use std::{fs, process::Command};
use tempfile::TempDir;

/// What is typed, and the word that becomes of its end.
const TYPED: &[(&str, &str)] = &[
    ("letmein kn", "knock"),
    ("letmein knock --sil", "--silent"),
    ("letmeind us", "user"),
    ("letmeind user ro", "rotate"),
];

/// Bash is told where the cursor is, and its function says what fits.
const BASH: &str = r#"
source "$1"
read -r -a COMP_WORDS <<<"$2"
COMP_LINE=$2 COMP_POINT=${#2} COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
function=$(complete -p "${COMP_WORDS[0]}" | sed 's/.*-F \([^ ]*\) .*/\1/')
"$function" "${COMP_WORDS[0]}" "${COMP_WORDS[-1]}" "${COMP_WORDS[-2]}"
printf '%s\n' "${COMPREPLY[@]}"
"#;

/// Fish has a command for it, which tells what each is for behind a tab.
const FISH: &str = r"source $argv[1]; complete --do-complete $argv[2] | string replace -r '\t.*' ''";

/// Zsh completes only where somebody types: here into a terminal of its own, in which the program is a function that
/// tells what it was called with.
const ZSH: &str = r#"
zmodload zsh/zpty
zpty typed zsh -f -i
await() { until [[ $seen == *$1* ]]; do zpty -r typed line || exit 1; seen+=$line; done }
zpty -w typed "fpath=(${1:h} \$fpath); autoload -U compinit; compinit -u -D; ${2%% *}() { print -r -- \"<\$*>\" }"
zpty -w typed 'print -r -- "<"ready">"'
await '<ready>'
seen=
zpty -w typed "$2"$'\t'
await '>'
print -r -- ${${${seen##*<}%%>*}##* }
"#;

fn candidates(shell: &str, script: &str, file_of: impl Fn(&str) -> String) {
    let folder = TempDir::new().unwrap();
    for (typed, expected) in TYPED {
        let name = typed.split(' ').next().unwrap();
        let completions = Command::new(program(name).unwrap())
            .args(["completions", shell])
            .output()
            .unwrap();
        assert!(completions.status.success());
        let file = folder.path().join(file_of(name));
        fs::write(&file, completions.stdout).unwrap();
        // A shell that waits for what never comes ends all the same.
        let mut command = Command::new("timeout");
        command.args(["60", shell]);
        let command = match shell {
            "fish" => command.args(["--no-config", "-c", script]),
            "zsh" => command.args(["-f", "-c", script, "zsh"]),
            _ => command.args(["--norc", "-c", script, "bash"]),
        };
        let output = command
            .arg(&file)
            .arg(typed)
            .env("HOME", folder.path())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert_eq!(said.trim(), *expected, "{typed:?}: {output:?}");
    }
}

#[test]
fn in_bash() {
    candidates("bash", BASH, |name| format!("{name}.bash"));
}

#[test]
fn in_zsh() {
    candidates("zsh", ZSH, |name| format!("_{name}"));
}

#[test]
fn in_fish() {
    candidates("fish", FISH, |name| format!("{name}.fish"));
}
