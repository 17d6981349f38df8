//! Completions and manual page, made from the definition of the command line.

use crate::cli::{Cli, Shell};
use clap::{Command, CommandFactory as _};
use clap_mangen::Man;
use std::io;

const NAME: &str = "letmein";

/// The script that completes our command line in this shell.
pub fn completions(shell: Shell) -> String {
    let shell = match shell {
        Shell::Bash => clap_complete::Shell::Bash,
        Shell::Fish => clap_complete::Shell::Fish,
        Shell::Zsh => clap_complete::Shell::Zsh,
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), NAME, &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

/// One page in roff for all of it: the options of all commands first, and then each command with its own.
pub fn page() -> io::Result<String> {
    let mut whole = Cli::command().disable_help_subcommand(true);
    whole.build();
    let man = Man::new(whole.clone());
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    for command in whole.get_subcommands().filter(|command| !command.is_hide_set()) {
        render(command, &mut page)?;
    }
    let text = String::from_utf8_lossy(&page).into_owned();
    Ok(text + AROUND)
}

/// A section of the page, under the command's name.
fn render(command: &Command, page: &mut Vec<u8>) -> io::Result<()> {
    let name = command.get_name().to_uppercase();
    // Those of all commands have been told.
    let own = command.clone().mut_args(|option| {
        let general = option.is_global_set() || option.get_id() == "help";
        option.hide(general)
    });
    let man = Man::new(own);
    let mut section = Vec::new();
    man.render_synopsis_section(&mut section)?;
    man.render_description_section(&mut section)?;
    man.render_options_section(&mut section)?;
    let section = String::from_utf8_lossy(&section).into_owned();
    // What is a page's section elsewhere is a part of one here.
    let section = section
        .replacen(".SH SYNOPSIS", &format!(".SH {name}"), 1)
        .replacen(".SH DESCRIPTION", ".PP", 1)
        .replacen(".SH OPTIONS", ".PP", 1);
    page.extend_from_slice(section.as_bytes());
    Ok(())
}

const AROUND: &str = r".SH FILES
.TP
.I ~/.config/letmein/letmein.toml
Whom to knock on, and with which key. \fI$XDG_CONFIG_HOME\fR stands for \fI~/.config\fR where it is set.
.TP
.I /etc/letmein/letmein.toml
The same for all users of the machine, if there is no file of one's own.
.SH SEE ALSO
.BR ssh (1),
.BR ssh_config (5)
";

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        fs,
        process::{Command as Process, Stdio},
    };
    use tempfile::TempDir;

    /// The long options of all commands that are shown.
    fn options() -> Vec<String> {
        let mut whole = Cli::command();
        whole.build();
        let shown = whole.get_subcommands().filter(|command| !command.is_hide_set());
        let options = shown
            .flat_map(Command::get_arguments)
            .chain(whole.get_arguments());
        options
            .filter_map(|option| Some(format!("--{}", option.get_long()?)))
            .collect()
    }

    #[test]
    fn completions_know_every_option_and_command() {
        for (shell, prefix) in [(Shell::Bash, "--"), (Shell::Zsh, "--"), (Shell::Fish, "-l ")] {
            let script = completions(shell);
            for option in options() {
                let option = option.replacen("--", prefix, 1);
                assert!(script.contains(&option), "{option}: {script}");
            }
            for command in [
                "knock", "revoke", "status", "ssh", "proxy", "enroll", "import", "gen-key",
            ] {
                assert!(script.contains(command), "{command}: {script}");
            }
        }
    }

    #[test]
    fn bash_understands_its_completions() {
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("letmein.bash");
        fs::write(&file, completions(Shell::Bash)).unwrap();
        let complete = "source \"$1\"; COMP_WORDS=(letmein kn); COMP_CWORD=1; _letmein letmein kn letmein; \
                        printf '%s\n' \"${COMPREPLY[@]}\"";
        let output = Process::new("bash")
            .args(["--norc", "-c", complete, "bash"])
            .arg(&file)
            .output()
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), "knock\n", "{output:?}");
        let parsed = Process::new("bash").arg("-n").arg(&file).output().unwrap();
        assert!(parsed.status.success() && parsed.stderr.is_empty(), "{parsed:?}");
    }

    #[test]
    fn the_page_names_every_option_and_command() {
        let page = page().unwrap().replace('\\', "");
        for option in options() {
            assert!(page.contains(&option), "{option}: {page}");
        }
        for section in [
            "KNOCK", "REVOKE", "STATUS", "SSH", "PROXY", "ENROLL", "IMPORT", "GENKEY", "FILES",
        ] {
            let heading = format!(".SH {section}\n").replace("GENKEY", "GEN-KEY");
            assert_eq!(page.matches(&heading).count(), 1, "{heading}: {page}");
        }
        assert!(!page.contains("COMPLETIONS") && !page.contains("Print the manual page"));
    }

    #[test]
    fn troff_has_no_complaint() {
        use std::io::Write as _;
        let mut groff = Process::new("groff")
            .args(["-man", "-Tutf8", "-wall", "-z"])
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let page = page().unwrap();
        groff.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
        let output = groff.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.is_empty(), "{said}");
    }
}
