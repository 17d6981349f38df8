//! `letmeind user`: users in the configuration, their keys, and the line that a user's client is told all with.

mod book;
mod invitation;
mod keep;
mod key_file;
mod qr;
mod reload;
#[cfg(test)]
mod tests;

use crate::config::Config;
use anyhow::Context as _;
use book::Book;
use clap::{Args, Subcommand};
use std::{
    io::{self, IsTerminal as _, Write as _},
    path::Path,
    time::{Duration, SystemTime},
};

/// What to do with users.
#[derive(Subcommand)]
pub enum What {
    /// Make a key, add the user to the configuration, and print the line for `letmein enroll`.
    Add {
        /// What to call the user here.
        name: String,
        /// A resource that the user may open, or "*" for all. May be repeated.
        #[arg(short, long, required = true, value_name = "NAME")]
        resource: Vec<String>,
        /// After this time, such as 7d or 12h, the user is refused.
        #[arg(long = "for", value_name = "TIME", value_parser = keep::parse)]
        time: Option<Duration>,
        /// What the line says of this gate.
        #[command(flatten)]
        line: Line,
    },
    /// List users, what they may open, and until when.
    List,
    /// Print the line for `letmein enroll` again. It holds the user's key.
    Show {
        /// The user.
        name: String,
        /// What the line says of this gate.
        #[command(flatten)]
        line: Line,
    },
    /// Give a user a new id and a new key, and print the line for `letmein enroll --replace`.
    Rotate {
        /// The user.
        name: String,
        /// For how long, such as 7d, the old id and key are still good; without this they are at once no longer.
        #[arg(long, value_name = "TIME", value_parser = keep::parse)]
        keep: Option<Duration>,
        /// What the line says of this gate.
        #[command(flatten)]
        line: Line,
    },
    /// Remove a user with all keys.
    Remove {
        /// The user.
        name: String,
    },
}

/// What the line says of this gate.
#[derive(Args)]
pub struct Line {
    /// The gate's name or address as clients reach it; without it this machine's own name.
    #[arg(long)]
    pub host: Option<String>,
    /// What clients shall call the gate; without it the first part of HOST.
    #[arg(long, value_name = "NAME")]
    pub server: Option<String>,
    /// Have the client knock silently, though challenge knocks are taken as well.
    #[arg(long)]
    pub silent: bool,
    /// Print the line as a QR code, too, though standard output is no terminal.
    #[arg(long)]
    pub qr: bool,
}

/// Does it, in the configuration at `path`.
pub fn run(path: &Path, what: &What) -> anyhow::Result<()> {
    match what {
        What::Add {
            name,
            resource,
            time,
            line,
        } => {
            let until = time.map(|time| SystemTime::now() + time);
            let mut book = Book::open(path)?;
            invitation::place(line)?;
            book.add(name, resource, until)?;
            let reloaded = reload::ask(path, &book.config);
            print(&book, name, line)?;
            reloaded
        }
        What::List => list(&Config::load(path)?),
        What::Show { name, line } => print(&Book::open(path)?, name, line),
        What::Rotate { name, keep, line } => {
            let mut book = Book::open(path)?;
            invitation::place(line)?;
            book.rotate(name, keep.unwrap_or_default(), SystemTime::now())?;
            let reloaded = reload::ask(path, &book.config);
            print(&book, name, line)?;
            reloaded
        }
        What::Remove { name } => {
            let mut book = Book::open(path)?;
            let removed = book.remove(name)?;
            let reloaded = reload::ask(path, &book.config);
            say(&format!("removed: {}\n", removed.join(", ")))?;
            reloaded
        }
    }
}

fn list(config: &Config) -> anyhow::Result<()> {
    let now = SystemTime::now();
    let mut rows: Vec<_> = config
        .users()
        .map(|(id, user)| {
            let resources = user.permitted().iter().filter_map(|id| config.resource(*id));
            let names: Vec<_> = resources.map(|resource| resource.name.as_str()).collect();
            let until = match user.until {
                None => String::new(),
                Some(until) if until <= now => format!("  over since {}", keep::moment(until)),
                Some(until) => format!("  until {}", keep::moment(until)),
            };
            (user.name.as_str(), format!("{id}  {}{until}", names.join(", ")))
        })
        .collect();
    rows.sort_unstable();
    let width = rows
        .iter()
        .map(|(name, _)| name.chars().count())
        .max()
        .unwrap_or(0);
    let lines = rows.iter().map(|(name, rest)| format!("{name:width$}  {rest}\n"));
    say(&lines.collect::<String>())
}

/// The line to standard output, and as a picture for who sees it.
fn print(book: &Book, name: &str, options: &Line) -> anyhow::Result<()> {
    let line = invitation::line(book, name, options)?;
    let terminal = io::stdout().is_terminal();
    eprintln!(
        "This line holds {name}'s key: hand it over so that nobody else sees it. There: `letmein enroll -`"
    );
    say(&format!("{}\n", *line))?;
    if terminal || options.qr {
        say(&qr::picture(&line, terminal)?)?;
    }
    Ok(())
}

fn say(text: &str) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
        .context("cannot write to standard output")
}
