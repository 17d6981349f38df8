//! What the firewall would look like, without changing this machine's.
//!
//! The rules are installed in a network namespace that nobody else is in, and that ends with the process. So the answer
//! is the kernel's, and nft prints it as it prints the real table.

use std::fmt::Write as _;
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
/// user's table with what is ours in it, and with the chains that resources jump to, which are empty here.
///
/// The process goes into a network namespace of its own for that, and stays there. It may have no other threads yet,
/// unless it has `CAP_SYS_ADMIN`.
pub fn preview(plan: &FirewallPlan) -> Result<String, PreviewError> {
    plan.check()?;
    enter_namespace().map_err(PreviewError::Namespace)?;
    let table = match &plan.mode {
        Mode::Guard { .. } => GUARD_TABLE,
        Mode::Chain { table, .. } => {
            nft::script(&[], &users_table(plan, table), "making the user's table")?;
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

/// With the chains that have to be there: those that are left to us, and those that resources jump to.
fn users_table(plan: &FirewallPlan, table: &str) -> String {
    let ours = plan.chains().into_iter().map(|(_, chain)| chain);
    let jumps = plan.jumps.iter().flat_map(|jump| &jump.to);
    let mut commands = format!("add table inet {table}\n");
    for chain in ours.chain(jumps.map(|to| to.chain.as_str())) {
        // Writing to a string does not fail.
        let _infallible = writeln!(commands, "add chain inet {table} {chain}");
    }
    commands
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
