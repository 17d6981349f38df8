//! What the end-to-end tests are made of: hosts in network namespaces, and the programs on them.

pub mod figures;
pub mod gate;
pub mod knocker;
pub mod lab;
pub mod letmeind;
pub mod nft;
pub mod peer;
