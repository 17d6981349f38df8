//! Fair shares: what one user does must not keep another out.
//!
//! Everything that users compete for has a bound, and one of three ways to share it:
//!
//! - [`Rate`]: how much is done each second. A user who asks for less than an equal share always gets it.
//! - [`Table`]: how much is remembered. When a table is full, the owner of the most entries loses the oldest of them.
//! - [`Turns`]: who is served next. Users take turns, however much each of them is waiting for.
//!
//! Only a user who has proved a key is charged, so nobody can use up somebody else's share.

mod rate;
mod table;
mod turns;

pub use rate::Rate;
pub use table::Table;
pub use turns::{Place, Turns};
