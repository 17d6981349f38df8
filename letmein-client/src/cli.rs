//! The command line, as typed.

use crate::{
    config::{Address, values},
    lazy::Lazy,
};
use clap::{Args, Parser, Subcommand, ValueEnum};
use letmein_common::UserId;
use std::{ffi::OsString, path::PathBuf, time::Duration};

/// Knock on a gate: prove a key, and a port opens for your address.
///
/// Exit codes: 0 done, 1 refused by the gate, 2 usage or configuration, 3 no answer, 4 network error.
#[derive(Parser)]
#[command(name = "letmein", version)]
pub struct Cli {
    /// The configuration file; without it letmein/letmein.toml in your configuration folder, or in /etc.
    #[arg(short, long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Tell each step on standard error.
    #[arg(long, global = true)]
    pub verbose: bool,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand)]
pub enum Command {
    /// Open a resource for this machine's address.
    Knock(Lazy<Knock>),
    /// Close it again.
    Revoke(Lazy<Knock>),
    /// Tell what can be told without a knock.
    Status(Lazy<Status>),
    /// Knock, and become `ssh` to that host.
    Ssh(Lazy<Ssh>),
    /// Knock, connect, and relay standard input and output: OpenSSH's `ProxyCommand letmein proxy %h %p`.
    Proxy(Lazy<Proxy>),
    /// Write what a gate's enrolment line says to the configuration.
    Enroll(Lazy<Enroll>),
    /// Turn letmein 12's letmein.conf into a configuration of ours.
    Import(Lazy<Import>),
    /// Make a random key for a user: 64 hexadecimal digits, the same for gate and client.
    GenKey(Lazy<GenKey>),
    /// Print completions for a shell.
    #[command(hide = true)]
    Completions {
        /// Which shell.
        shell: Shell,
    },
    /// Print the manual page.
    #[command(hide = true)]
    Man,
}

/// Shells with completions.
#[derive(Clone, Copy, ValueEnum)]
pub enum Shell {
    Bash,
    Fish,
    Zsh,
}

#[derive(Args)]
pub struct Knock {
    /// The gate: the name of a `servers` section, or its host. Or, for each thing to open, HOST:PORT or HOST:NAME.
    #[arg(value_name = "HOST")]
    pub host: String,
    /// What to open: ports or names of the server's resources, all at once.
    #[arg(value_name = "PORT|NAME", conflicts_with = "resource")]
    pub wanted: Vec<String>,
    /// What to open: the resource's id (hexadecimal) or name.
    #[arg(short, long, value_name = "ID|NAME")]
    pub resource: Option<String>,
    #[command(flatten)]
    pub how: How,
    /// Tell the outcome as one JSON object on standard output.
    #[arg(long)]
    pub json: bool,
}

/// How to knock, whatever for.
#[derive(Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of its own on the command line"
)]
pub struct How {
    /// The user's id, when the configuration has several for this host.
    #[arg(short, long, value_name = "ID", value_parser = values::user_id)]
    pub user: Option<UserId>,
    /// The gate's control port.
    #[arg(short = 'P', long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub server_port: Option<u16>,
    /// Knock over TCP.
    #[arg(short = 'T', long, conflicts_with = "server_port_udp")]
    pub server_port_tcp: bool,
    /// Knock over UDP.
    #[arg(short = 'U', long)]
    pub server_port_udp: bool,
    /// Knock over IPv4; with -6, both have to succeed.
    #[arg(short = '4', long)]
    pub ipv4: bool,
    /// Knock over IPv6; with -4, both have to succeed.
    #[arg(short = '6', long)]
    pub ipv6: bool,
    /// Knock silently, whatever `mode` says: one UDP datagram that nobody answers.
    #[arg(long, conflicts_with_all = ["challenge", "server_port_tcp"])]
    pub silent: bool,
    /// Knock with a challenge, whatever `mode` says: the conversation of letmein 12.
    #[arg(long)]
    pub challenge: bool,
    /// Whose address a silent knock names: `auto`, `source`, or an address.
    #[arg(long, value_name = "auto|source|IP", value_parser = values::address_choice)]
    pub address: Option<Address>,
    /// For how long a silent knock asks to open; the gate may give less.
    #[arg(long = "for", value_name = "DURATION", value_parser = values::lease)]
    pub lease_seconds: Option<u32>,
    /// Wait until the TCP port takes connections, 10s unless told otherwise, and repeat a silent knock that gets lost.
    #[arg(long, value_name = "DURATION", value_parser = values::wait, num_args = 0..=1, default_missing_value = "10s")]
    pub wait: Option<Duration>,
}

#[derive(Args)]
pub struct Enroll {
    /// The line from `letmeind user add`, or - to read it from standard input, where other users cannot see it.
    #[arg(value_name = "LINE|-")]
    pub line: String,
    /// What to call the gate, instead of what the line calls it.
    #[arg(short, long, value_name = "NAME")]
    pub name: Option<String>,
    /// Replace the section that has this name already.
    #[arg(long)]
    pub replace: bool,
}

#[derive(Args)]
pub struct Import {
    /// The other file.
    pub file: PathBuf,
    /// The gate's name or address, which letmein 12 has on the command line.
    #[arg(long)]
    pub host: Option<String>,
    /// Write it to this new file, for its owner only, instead of printing it.
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

#[derive(Args)]
pub struct Status {
    /// The gate: the name of a `servers` section, or its host.
    pub host: String,
    /// The user's id, when the configuration has several for this host.
    #[arg(short, long, value_name = "ID", value_parser = values::user_id)]
    pub user: Option<UserId>,
    /// Tell it as one JSON object on standard output.
    #[arg(long)]
    pub json: bool,
}

#[derive(Args)]
pub struct Ssh {
    /// What to open, instead of the resource named `ssh` or the one with port 22: a resource's id (hexadecimal) or name.
    #[arg(short, long, value_name = "ID|NAME")]
    pub resource: Option<String>,
    #[command(flatten)]
    pub how: How,
    /// The gate, as for `knock`; who logs in may stand before it. Everything that follows is for `ssh`.
    // One argument, since options between two would be taken for ours: ssh has a -4, a -T and a -c as well.
    #[arg(
        value_names = ["[LOGIN@]HOST", "SSH-ARGS"],
        required = true,
        num_args = 1..,
        trailing_var_arg = true
    )]
    pub words: Vec<OsString>,
}

#[derive(Args)]
pub struct Proxy {
    /// What to open, instead of the resource with this port: a resource's id (hexadecimal) or name.
    #[arg(short, long, value_name = "ID|NAME")]
    pub resource: Option<String>,
    #[command(flatten)]
    pub how: How,
    /// The host to connect to. If it is no gate of the configuration, there is no knock.
    pub host: String,
    /// The TCP port to connect to.
    #[arg(value_parser = clap::value_parser!(u16).range(1..))]
    pub port: u16,
}

#[derive(Args)]
pub struct GenKey {
    /// Write the key to a new file that only you can read, instead of printing it.
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Print what to add to the configurations of gate and client for the user with this id.
    #[arg(short, long, value_name = "ID", value_parser = values::user_id)]
    pub user: Option<UserId>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{CommandFactory as _, error::ErrorKind};

    fn knock(arguments: &str) -> Result<Knock, ErrorKind> {
        let words = ["letmein", "knock"]
            .into_iter()
            .chain(arguments.split_whitespace());
        match Cli::try_parse_from(words).map(|cli| cli.command) {
            Ok(Command::Knock(Lazy(knock))) => Ok(knock),
            Ok(_) => panic!("this is no knock"),
            Err(error) => Err(error.kind()),
        }
    }

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn options_are_those_of_the_other_client() {
        let all = knock("gate 22 -u 1a -P 5801 -T -4 -6").unwrap();
        assert_eq!(all.host, "gate");
        assert_eq!(all.wanted, ["22"]);
        let how = all.how;
        assert_eq!(how.user, Some(UserId(0x1A)));
        assert_eq!(how.server_port, Some(5801));
        assert!(how.server_port_tcp && !how.server_port_udp && how.ipv4 && how.ipv6);
        let long = "gate --resource 2 --user 0000001A --server-port 1 --server-port-udp --ipv4 --ipv6";
        let long = knock(long).unwrap();
        assert_eq!(long.resource.as_deref(), Some("2"));
        assert!(long.how.server_port_udp && long.how.ipv4 && long.how.ipv6);
    }

    #[test]
    fn options_of_silent_knocks() {
        let all = knock("gate 22 --silent --address 192.0.2.7 --for 2h --wait")
            .unwrap()
            .how;
        assert!(all.silent && !all.challenge);
        assert_eq!(all.address, Some(Address::Ip([192, 0, 2, 7].into())));
        assert_eq!(all.lease_seconds, Some(7200));
        assert_eq!(all.wait, Some(Duration::from_secs(10)));
        let some = knock("gate 22 --address source --wait 1m").unwrap().how;
        assert_eq!(some.address, Some(Address::Source));
        assert_eq!(some.wait, Some(Duration::from_mins(1)));
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        for (arguments, kind) in [
            ("", ErrorKind::MissingRequiredArgument),
            ("gate 22 -r 1", ErrorKind::ArgumentConflict),
            ("gate 22 -T -U", ErrorKind::ArgumentConflict),
            ("gate 22 -T --silent", ErrorKind::ArgumentConflict),
            ("gate 22 --challenge --silent", ErrorKind::ArgumentConflict),
            ("gate 22 --address here", ErrorKind::ValueValidation),
            ("gate 22 --for 1", ErrorKind::ValueValidation),
            ("--wait gate 22", ErrorKind::ValueValidation),
            ("gate 22 -u alice", ErrorKind::ValueValidation),
            ("gate 22 -u +1", ErrorKind::ValueValidation),
            ("gate 22 -P 0", ErrorKind::ValueValidation),
            ("gate 22 -P 65536", ErrorKind::ValueValidation),
            ("gate 22 --colour", ErrorKind::UnknownArgument),
        ] {
            assert_eq!(knock(arguments).err(), Some(kind), "{arguments}");
        }
    }

    #[test]
    fn options_for_all_commands_may_stand_anywhere() {
        for words in [
            ["letmein", "-c", "f", "--verbose", "gen-key"],
            ["letmein", "gen-key", "--verbose", "-c", "f"],
        ] {
            let cli = Cli::try_parse_from(words).unwrap();
            assert!(cli.verbose && cli.config == Some("f".into()));
        }
    }
}
