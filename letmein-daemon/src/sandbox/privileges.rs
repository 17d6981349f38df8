//! Users, capabilities and signals.

use anyhow::{Context as _, ensure};
use nix::{
    sys::signal::{SigSet, Signal},
    unistd::{Gid, Uid, getgroups, getresgid, getresuid, setgroups, setresgid, setresuid, setuid},
};
use rustix::{
    io::Errno,
    process::{DumpableBehavior, set_dumpable_behavior, set_parent_process_death_signal},
    thread::{
        CapabilitySet, CapabilitySets, capabilities, capability_is_in_bounding_set,
        clear_ambient_capability_set, remove_capability_from_bounding_set, set_capabilities,
        set_no_new_privs,
    },
};

/// What the warden keeps: to program nftables and to attach XDP programs; to load those, with maps, as root loads them;
/// to bind a control port below 1024 when the configuration changes; and to kill a gatekeeper that does not end.
const WARDEN: CapabilitySet = CapabilitySet::NET_ADMIN
    .union(CapabilitySet::BPF)
    .union(CapabilitySet::PERFMON)
    .union(CapabilitySet::NET_BIND_SERVICE)
    .union(CapabilitySet::KILL);

/// Signals that ask a daemon for something are the warden's: the gatekeeper ends with that one.
pub fn leave_signals_to_the_warden() -> anyhow::Result<()> {
    let signals = [
        Signal::SIGHUP,
        Signal::SIGINT,
        Signal::SIGQUIT,
        Signal::SIGTERM,
        Signal::SIGTSTP,
        Signal::SIGUSR1,
        Signal::SIGUSR2,
    ];
    Ok(signals.into_iter().collect::<SigSet>().thread_block()?)
}

/// Gives up all of root that the warden does not need. This thread has to be the only one.
pub(super) fn keep_the_wardens() -> anyhow::Result<()> {
    keep(WARDEN).context("cannot give up privileges, which takes CAP_SETPCAP")
}

/// Becomes this user, without privileges and for good, and dies when the parent does. This thread has to be the only one.
pub fn become_nobody(user: u32, group: u32) -> anyhow::Result<()> {
    let doing = "cannot become another user, which takes CAP_SETUID, CAP_SETGID and CAP_SETPCAP";
    empty_bounding_set(CapabilitySet::empty()).context(doing)?;
    let (user, group) = (Uid::from_raw(user), Gid::from_raw(group));
    setgroups(&[]).context(doing)?;
    setresgid(group, group, group).context(doing)?;
    setresuid(user, user, user).context(doing)?;
    keep(CapabilitySet::empty()).context(doing)?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    // After the change of user, which takes it back.
    set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
    verify(user, group)
}

/// There is no way back.
fn verify(user: Uid, group: Gid) -> anyhow::Result<()> {
    let (users, groups) = (getresuid()?, getresgid()?);
    let all_users = [users.real, users.effective, users.saved] == [user; 3];
    let all_groups = [groups.real, groups.effective, groups.saved] == [group; 3];
    ensure!(
        all_users && all_groups && getgroups()?.is_empty(),
        "this is still another user"
    );
    let left = capabilities(None)?;
    ensure!(
        (left.permitted | left.effective | left.inheritable).is_empty(),
        "capabilities are left"
    );
    ensure!(setuid(Uid::from_raw(0)).is_err(), "root can be had back");
    Ok(())
}

/// Keeps these capabilities, as far as they are there.
fn keep(kept: CapabilitySet) -> anyhow::Result<()> {
    empty_bounding_set(kept)?;
    let now = capabilities(None)?;
    clear_ambient_capability_set()?;
    let permitted = now.permitted & kept;
    set_capabilities(
        None,
        CapabilitySets {
            effective: permitted,
            permitted,
            inheritable: CapabilitySet::empty(),
        },
    )?;
    set_no_new_privs(true)?;
    Ok(())
}

/// Nothing that is executed from now on can have others than these.
fn empty_bounding_set(kept: CapabilitySet) -> anyhow::Result<()> {
    for number in 0..u64::BITS {
        // The kernel may know some that have no name here.
        let capability = CapabilitySet::from_bits_retain(1 << number);
        match capability_is_in_bounding_set(capability) {
            Ok(true) if !kept.contains(capability) => remove_capability_from_bounding_set(capability)?,
            Ok(_) => {}
            // That was the last one.
            Err(Errno::INVAL) => break,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
