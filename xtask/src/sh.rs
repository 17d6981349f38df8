//! Running other programs.

use anyhow::{Context as _, bail};
use std::process::{Command, Stdio};

/// Runs a command after saying so; fails unless it succeeds.
pub fn run(command: &mut Command) -> anyhow::Result<()> {
    let shown = shown(command);
    eprintln!("+ {shown}");
    let status = command
        .status()
        .with_context(|| format!("cannot start `{shown}`; is it installed?"))?;
    if !status.success() {
        bail!("`{shown}` failed with {status}");
    }
    Ok(())
}

/// Whether the command runs and succeeds. Prints nothing.
pub fn succeeds(command: &mut Command) -> bool {
    let status = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    status.is_ok_and(|status| status.success())
}

/// Standard output of a command that succeeds.
pub fn output(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    if !output.status.success() {
        return None;
    }
    String::from_utf8(output.stdout).ok()
}

/// Removes what cargo and rustup set for this process, so that another toolchain's cargo can work.
pub fn without_cargo_environment(command: &mut Command) -> &mut Command {
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        let kept = ["CARGO_HOME", "RUSTUP_HOME"].contains(&&*text) || text.starts_with("CARGO_REGISTRIES_");
        if !kept && ["CARGO", "RUST"].iter().any(|prefix| text.starts_with(prefix)) {
            command.env_remove(&name);
        }
    }
    command
}

/// Fails at once where root is needed and missing. `why` says what for.
pub fn require_root(why: &str) -> anyhow::Result<()> {
    if !nix::unistd::geteuid().is_root() {
        bail!("{why}: run this as root");
    }
    Ok(())
}

/// The command as it can be typed into a shell.
pub fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words: Vec<_> = words.map(|word| quoted(&word.to_string_lossy())).collect();
    words.join(" ")
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=+./:,@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::shown;
    use std::process::Command;

    #[test]
    fn what_a_shell_would_change_is_quoted() {
        let mut command = Command::new("bash");
        command.args(["-c", "cat < /dev/tcp/10.0.0.1/22", "", "it's", "a=b"]);
        assert_eq!(
            shown(&command),
            r"bash -c 'cat < /dev/tcp/10.0.0.1/22' '' 'it'\''s' a=b"
        );
    }
}
