//! What the documents tell their readers to type works as it is written there. Needs root.

#![expect(
    clippy::unwrap_used,
    reason = "what a test cannot do without, it must fail without"
)]

mod checkout;
mod marks;
mod story;

use story::Story;

#[test]
fn of_the_readme() {
    Story::begin().tell("README.md");
}

#[test]
fn of_the_client() {
    // The key is made by the document.
    Story::begin().tell("docs/client.md");
}

#[test]
fn of_firewalls() {
    let story = Story::begin();
    story.configure_gate();
    story.tell("docs/firewalls.md");
}
