//! The compiled program.

use super::error::XdpError;

/// What `cargo xtask build-ebpf` made, or nothing when it had not run before this binary was built.
static EMBEDDED: &[u8] = aya::include_bytes_aligned!(env!("LETMEIN_BPF_OBJECT"));

/// An ELF object with one XDP program and its maps.
#[derive(Clone, Copy)]
pub struct Object<'a>(&'a [u8]);

impl Object<'static> {
    /// The program inside this binary.
    pub fn embedded() -> Result<Self, XdpError> {
        if EMBEDDED.is_empty() {
            Err(XdpError::NotBuiltIn)
        } else {
            Ok(Self(EMBEDDED))
        }
    }
}

impl<'a> Object<'a> {
    /// Another object, as the measurements load.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) const fn bytes(self) -> &'a [u8] {
        self.0
    }
}
