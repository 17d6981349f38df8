//! Leaving the demonstration up, to play with.

use super::{
    interrupt::Interrupts,
    screen::Screen,
    stage::{INTERFACES, PORT, SERVER_OF_CLIENT, SERVER_OF_SCANNER, Stage},
};
use crate::sh;
use letmein_tests::lab::Host;
use std::{
    io::{self, IsTerminal as _},
    net::Ipv4Addr,
    process::Command,
};

/// Long enough to type.
const LEASE: &str = "2m";

/// Starts letmeind again, says what can be done, and waits.
pub fn keep(stage: &mut Stage, screen: &mut Screen, interrupts: &Interrupts) -> anyhow::Result<()> {
    stage.start_letmeind(LEASE)?;
    let pid = stage.letmeind()?.pid();
    let log = stage.path("letmeind.log");
    let log = log.display();
    screen.note(&format!(
        "\nIt all stays up. letmeind runs again, leases last {LEASE}. To try in another terminal, as root:"
    ))?;
    let client = |command: &Command| sh::shown(command);
    let hints = [
        ("connect", connect(&stage.lab.client, SERVER_OF_CLIENT)),
        ("knock", client(&stage.letmein("knock"))),
        ("close again", client(&stage.letmein("revoke"))),
        (
            "connect as the scanner",
            connect(&stage.lab.other, SERVER_OF_SCANNER),
        ),
        (
            "what is open, and until when",
            nft(stage, &["list", "set", "inet", "letmein", "leases4"]),
        ),
        ("all rules", nft(stage, &["list", "ruleset"])),
        (
            "the counters",
            format!("kill -USR1 {pid}; sleep 0.2; grep counters {log} | tail -n 1"),
        ),
        (
            "the XDP program",
            sh::shown(
                stage
                    .lab
                    .server
                    .command("ip")
                    .args(["link", "show", INTERFACES[0]]),
            ),
        ),
        ("letmeind's log", format!("tail -f {log}")),
        ("remove all of it", format!("kill {}", std::process::id())),
    ];
    for (what, command) in hints {
        screen.note(&format!("\n   # {what}\n   {command}"))?;
    }
    screen.note(if io::stdin().is_terminal() {
        "\nEnter or Ctrl-C here removes all of it, too."
    } else {
        "\nSIGINT or SIGTERM removes all of it."
    })?;
    interrupts.wait();
    if let Some(letmeind) = stage.letmeind.take() {
        letmeind.stop()?;
    }
    Ok(())
}

/// A connection with nothing but bash.
fn connect(host: &Host, server: Ipv4Addr) -> String {
    let mut command = host.command("timeout");
    sh::shown(command.args(["2", "bash", "-c", &format!("cat < /dev/tcp/{server}/{PORT}")]))
}

fn nft(stage: &Stage, arguments: &[&str]) -> String {
    sh::shown(stage.lab.server.command("nft").args(arguments))
}
