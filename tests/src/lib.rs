//! What the end-to-end tests are made of: hosts in network namespaces, the programs on them, and frames made
//! by hand.

pub mod bare;
pub mod bpffs;
pub mod document;
pub mod figures;
pub mod flood;
pub mod frames;
pub mod gate;
pub mod guest;
pub mod household;
pub mod knocker;
pub mod lab;
pub mod letmeind;
pub mod machine;
pub mod manager;
pub mod memory_limit;
pub mod nft;
pub mod peer;
pub mod processes;
pub mod silent;
pub mod sshd;
pub mod system_clock;
pub mod tap;
pub mod tun;
pub mod wait;
