//! Entries for the fuzz targets.

use crate::config::Config;

/// Reads a configuration as the program does. `Err` is what would be told of it.
pub fn config(text: &str) -> Result<(), String> {
    Config::parse(text)
        .map(drop)
        .map_err(|(_, told)| crate::secret::hide_keys(&told))
}
