//! What the gate hands to a new user, and what both sides do with it: one [`mod@line`] with all that a client has to
//! know, the key included, and [files](mod@file) that hold [keys](key).

pub mod file;
mod host;
pub mod key;
pub mod line;
pub mod percent;

pub use host::is_host;
