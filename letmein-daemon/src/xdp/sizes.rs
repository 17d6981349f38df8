//! Sizes of maps.

/// A map's size for this many entries: a map of none cannot be made.
pub(super) fn size(entries: usize) -> u32 {
    u32::try_from(entries).unwrap_or(u32::MAX).max(1)
}
