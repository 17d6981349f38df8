//! Enrolment lines: any text is refused without a word of what is in it, or is the one way to write what it says.

use letmein_enrolment::{
    is_host,
    line::{Enrolment, LONGEST, LONGEST_NAME, MOST_RESOURCES},
};

/// Reads a line.
pub fn line(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    match text.parse::<Enrolment>() {
        Ok(enrolment) => {
            assert!(text.len() <= LONGEST && text.bytes().all(|byte| byte.is_ascii_graphic()));
            assert_eq!(enrolment.to_line().as_ref().map(|line| line.as_str()), Ok(text));
            assert!(is_host(&enrolment.host) && enrolment.port != 0);
            assert!(enrolment.key.iter().any(|byte| *byte != 0));
            assert!((1..=MOST_RESOURCES).contains(&enrolment.resources.len()));
            let names = enrolment.resources.iter().map(|resource| &resource.name);
            for name in names.chain([&enrolment.name]) {
                assert!((1..=LONGEST_NAME).contains(&name.len()) && !name.contains(char::is_control));
            }
        }
        Err(error) => {
            let told = error.to_string();
            // A key has no blank in it, and no word of ours is that long.
            let words = text
                .split(['=', '&', '/', '?', ':', ' '])
                .filter(|word| word.len() > 16);
            for word in words {
                assert!(!told.contains(word), "it may be a key: {told}");
            }
        }
    }
}
