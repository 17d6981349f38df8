//! Floods of forged packets, for measurements: what they are copies of, and who sends them.

mod pace;
mod sender;
mod template;

pub use pace::Pace;
pub use sender::{Progress, Sender};
pub use template::{Macs, Template};
