//! Options of a command that are put together only when it is that command's turn.
//!
//! clap's derive makes the options of all commands before it looks at what was typed. A client that knocks and ends in
//! less than a millisecond would spend a good part of it on options that nobody asked for.

use clap::{ArgMatches, Args, Command, Error, FromArgMatches};

/// The arguments of one command, to be used in place of `T` in the list of commands.
pub struct Lazy<T>(pub T);

impl<T: Args> Args for Lazy<T> {
    fn augment_args(command: Command) -> Command {
        command.defer(T::augment_args)
    }

    fn augment_args_for_update(command: Command) -> Command {
        command.defer(T::augment_args_for_update)
    }
}

impl<T: FromArgMatches> FromArgMatches for Lazy<T> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        T::from_arg_matches(matches).map(Self)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        self.0.update_from_arg_matches(matches)
    }
}
