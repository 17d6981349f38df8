//! The control port's sockets.

pub mod limits;
pub mod tcp;
pub mod udp;
pub mod unheard;
