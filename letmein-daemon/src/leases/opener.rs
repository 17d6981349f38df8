//! Who a lease was opened by.

use letmein_common::UserId;

/// Who has opened a lease.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Opener {
    /// Nobody knows: an earlier run has, or somebody else in nftables.
    #[default]
    Unknown,
    /// This user, by a knock.
    User(UserId),
    /// The user of this machine with this number, by `letmeind open`.
    Operator(u32),
}
