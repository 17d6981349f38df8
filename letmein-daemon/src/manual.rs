//! Completions and manual page of `letmeind`, made from the definition of its command line.

use clap::Command;
use clap_complete::Shell;
use clap_mangen::Man;
use std::io;

const NAME: &str = "letmeind";

/// The script that completes the command line in this shell.
pub fn completions(mut command: Command, shell: Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, NAME, &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

/// One page in roff for all of it: each command has a section.
pub fn page(command: Command) -> io::Result<String> {
    let mut whole = command.disable_help_subcommand(true);
    whole.build();
    let man = Man::new(whole.clone()).section("8");
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    for command in whole.get_subcommands().filter(|command| !command.is_hide_set()) {
        render(command, "", &mut page)?;
    }
    Ok(String::from_utf8_lossy(&page).into_owned() + AROUND)
}

/// A section of the page under the command's name, and one for each command below it.
fn render(command: &Command, above: &str, page: &mut Vec<u8>) -> io::Result<()> {
    let name = format!("{above}{}", command.get_name().to_uppercase());
    let further: Vec<_> = command
        .get_subcommands()
        .filter(|below| !below.is_hide_set())
        .collect();
    let own = command.clone().mut_args(|option| {
        let help = option.get_id() == "help";
        option.hide(help)
    });
    let man = Man::new(own);
    let mut section = Vec::new();
    man.render_synopsis_section(&mut section)?;
    man.render_description_section(&mut section)?;
    man.render_options_section(&mut section)?;
    // What is a page's section elsewhere is a part of one here.
    let section = String::from_utf8_lossy(&section)
        .replacen(".SH SYNOPSIS", &format!(".SH \"{name}\""), 1)
        .replacen(".SH DESCRIPTION", ".PP", 1)
        .replacen(".SH OPTIONS", ".PP", 1);
    page.extend_from_slice(section.as_bytes());
    further
        .iter()
        .try_for_each(|below| render(below, &format!("{name} "), page))
}

const AROUND: &str = r".SH FILES
.TP
.I /etc/letmein/letmeind.toml
What is closed, and who may open it.
.TP
.I /sys/fs/bpf/letmein
What outlives a run of letmeind, but no reboot.
.SH SIGNALS
.TP
SIGTERM, SIGINT
Stop. Protected ports stay closed, and what is open stays open for its time.
.TP
SIGHUP
Read the configuration again, as
.B letmeind reload
has it done, which also tells what came of it.
.TP
SIGUSR1
Write the counters to the log.
.SH EXIT STATUS
0 if all went well, 1 if something did not, 2 if the command line was not understood.
.SH SEE ALSO
.BR letmeind.toml (5),
.BR letmein (1),
.BR nft (8)
";

/// Every command that is shown, with its name after those above it.
#[cfg(test)]
fn shown(command: &Command) -> Vec<Command> {
    let below = command.get_subcommands().filter(|below| !below.is_hide_set());
    below
        .flat_map(|below| [vec![below.clone()], shown(below)].concat())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{completions, page, shown};
    use crate::Cli;
    use clap::{CommandFactory as _, ValueEnum as _};
    use clap_complete::Shell;
    use std::{
        io::Write as _,
        process::{Command as Process, Stdio},
    };

    fn options() -> Vec<String> {
        let mut whole = Cli::command();
        whole.build();
        let longs = |command: &clap::Command| {
            let longs = command.get_arguments().filter_map(clap::Arg::get_long);
            longs
                .filter(|long| *long != "help")
                .map(ToOwned::to_owned)
                .collect::<Vec<_>>()
        };
        shown(&whole).iter().flat_map(longs).collect()
    }

    #[test]
    fn the_page_names_every_command_and_option() {
        let page = page(Cli::command()).unwrap().replace('\\', "");
        assert!(options().contains(&"confirm".to_owned()));
        for option in options() {
            assert!(page.contains(&format!("--{option}")), "{option}: {page}");
        }
        for command in shown(&Cli::command()) {
            assert!(
                page.contains(&format!("{}\"\n", command.get_name().to_uppercase())),
                "{page}"
            );
        }
        assert!(!page.contains("Print the manual page"));
    }

    #[test]
    fn completions_know_every_command_and_option() {
        for shell in Shell::value_variants() {
            let script = completions(Cli::command(), *shell);
            let names = shown(&Cli::command());
            let names = names.iter().map(|command| command.get_name().to_owned());
            for word in names.chain(options()) {
                assert!(script.contains(&word), "{shell}: {word}");
            }
        }
    }

    #[test]
    fn troff_has_no_complaint() {
        let mut groff = Process::new("groff")
            .args(["-man", "-Tutf8", "-wall", "-z"])
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let page = page(Cli::command()).unwrap();
        groff.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
        let output = groff.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.is_empty(), "{said}");
    }
}
