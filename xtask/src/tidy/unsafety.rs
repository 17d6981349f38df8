//! Finding unsafe code, and the reason that is given for it.

use super::tokens::{group, list, word};
use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// One place that is unsafe.
#[derive(Debug, PartialEq)]
pub struct Unsafe {
    pub line: usize,
    /// What it is, and in or of which item.
    pub item: String,
    /// The comment above, from after `SAFETY:` on.
    pub reason: Option<String>,
}

/// All that are in a file, in order.
pub fn find(tokens: &TokenStream, text: &str) -> Vec<Unsafe> {
    let mut search = Search {
        lines: text.lines().map(str::trim).collect(),
        found: Vec::new(),
    };
    search.walk(&list(tokens.clone()), "the file");
    search.found
}

struct Search<'a> {
    lines: Vec<&'a str>,
    found: Vec<Unsafe>,
}

impl Search<'_> {
    /// `within` is the item that these tokens are part of.
    fn walk(&mut self, tokens: &[TokenTree], within: &str) {
        let mut item = within.to_owned();
        for (index, token) in tokens.iter().enumerate() {
            let rest = &tokens[index + 1..];
            match token {
                TokenTree::Ident(keyword) if *keyword == "unsafe" => {
                    let what = describe(rest, &item);
                    self.note(keyword.span().start().line, what);
                }
                // `const` in a list of generic parameters names none of them.
                TokenTree::Ident(_) if !follows(tokens, index, &['<', ',']) => {
                    if let Some(name) = begins_item(&tokens[index..]) {
                        item = name;
                    }
                }
                TokenTree::Group(inner) => {
                    let inside = list(inner.stream());
                    // `#[unsafe(no_mangle)]` is about what comes after it, not about what it is in.
                    let attribute = follows(tokens, index, &['#']);
                    let about = attribute.then(|| next_item(rest)).flatten();
                    self.walk(&inside, about.as_deref().unwrap_or(&item));
                    if inner.delimiter() == Delimiter::Brace {
                        within.clone_into(&mut item);
                    }
                }
                TokenTree::Punct(sign) if sign.as_char() == ';' => within.clone_into(&mut item),
                _ => {}
            }
        }
    }

    fn note(&mut self, line: usize, item: String) {
        let reason = self.reason(line);
        self.found.push(Unsafe { line, item, reason });
    }

    /// The comment above the statement or the attributes that the line is a part of.
    fn reason(&self, line: usize) -> Option<String> {
        let above = self.lines.get(..line - 1)?;
        let is_comment = |line: &&str| line.starts_with("//");
        let end = above.iter().rposition(is_comment)? + 1;
        // Anything finished in between: the comment is about that.
        let between = &above[end..];
        if between
            .iter()
            .any(|line| line.is_empty() || line.ends_with([';', '}', '{']))
        {
            return None;
        }
        let begin = above[..end]
            .iter()
            .rposition(|line| !is_comment(line))
            .map_or(0, |line| line + 1);
        let comment: Vec<_> = above[begin..end]
            .iter()
            .map(|line| line.trim_start_matches('/').trim())
            .collect();
        let comment = comment.join(" ");
        let (_, reason) = comment.split_once("SAFETY:")?;
        let reason = reason.trim();
        (!reason.is_empty()).then(|| reason.to_owned())
    }
}

/// Whether one of these signs is right before the token.
fn follows(tokens: &[TokenTree], index: usize, signs: &[char]) -> bool {
    let before = index.checked_sub(1).and_then(|before| tokens.get(before));
    matches!(before, Some(TokenTree::Punct(sign)) if signs.contains(&sign.as_char()))
}

/// Says what is unsafe from the tokens that follow the keyword.
fn describe(rest: &[TokenTree], item: &str) -> String {
    if group(rest.first(), Delimiter::Brace).is_some() {
        return format!("a block in {item}");
    }
    if let Some(attribute) = group(rest.first(), Delimiter::Parenthesis) {
        let name = word(list(attribute.stream()).first()).unwrap_or_default();
        return format!("`{name}` of {item}");
    }
    let head = rest
        .iter()
        .take_while(|token| group(Some(token), Delimiter::Brace).is_none());
    let words: Vec<_> = head.map_while(|token| word(Some(token))).collect();
    format!("`unsafe {}`", words.join(" "))
}

/// The item whose keyword these tokens begin with.
fn begins_item(tokens: &[TokenTree]) -> Option<String> {
    let keyword = word(tokens.first())?;
    match keyword.as_str() {
        "fn" | "static" | "const" | "mod" | "trait" => {
            let mut names = tokens[1..].iter().map_while(|token| word(Some(token)));
            let name = names.find(|name| name != "mut")?;
            (!["fn", "unsafe", "extern"].contains(&name.as_str())).then(|| format!("`{name}`"))
        }
        "macro_rules" => Some(format!("`{}!`", word(tokens.get(2))?)),
        _ => None,
    }
}

/// The first item among these tokens.
fn next_item(tokens: &[TokenTree]) -> Option<String> {
    (0..tokens.len()).find_map(|index| begins_item(&tokens[index..]))
}

#[cfg(test)]
mod tests {
    use super::find;

    /// The places in a file: the item and the reason of each.
    fn places(text: &str) -> Vec<(String, Option<String>)> {
        let found = find(&text.parse().unwrap(), text);
        found.into_iter().map(|one| (one.item, one.reason)).collect()
    }

    #[test]
    fn each_kind_is_found_with_its_reason() {
        let text = "
            // SAFETY: only integers,
            // without padding.
            unsafe impl Pod for Key {}
            /// Reads.
            // SAFETY: the name is ours.
            #[unsafe(no_mangle)]
            pub extern \"C\" fn read<const N: usize>(from: *const u8) -> u8 {
                // SAFETY: checked by the caller.
                let byte =
                    unsafe { *from };
                byte
            }
            macro_rules! setting { () => {
                // SAFETY: aligned.
                unsafe { FIELD.read_volatile() }
            } }
            // SAFETY: for who keeps to it.
            unsafe fn raw() {}
        ";
        let expected = [
            ("`unsafe impl Pod for Key`", "only integers, without padding."),
            ("`no_mangle` of `read`", "the name is ours."),
            ("a block in `read`", "checked by the caller."),
            ("a block in `setting!`", "aligned."),
            ("`unsafe fn raw`", "for who keeps to it."),
        ];
        let expected: Vec<_> = expected
            .map(|(item, reason)| (item.to_owned(), Some(reason.to_owned())))
            .into();
        assert_eq!(places(text), expected);
    }

    #[test]
    fn a_comment_about_something_else_is_no_reason() {
        for text in [
            "fn f() { unsafe { g() } }",
            "fn f() {\n// Fast.\nunsafe { g() }\n}",
            "fn f() {\n// SAFETY: of the first.\nlet a = unsafe { g() };\nlet b = unsafe { g() };\n}",
            "// SAFETY:\nunsafe impl Pod for Key {}",
        ] {
            let places = places(text);
            let (_, reason) = places.last().unwrap();
            assert_eq!(*reason, None, "{text}");
        }
    }

    #[test]
    fn words_in_comments_and_strings_are_not_code() {
        let text = "//! No unsafe { } here.\nfn f() -> &'static str { \"unsafe { }\" }";
        assert_eq!(places(text), []);
    }
}
