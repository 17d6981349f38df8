//! `letmeind`: opens ports for who proves a key, and keeps them closed for everybody else.
//!
//! A knock's way: [`xdp`] (the kernel checks it) or [`userspace_gate`] (the same checks without XDP) → [`gatekeeper`], a
//! process without privileges: [`control`] (sockets) and [`protocol`] (the messages' meaning), or [`silent`] →
//! [`requests`] → [`warden`], the process that may change something → [`leases`] → [`firewall`].

pub mod channel;
pub mod clock;
pub mod clocks;
pub mod config;
pub mod control;
pub mod core_dumps;
pub mod elsewhere;
pub mod exchange;
pub mod fair;
pub mod firewall;
pub mod forwarding;
#[doc(hidden)]
pub mod fuzzing;
pub mod gatekeeper;
pub mod healing;
pub mod import;
pub mod instance;
pub mod interfaces;
pub mod leases;
pub mod loading;
pub mod logging;
pub mod netlink;
pub mod notify;
pub mod operator;
pub mod protocol;
pub mod quota;
pub mod remembered;
pub mod requests;
pub mod sandbox;
pub mod server;
pub mod silent;
pub mod stacking;
pub mod trial;
pub mod user;
pub mod userspace_gate;
pub mod warden;
pub mod xdp;
