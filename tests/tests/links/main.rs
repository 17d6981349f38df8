//! Interfaces of all kinds: without an Ethernet header, stacked on each other, without the XDP program.

mod bare;
mod elsewhere;
mod scene;
mod stacked;
