//! Error texts quote what was written; a key that was written in the wrong place must not be among it.

/// As many hexadecimal digits in a row may be a key, or most of one.
const KEY_LIKE: usize = 48;

/// The text without anything that looks like a key.
pub fn hide_keys(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let run = rest.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(rest.len());
        let (digits, after) = rest.split_at(run);
        shown.push_str(if run < KEY_LIKE { digits } else { "(hidden)" });
        let other = after.find(|c: char| c.is_ascii_hexdigit()).unwrap_or(after.len());
        shown.push_str(&after[..other]);
        rest = &after[other..];
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::hide_keys;

    #[test]
    fn only_what_looks_like_a_key_is_hidden() {
        let key = "0123456789abcdefABCDEF".repeat(3);
        assert_eq!(hide_keys(&format!("no file {key}, é")), "no file (hidden), é");
        assert_eq!(hide_keys(&key), "(hidden)");
        for text in ["", "é", "/etc/letmein/letmein.toml:3:1: \"fade\"", &key[..47]] {
            assert_eq!(hide_keys(text), text);
        }
    }
}
