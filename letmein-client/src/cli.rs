//! The command line, as typed.

use clap::{Args, Parser, Subcommand};
use letmein_common::UserId;
use std::path::PathBuf;

/// Knock on a gate: prove a key, and a port opens for your address.
///
/// Exit codes: 0 done, 1 refused by the gate, 2 usage or configuration, 3 no answer, 4 network error.
#[derive(Parser)]
#[command(name = "letmein", version)]
pub struct Cli {
    /// The configuration file; without it letmein/letmein.toml in your configuration folder, or in /etc.
    #[arg(short, long, global = true)]
    pub config: Option<PathBuf>,
    /// Say what happens.
    #[arg(long, global = true)]
    pub verbose: bool,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand)]
pub enum Command {
    /// Open a resource for this machine's address.
    Knock(Knock),
    /// Close it again.
    Revoke(Knock),
    /// Print a fresh random key: 64 hexadecimal digits for the key files of gate and client.
    GenKey,
}

#[derive(Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of its own on the command line"
)]
pub struct Knock {
    /// The gate: the name of a `servers` section, or its host.
    pub host: String,
    /// What to open: the port or the name of one of the server's resources.
    #[arg(
        value_name = "PORT|NAME",
        conflicts_with = "resource",
        required_unless_present = "resource"
    )]
    pub wanted: Option<String>,
    /// What to open: the resource's id (hexadecimal) or name.
    #[arg(short, long)]
    pub resource: Option<String>,
    /// The user's id, when the configuration has several for this host.
    #[arg(short, long)]
    pub user: Option<UserId>,
    /// The gate's control port.
    #[arg(short = 'P', long)]
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
}
