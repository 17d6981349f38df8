//! What can become of frames, and how that is seen from outside.

use crate::{
    answer::Answer,
    site::{Counts, Site},
};
use letmein_tests::frames::as_tapped;

impl Site {
    /// Sends frames that the XDP program must drop for `reason`: none reaches the server, none is answered, each
    /// is counted.
    pub fn dropped(&mut self, reason: &str, frames: &[Vec<u8>]) {
        let seen = self.send(frames);
        for (number, frame) in frames.iter().enumerate() {
            let reached = as_tapped(frame).is_some_and(|shown| seen.reached.contains(&shown));
            assert!(!reached, "{reason}: number {number} reached the server");
        }
        assert_eq!(seen.answers, [], "{reason}: answered");
        assert_eq!(self.counts(), counts(reason, frames));
    }

    /// Sends genuine knocks: each reaches the server, is counted as genuine and gets one CHALLENGE.
    pub fn opened(&mut self, frames: &[Vec<u8>]) {
        let answers = self.let_in(frames);
        assert_eq!(answers, frames.len(), "how many genuine knocks were answered");
    }

    /// Sends genuine knocks in a guise that the server's kernel may or may not take: each reaches the server and
    /// is counted as genuine. Returns how many were answered.
    pub fn let_in(&mut self, frames: &[Vec<u8>]) -> usize {
        let answers = self.reach(frames);
        assert_eq!(self.counts(), counts("genuine", frames));
        assert!(answers.iter().all(Answer::is_challenge), "{answers:?}");
        answers.len()
    }

    /// Sends frames that are none of the gate's business: each reaches the server's kernel, none is counted, and
    /// nobody knocks by them.
    pub fn left_to_the_kernel(&mut self, frames: &[Vec<u8>]) {
        assert_eq!(self.reach(frames), []);
        assert_eq!(self.counts(), Counts::new());
    }

    /// Sends frames that all reach the server's kernel as they were sent, and returns what was answered. A tag that
    /// is cut off the kernel does not take, so nobody can see whether it got that far.
    fn reach(&mut self, frames: &[Vec<u8>]) -> Vec<Answer> {
        let mut seen = self.send(frames);
        for (number, frame) in frames.iter().enumerate() {
            let Some(shown) = as_tapped(frame) else {
                continue;
            };
            let found = seen.reached.iter().position(|reached| *reached == shown);
            assert!(
                found.is_some(),
                "number {number} did not reach the server: {frame:02x?}"
            );
            seen.reached.swap_remove(found.unwrap());
        }
        seen.answers
    }
}

/// All frames under one name.
fn counts(name: &str, frames: &[Vec<u8>]) -> Counts {
    let counted = (!frames.is_empty()).then(|| (name.to_owned(), frames.len() as u64));
    counted.into_iter().collect()
}
