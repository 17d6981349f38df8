//! `letmeind`: opens ports for who proves a key, and keeps them closed for everybody else.
//!
//! A knock's way: [`xdp`] (the kernel checks it) or [`userspace_gate`] (the same checks without XDP) →
//! [`control`] (sockets) and [`protocol`] (the messages' meaning), or [`silent`] → [`leases`] → [`firewall`].

pub mod clock;
pub mod config;
pub mod control;
pub mod core_dumps;
pub mod exchange;
pub mod firewall;
pub mod forwarding;
#[doc(hidden)]
pub mod fuzzing;
pub mod healing;
pub mod instance;
pub mod interfaces;
pub mod leases;
pub mod netlink;
pub mod protocol;
pub mod remembered;
pub mod server;
pub mod silent;
pub mod trial;
pub mod userspace_gate;
pub mod xdp;
