//! What the firewall would look like, without changing this machine's.
//!
//! The rules are installed in a network namespace that nobody else is in, and that ends with the process. So the answer
//! is the kernel's, and nft prints it as it prints the real table.

use std::fs;
use std::io;

use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{getegid, geteuid};
use tracing::subscriber::{NoSubscriber, with_default};

use super::Firewall;
use super::error::FirewallError;
use super::nft;
use super::plan::{FirewallPlan, GUARD_TABLE, Mode};

/// Why there is no preview.
#[derive(Debug, thiserror::Error)]
pub enum PreviewError {
    /// No network namespace for us alone.
    #[error(
        "cannot make a network namespace to try the rules in: run as root (CAP_SYS_ADMIN), or where everybody may \
         make user namespaces"
    )]
    Namespace(#[source] io::Error),
    /// The rules cannot be installed.
    #[error(transparent)]
    Firewall(#[from] FirewallError),
}

/// The table with everything that [`Firewall::install`] would put there, in nft's own language. In chain mode it is the
/// user's table with what is ours in it.
///
/// The process goes into a network namespace of its own for that, and stays there. It may have no other threads yet,
/// unless it has `CAP_SYS_ADMIN`.
pub fn preview(plan: &FirewallPlan) -> Result<String, PreviewError> {
    plan.check()?;
    enter_namespace().map_err(PreviewError::Namespace)?;
    let table = match &plan.mode {
        Mode::Guard { .. } => GUARD_TABLE,
        Mode::Chain { table, chain } => {
            let users = format!("table inet {table} {{ chain {chain} {{ }}; }}");
            nft::script(&[], &users, "making the user's table")?;
            table
        }
    };
    // Nothing is installed as far as the log is concerned.
    with_default(NoSubscriber::default(), || Firewall::install(plan))?;
    Ok(nft::script(
        &[],
        &format!("list table inet {table}"),
        "listing the rules",
    )?)
}

fn enter_namespace() -> io::Result<()> {
    match unshare(CloneFlags::CLONE_NEWNET) {
        Err(Errno::EPERM) => {}
        outcome => return Ok(outcome?),
    }
    let (user, group) = (geteuid(), getegid());
    unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNET)?;
    // As root of the new namespace, nft has the capabilities that it needs there. (user_namespaces(7): a group may be
    // mapped when setgroups(2) has been given up.)
    fs::write("/proc/self/setgroups", "deny")?;
    fs::write("/proc/self/uid_map", format!("0 {user} 1"))?;
    fs::write("/proc/self/gid_map", format!("0 {group} 1"))
}
