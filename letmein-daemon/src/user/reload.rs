//! Telling a letmeind that runs of a change.

use crate::{config::Config, instance, operator::reload};
use anyhow::Context as _;
use std::path::Path;

/// Has the letmeind that runs here, if there is one, read its configuration again. Fails if it does not work by it
/// afterwards: a user who was removed still gets in then.
pub fn ask(path: &Path, changed: &Config) -> anyhow::Result<()> {
    tell(changed).with_context(|| {
        format!(
            "{} is changed, but the letmeind that runs has not taken it over",
            path.display()
        )
    })
}

fn tell(changed: &Config) -> anyhow::Result<()> {
    if instance::running()?.is_some() {
        let reloaded = reload::ask(&changed.operator.socket)?;
        eprintln!("The letmeind that runs has {}", reload::text(&reloaded));
    }
    Ok(())
}
