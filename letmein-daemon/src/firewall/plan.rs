//! What the firewall shall look like, and the names of what belongs to us in it.

use super::error::FirewallError;
use super::lease::Protocol;

/// Leases that each of the two sets (IPv4, IPv6) can hold unless the plan says otherwise. The kernel sizes
/// its hash table by it: about 16 bytes for each slot.
pub const DEFAULT_CAPACITY: u32 = 16_384;

/// The table of guard mode, in family `inet`. Everything in it is ours.
pub const GUARD_TABLE: &str = "letmein";
/// The base chain of guard mode.
pub(super) const GUARD_CHAIN: &str = "input";
/// The set of ports that guard mode closes.
pub(super) const PROTECTED_SET: &str = "protected";

/// Each rule of ours carries a comment that starts with this. (A comment on the table or on a set would do as
/// well, but nft loses those in JSON input up to 1.0.6.)
pub(super) const MARK: &str = "letmein: ";

/// Everything the firewall needs to know from the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FirewallPlan {
    /// Whose table the rules live in.
    pub mode: Mode,
    /// Ports that are closed to who holds no lease. Used by guard mode; in chain mode the user's own rules
    /// close them.
    pub protected: Vec<(Protocol, u16)>,
    /// Ports the daemon itself listens on. Chain mode accepts them; guard mode does not touch them.
    pub control: Vec<(Protocol, u16)>,
    /// Leases that each of the IPv4 and the IPv6 set can hold.
    pub capacity: u32,
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

/// What a packet to a protected port gets from who holds no lease.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Closed {
    /// Nothing, as if no machine were there.
    #[default]
    Drop,
    /// What a port without a listener gives: a TCP reset, or ICMP port unreachable.
    Reject,
}

/// Where the lease sets are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SetNames {
    pub table: String,
    pub leases4: &'static str,
    pub leases6: &'static str,
}

/// What is ours, so that a change of it matters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Scope {
    pub table: String,
    pub chains: Vec<String>,
    pub sets: Vec<&'static str>,
    /// Those of the sets that hold leases, IPv4 first.
    pub leases: [&'static str; 2],
}

impl FirewallPlan {
    pub(super) fn scope(&self) -> Scope {
        let SetNames {
            table,
            leases4,
            leases6,
        } = self.sets();
        let leases = [leases4, leases6];
        let (chain, others) = match &self.mode {
            Mode::Guard { .. } => (GUARD_CHAIN, &[PROTECTED_SET][..]),
            Mode::Chain { chain, .. } => (chain.as_str(), &[][..]),
        };
        Scope {
            table,
            chains: vec![chain.to_owned()],
            sets: [&leases, others].concat(),
            leases,
        }
    }

    pub(super) fn sets(&self) -> SetNames {
        match &self.mode {
            Mode::Guard { .. } => SetNames {
                table: GUARD_TABLE.to_owned(),
                leases4: "leases4",
                leases6: "leases6",
            },
            Mode::Chain { table, .. } => SetNames {
                table: table.clone(),
                leases4: "letmein_leases4",
                leases6: "letmein_leases6",
            },
        }
    }

    /// Refuses what nft would refuse with less to go on.
    pub(super) fn check(&self) -> Result<(), FirewallError> {
        if let Mode::Chain { table, chain } = &self.mode {
            check_name("table", table)?;
            check_name("chain", chain)?;
            if table == GUARD_TABLE {
                return Err(FirewallError::ReservedTable { table: table.clone() });
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
            protected: vec![],
            control: vec![],
            capacity: 8,
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
