//! The program `letmein`; all of it is in the library beside it, so that it can be fuzzed.

use std::process::ExitCode;

fn main() -> ExitCode {
    letmein_client::run()
}
