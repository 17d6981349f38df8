//! The datagrams a gate understands. A datagram's length tells the formats apart.

pub mod challenge;
pub mod silent;
