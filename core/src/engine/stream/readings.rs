//! What the models say of a text that goes on.
//!
//! The text is read in passages of about the size of a window, which overlap. A passage is read at ends of sentences while it
//! grows, and once more when it is complete: no byte is read more than a fixed number of times. What a growing passage
//! scores makes the text wait; what it scores when it is complete, or still after the wait, is acted upon.

use super::Shared;
use crate::classifier::{Likeness, Passage, ScoreError, TextScores};
use crate::engine::scores::Known;
use crate::message::Surface;

/// A passage is read at the end of a sentence when it has grown by so many bytes, and anywhere when it has by twice as many.
const GROWN: usize = 96;
/// A passage of so many bytes is complete: about a window of the models.
const PASSAGE: usize = 512;
/// So many bytes of it belong to the next one as well.
const OVERLAP: usize = 128;

/// The scores of a text.
#[derive(Default)]
pub(super) struct Readings {
    /// Where the growing passage begins, and up to where it was read.
    pub from: usize,
    pub till: usize,
    /// The largest scores of complete passages, and those of the growing one.
    complete: TextScores,
    growing: TextScores,
    complete_likes: Vec<Likeness>,
    growing_likes: Vec<Likeness>,
    failed: Option<ScoreError>,
}

impl Readings {
    /// Whether the text up to `point` is to be read now. `text` ends there.
    pub(super) fn is_due(&self, text: &str, point: usize) -> bool {
        let grown = point - self.till;
        let sentence =
            text.trim_end().ends_with(['.', '!', '?', ':', '。', '！', '？']) || text.ends_with('\n');
        grown >= 2 * GROWN || grown >= GROWN && sentence || grown > 0 && point - self.from >= PASSAGE
    }

    /// Reads the growing passage, whose text this is, up to `point`.
    pub(super) fn read(&mut self, shared: &mut Shared, surface: Surface, text: &str, point: usize) {
        let guard = shared.guard();
        let Some(classifier) = &guard.classifier else { return };
        let context = shared.request_text();
        let passage = Passage { surface, text, context: context.as_deref() };
        let scores = &mut shared.scratch.scans.scores;
        match scores.read(classifier, &passage, shared_likes(&guard), &mut self.growing_likes) {
            Ok(scores) => self.growing = scores,
            Err(error) => self.failed = Some(error),
        }
        self.till = point;
        if point - self.from >= PASSAGE {
            let overlap = text.floor_char_boundary(text.len().saturating_sub(OVERLAP));
            let back =
                text.get(overlap..).and_then(|tail| tail.find(char::is_whitespace)).map_or(0, |at| at + 1);
            let back = if text.is_char_boundary(overlap + back) { back } else { 0 };
            self.settle();
            self.from = point - (text.len() - overlap - back);
        }
    }

    /// The growing passage is complete.
    fn settle(&mut self) {
        self.complete.merge_passage(&self.growing);
        merge(&mut self.complete_likes, &self.growing_likes);
        self.growing = TextScores::default();
        self.growing_likes.clear();
    }

    /// What the judge is to know: of complete passages only, or of the growing one as well.
    pub(super) fn known(&self, growing: bool) -> Known {
        let (mut scores, mut likes) = (self.complete, self.complete_likes.clone());
        if growing {
            scores.merge_passage(&self.growing);
            merge(&mut likes, &self.growing_likes);
        }
        let all_read = Some(self.failed.map_or(Ok(()), Err));
        Known { labels: Some(self.failed.map_or(Ok(scores), Err)), likes, all_read }
    }

    /// Whether the models failed on some passage.
    pub(super) fn has_failed(&self) -> bool {
        self.failed.is_some()
    }
}

fn merge(likes: &mut Vec<Likeness>, others: &[Likeness]) {
    likes.resize(likes.len().max(others.len()), Likeness::default());
    for (best, other) in likes.iter_mut().zip(others) {
        if other.probability > best.probability {
            *best = *other;
        }
    }
}

fn shared_likes(guard: &crate::engine::guard::Inner) -> bool {
    guard.policy.data().atoms.iter().any(|atom| matches!(atom, crate::policy::Atom::Like { .. }))
}
