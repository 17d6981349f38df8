//! A line as a QR code, of half blocks: two rows of the picture in each line of text.

use anyhow::Context as _;
use qrcode::{EcLevel, QrCode, render::unicode::Dense1x2};
use std::fmt::Write as _;

/// The picture. Phones want dark on light, whatever the colours of the terminal are.
pub fn picture(line: &str, colours: bool) -> anyhow::Result<String> {
    let code = QrCode::with_error_correction_level(line, EcLevel::L)
        .context("the line is too long for a QR code; give the user fewer resources")?;
    let rows = code.render::<Dense1x2>().build();
    let mut picture = String::new();
    for row in rows.lines() {
        if colours {
            writeln!(picture, "\x1b[30;107m{row}\x1b[0m")?;
        } else {
            writeln!(picture, "{row}")?;
        }
    }
    Ok(picture)
}
