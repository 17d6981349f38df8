//! Small questions about tokens. Tokens, and not a syntax tree: what is inside of macros has no tree.

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

/// The group, if it is one with this delimiter.
pub fn group(token: Option<&TokenTree>, delimiter: Delimiter) -> Option<&Group> {
    match token {
        Some(TokenTree::Group(group)) if group.delimiter() == delimiter => Some(group),
        _ => None,
    }
}

/// The word, if the token is one.
pub fn word(token: Option<&TokenTree>) -> Option<String> {
    match token {
        Some(TokenTree::Ident(word)) => Some(word.to_string()),
        _ => None,
    }
}

/// The attribute that begins here, `#[…]` or `#![…]`: what is between its brackets.
pub fn attribute(tokens: &[TokenTree]) -> Option<&Group> {
    let is = |token: Option<&TokenTree>, wanted| matches!(token, Some(TokenTree::Punct(sign)) if sign.as_char() == wanted);
    if !is(tokens.first(), '#') {
        return None;
    }
    let inner = usize::from(is(tokens.get(1), '!'));
    group(tokens.get(1 + inner), Delimiter::Bracket)
}

pub fn list(tokens: TokenStream) -> Vec<TokenTree> {
    tokens.into_iter().collect()
}
