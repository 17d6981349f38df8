//! What can go wrong between us and the kernel's firewall, and what an operator can do about it.

use std::io;
use std::time::Duration;

use letmein_common::ResourceId;
use nix::errno::Errno;

use super::plan::Hook;

/// An error of the firewall. Rules and leases are written in transactions: what was refused has changed nothing.
/// (Only [`close`](super::Firewall::close) takes its keys one by one: those before the refused one are closed.)
#[derive(Debug, thiserror::Error)]
pub enum FirewallError {
    /// There is no `nft` program.
    #[error("the program `nft` was not found: install nftables (Debian, Ubuntu: apt install nftables)")]
    NftMissing,

    /// `nft` is there but could not be run.
    #[error("could not run `nft`")]
    NftNotRun(#[source] io::Error),

    /// The kernel let us not change the firewall.
    #[error("no permission to change the firewall: run as root, or with CAP_NET_ADMIN")]
    NoPrivilege,

    /// `nft` refused.
    #[error("nft failed while {doing}: {message}")]
    Nft {
        /// What was being done.
        doing: &'static str,
        /// What nft wrote to its standard error, or why its output could not be read.
        message: String,
    },

    /// The guard table's name is taken.
    #[error(
        "table `inet letmein` exists but was not made by letmeind ({what}): rename it, or delete it with \
         `nft delete table inet letmein`"
    )]
    ForeignTable {
        /// What in it is not ours.
        what: String,
    },

    /// Chain mode was asked for while the guard table of an earlier run still closes the ports.
    #[error(
        "table `inet letmein` of guard mode is still installed and would keep ports closed: remove it with \
         `letmeind down` or `nft delete table inet letmein`, then start again"
    )]
    GuardLeft,

    /// A table or chain name that nft would not take.
    #[error(
        "`{name}` is no {what} name for nftables: start with a letter, go on with letters, digits, `_`, `-`, `.` \
         or `/`"
    )]
    BadName {
        /// `table` or `chain`.
        what: &'static str,
        /// The name.
        name: String,
    },

    /// Chain mode with the table that guard mode owns.
    #[error("table `{table}` belongs to guard mode: give chain mode another table, such as `filter`")]
    ReservedTable {
        /// The table.
        table: String,
    },

    /// Chain mode without the user's table.
    #[error(
        "table `inet {table}` does not exist: load a ruleset that has it, with `chain {chain} {{ }}` and an input \
         chain with the rule `jump {chain}` in it (the example nftables.conf does), or use firewall mode \
         \"guard\", which needs none"
    )]
    NoTable {
        /// The table.
        table: String,
        /// The chain that it has to have.
        chain: String,
    },

    /// Chain mode without the user's chain.
    #[error(
        "table `inet {table}` has no chain `{chain}`: add `chain {chain} {{ }}` to it and the rule `jump {chain}` \
         to its {hook} chain (see the example nftables.conf), or use firewall mode \"guard\", which needs neither"
    )]
    NoChain {
        /// The table.
        table: String,
        /// The chain.
        chain: String,
        /// What the chain is for.
        hook: Hook,
    },

    /// Guard mode with a jump.
    #[error(
        "a jump to chain `{chain}` is not possible in guard mode: nftables jumps only within a table; use firewall \
         mode \"chain\""
    )]
    JumpInGuard {
        /// The chain.
        chain: String,
    },

    /// A jump to a chain that is not there.
    #[error(
        "table `inet {table}` has no chain `{chain}`, which resource {resource} jumps to: add it to that table, or \
         remove the jump"
    )]
    NoJumpTarget {
        /// The table.
        table: String,
        /// The chain.
        chain: String,
        /// Whose jump it is.
        resource: ResourceId,
    },

    /// A jump to a chain that cannot be jumped to.
    #[error(
        "resource {resource} jumps to chain `{chain}` in table `inet {table}`, which is {what}: name a chain of yours \
         that is at no hook"
    )]
    BadJumpTarget {
        /// The table.
        table: String,
        /// The chain.
        chain: String,
        /// Whose jump it is.
        resource: ResourceId,
        /// What it is instead.
        what: &'static str,
    },

    /// The user's chain is itself attached to a hook.
    #[error(
        "chain `{chain}` in table `inet {table}` is a base chain: letmeind rewrites its chain, so give it one of \
         its own (`chain LETMEIN-INPUT {{ }}`) and add the rule `jump LETMEIN-INPUT` to `{chain}`"
    )]
    BaseChain {
        /// The table.
        table: String,
        /// The chain.
        chain: String,
    },

    /// The user's chain has rules that we would lose.
    #[error(
        "chain `{chain}` in table `inet {table}` holds rules that letmeind did not write: it rewrites its chain, \
         so move them, or empty it with `nft flush chain inet {table} {chain}`"
    )]
    ForeignRules {
        /// The table.
        table: String,
        /// The chain.
        chain: String,
    },

    /// A set of our name that is not one of ours.
    #[error("set `{set}` in table `inet {table}` is not as letmeind makes it: delete or rename it")]
    ForeignSet {
        /// The table.
        table: String,
        /// The set.
        set: String,
    },

    /// The lease sets have gone.
    #[error(
        "the lease sets in table `inet {table}` are gone (was the ruleset flushed, or nftables restarted?): \
         letmeind puts them back as soon as it can, and its log tells if something is in the way"
    )]
    NotInstalled {
        /// The table they were in.
        table: String,
    },

    /// No room for another lease.
    #[error("the lease set is full ({capacity} leases): raise the number of leases or shorten them")]
    Full {
        /// How many leases each set can hold.
        capacity: u32,
    },

    /// A lifetime that the kernel cannot count.
    #[error("a lease of {lifetime:?} is not possible: at least 100 ms, at most 10 years")]
    Lifetime {
        /// What was asked for.
        lifetime: Duration,
    },

    /// The kernel does not let us see its connections.
    #[error(
        "connections cannot be ended, as a resource with `cut` asks for: the kernel does not list them; load the module \
         nf_conntrack_netlink, or remove `cut`"
    )]
    NoConntrack {
        /// The kernel's error.
        #[source]
        errno: Errno,
    },

    /// No notifications.
    #[error("cannot listen to what others change in nftables")]
    Watch(#[source] io::Error),

    /// The kernel refused for another reason, or did not answer.
    #[error("the kernel's nftables failed while {doing}")]
    Netlink {
        /// What was being done.
        doing: &'static str,
        /// The kernel's error.
        #[source]
        errno: Errno,
    },
}
