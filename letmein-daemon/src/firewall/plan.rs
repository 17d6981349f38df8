//! What the firewall shall look like, and the names of what belongs to us in it.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;

use letmein_common::ResourceId;

use super::error::FirewallError;
use super::layout::Layout;
use super::lease::{LeaseKey, Protocol};
use super::lease_set::Family;
use super::ports::PortRange;

/// Leases that each of the two sets (IPv4, IPv6) can hold unless the plan says otherwise. The kernel sizes
/// its hash table by it: about 16 bytes for each slot.
pub const DEFAULT_CAPACITY: u32 = 16_384;

/// The table of guard mode, in family `inet`. Everything in it is ours.
pub const GUARD_TABLE: &str = "letmein";
/// The base chain of guard mode for what comes to this machine.
pub(super) const GUARD_CHAIN: &str = "input";
/// The base chain of guard mode for what this machine passes on.
pub(super) const FORWARD_CHAIN: &str = "forward";
/// The set of ports that are closed to who holds no lease.
pub(super) const PROTECTED_SET: &str = "protected";
/// The set of those among them that are for services behind this machine, too.
pub(super) const FORWARDED_SET: &str = "forwarded";
/// The base chain that keeps connections dead that were cut.
pub(super) const CUT_CHAIN: &str = "cut";
/// The base chains of chain mode that drop what would begin a connection in an old one's place.
pub(super) const SYN_CHAIN: &str = "syn";
/// The same for what is passed on.
pub(super) const SYN_FORWARD_CHAIN: &str = "syn_forward";
/// The base chains besides those of the guard, and the hook of each.
pub(super) const BASE_CHAINS: [(Hook, &str); 3] = [
    (Hook::Input, SYN_CHAIN),
    (Hook::Forward, SYN_FORWARD_CHAIN),
    (Hook::Postrouting, CUT_CHAIN),
];
/// The set of ports whose connections are cut.
pub(super) const CUT_PORTS: &str = "cut_ports";
/// The sets of UDP flows that were cut, for IPv4 and IPv6, and what their elements are made of.
pub(super) const CUT_FLOWS: [(Family, &str, [&str; 3]); 2] = [
    (
        Family::V4,
        "cut_flows4",
        ["ipv4_addr", "inet_service", "inet_service"],
    ),
    (
        Family::V6,
        "cut_flows6",
        ["ipv6_addr", "inet_service", "inet_service"],
    ),
];
/// What the elements of a set of ports are made of.
pub(super) const PORT_TYPES: [&str; 2] = ["inet_proto", "inet_service"];

/// Each rule of ours carries a comment that starts with this. (A comment on the table or on a set would do as
/// well, but nft loses those in JSON input up to 1.0.6.)
pub(super) const MARK: &str = "letmein: ";

/// Everything the firewall needs to know from the configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FirewallPlan {
    /// Whose table the rules live in.
    pub mode: Mode,
    /// Ports that are closed to who holds no lease. Used by guard mode; in chain mode the user's own rules
    /// close them.
    pub protected: Vec<Protected>,
    /// Ports the daemon itself listens on. Chain mode accepts them; guard mode does not touch them.
    pub control: Vec<(Protocol, u16)>,
    /// Leases that each set can hold.
    pub capacity: u32,
    /// Interfaces, perhaps with a `*` at the end, behind which is what this machine stands in front of: connections that
    /// begin there are passed on as if there were no guard. Used by guard mode.
    pub inside: Vec<String>,
    /// The chain of the user's that is ours and for what is passed on, such as `LETMEIN-FORWARD`. Used by chain mode, if
    /// anything is forwarded.
    pub forward_chain: String,
    /// The same for what this machine sends, such as `LETMEIN-OUTPUT`. Used by chain mode, if a jump is there.
    pub output_chain: String,
    /// Jumps to chains of the user's. Chain mode only.
    pub jumps: Vec<Jump>,
}

/// What a resource jumps to for who holds a lease of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Jump {
    /// The resource.
    pub resource: ResourceId,
    /// Leading bits of an IPv6 address that hold a lease.
    pub ipv6_prefix: u8,
    /// One for each hook at most.
    pub to: Vec<JumpTo>,
}

/// A jump at one hook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JumpTo {
    /// In which of our chains.
    pub hook: Hook,
    /// The user's chain that packets go on in.
    pub chain: String,
    /// Whether everybody's packets do so, as long as anybody holds a lease.
    pub for_all: bool,
}

impl Jump {
    /// The leases of it that a client gets.
    pub fn leases(&self, address: IpAddr) -> impl Iterator<Item = LeaseKey> {
        let source = self
            .is_for_source()
            .then(|| LeaseKey::jump(address, self.resource));
        let all = self.is_for_all().then(|| LeaseKey::jump_for_all(self.resource));
        source.into_iter().chain(all.into_iter().flatten())
    }

    pub(super) fn is_for_source(&self) -> bool {
        self.to.iter().any(|to| !to.for_all)
    }

    pub(super) fn is_for_all(&self) -> bool {
        self.to.iter().any(|to| to.for_all)
    }
}

/// Ports that are closed to who holds no lease, and how they are leased.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Protected {
    /// The ports, which one lease opens all together.
    pub ports: PortRange,
    /// Leading bits of an IPv6 address that hold a lease: 128 for the address alone.
    pub ipv6_prefix: u8,
    /// Whether they are protected, and opened, in what this machine passes on to others, too.
    pub forward: bool,
    /// Whether connections end with the lease that let them in.
    pub cut: bool,
}

impl From<PortRange> for Protected {
    /// On this machine, for single addresses.
    fn from(ports: PortRange) -> Self {
        Self {
            ports,
            ipv6_prefix: 128,
            forward: false,
            cut: false,
        }
    }
}

/// Whose table the rules live in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Our own table closes the protected ports, whatever other firewall the machine has.
    Guard {
        /// What a packet to a closed port gets.
        closed: Closed,
    },
    /// A chain in the user's own table of family `inet` accepts leases; the user jumps to it and closes the
    /// rest.
    Chain {
        /// The user's table, such as `filter`.
        table: String,
        /// The chain in it that is ours, such as `LETMEIN-INPUT`.
        chain: String,
    },
}

/// Where in the kernel's network stack a chain is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hook {
    /// For what comes to this machine.
    Input,
    /// For what this machine passes on.
    Forward,
    /// For what this machine sends.
    Output,
    /// For all that leaves this machine. No resource is about this one.
    Postrouting,
}

impl Hook {
    /// As nftables calls it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Forward => "forward",
            Self::Output => "output",
            Self::Postrouting => "postrouting",
        }
    }
}

impl fmt::Display for Hook {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// What a packet to a protected port gets from who holds no lease.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Closed {
    /// Nothing, as if no machine were there.
    #[default]
    Drop,
    /// What a port without a listener gives: a TCP reset, or ICMP port unreachable.
    Reject,
}

impl Default for Mode {
    fn default() -> Self {
        Self::Guard {
            closed: Closed::default(),
        }
    }
}

/// What is ours, so that a change of it matters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Scope {
    pub layout: Layout,
    pub chains: Vec<String>,
    pub sets: Vec<String>,
}

impl FirewallPlan {
    /// The ranges among the protected ports for which this holds. They have rules of their own, and are not in the sets of
    /// ports: a set with intervals is not renewed in one step by kernels before 6.10, so that for a moment what it closes
    /// is open.
    pub(super) fn ranges(&self, of: impl Fn(&Protected) -> bool) -> BTreeSet<PortRange> {
        self.protected
            .iter()
            .filter(|protected| protected.ports.is_range() && of(protected))
            .map(|protected| protected.ports)
            .collect()
    }

    /// Whether any connection ends with its lease.
    pub(super) fn cuts(&self) -> bool {
        self.protected.iter().any(|protected| protected.cut)
    }

    /// Whether any port is protected in what is passed on.
    pub(super) fn forwards(&self) -> bool {
        self.protected.iter().any(|protected| protected.forward)
    }

    /// The chains that are ours, and the hook that each is for.
    pub(super) fn chains(&self) -> Vec<(Hook, &str)> {
        let (input, forward) = match &self.mode {
            Mode::Guard { .. } => (GUARD_CHAIN, FORWARD_CHAIN),
            Mode::Chain { chain, .. } => (chain.as_str(), self.forward_chain.as_str()),
        };
        let mut chains = vec![(Hook::Input, input)];
        if self.forwards() || self.jumps_to(Hook::Forward).next().is_some() {
            chains.push((Hook::Forward, forward));
        }
        if self.jumps_to(Hook::Output).next().is_some() {
            chains.push((Hook::Output, &self.output_chain));
        }
        chains
    }

    /// The chains of chain mode that are about what begins a TCP connection.
    pub(super) fn syn_chains(&self) -> impl Iterator<Item = (Hook, &'static str)> {
        let is_tcp = |protected: &&Protected| {
            matches!(self.mode, Mode::Chain { .. }) && protected.ports.protocol == Protocol::Tcp
        };
        let any = self.protected.iter().any(|protected| is_tcp(&protected));
        let forwarded = self
            .protected
            .iter()
            .filter(is_tcp)
            .any(|protected| protected.forward);
        let input = any.then_some((Hook::Input, SYN_CHAIN));
        let forward = forwarded.then_some((Hook::Forward, SYN_FORWARD_CHAIN));
        input.into_iter().chain(forward)
    }

    /// The base chains that the plan needs besides those of the guard, by their names in our tables.
    pub(super) fn base_chains(&self, layout: &Layout) -> Vec<String> {
        let cut = self.cuts().then_some(CUT_CHAIN);
        let chains = self.syn_chains().map(|(_, chain)| chain).chain(cut);
        chains.map(|chain| layout.name(chain)).collect()
    }

    /// The jumps at a hook.
    pub(super) fn jumps_to(&self, hook: Hook) -> impl Iterator<Item = (&Jump, &JumpTo)> {
        self.jumps
            .iter()
            .flat_map(|jump| jump.to.iter().map(move |to| (jump, to)))
            .filter(move |(_, to)| to.hook == hook)
    }

    pub(super) fn layout(&self) -> Layout {
        Layout::of(self)
    }

    pub(super) fn scope(&self) -> Scope {
        let layout = self.layout();
        let chains = self.chains().into_iter().map(|(_, chain)| chain.to_owned());
        Scope {
            chains: chains.chain(self.base_chains(&layout)).collect(),
            sets: layout.all_names(),
            layout,
        }
    }

    /// Refuses what nft would refuse with less to go on.
    pub(super) fn check(&self) -> Result<(), FirewallError> {
        if let Mode::Chain { table, .. } = &self.mode {
            check_name("table", table)?;
            if table == GUARD_TABLE {
                return Err(FirewallError::ReservedTable { table: table.clone() });
            }
            for (_, chain) in self.chains() {
                check_name("chain", chain)?;
            }
        }
        for to in self.jumps.iter().flat_map(|jump| &jump.to) {
            check_name("chain", &to.chain)?;
            if matches!(self.mode, Mode::Guard { .. }) {
                return Err(FirewallError::JumpInGuard {
                    chain: to.chain.clone(),
                });
            }
        }
        Ok(())
    }
}

/// The identifiers that nft's own grammar takes (`nft(8)`, lexical conventions), at most 128 bytes as it
/// allows.
fn check_name(what: &'static str, name: &str) -> Result<(), FirewallError> {
    let mut bytes = name.bytes();
    let starts_well = bytes
        .next()
        .is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_');
    let goes_on_well = bytes.all(|byte| byte.is_ascii_alphanumeric() || b"_-./".contains(&byte));
    if starts_well && goes_on_well && name.len() <= 128 {
        Ok(())
    } else {
        Err(FirewallError::BadName {
            what,
            name: name.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain_mode(table: &str, chain: &str) -> FirewallPlan {
        FirewallPlan {
            mode: Mode::Chain {
                table: table.to_owned(),
                chain: chain.to_owned(),
            },
            ..FirewallPlan::default()
        }
    }

    #[test]
    fn names_follow_the_grammar_of_nft() {
        for good in ["filter", "LETMEIN-INPUT", "_x", "a.b/c"] {
            chain_mode("filter", good).check().unwrap();
        }
        for bad in ["", "1st", "a b", "x;flush", "-a", "gr\u{fc}n", &"x".repeat(129)] {
            assert!(
                matches!(
                    chain_mode("filter", bad).check(),
                    Err(FirewallError::BadName { .. })
                ),
                "{bad}"
            );
            assert!(
                matches!(
                    chain_mode(bad, "chain").check(),
                    Err(FirewallError::BadName { .. })
                ),
                "{bad}"
            );
        }
    }

    #[test]
    fn the_guard_table_is_no_users_table() {
        assert!(matches!(
            chain_mode("letmein", "input").check(),
            Err(FirewallError::ReservedTable { .. })
        ));
    }
}
