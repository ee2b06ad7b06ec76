//! Which matches may still be under way at the end of a text that goes on.

use crate::engine::matcher::MatcherError;
use crate::policy::{Pattern, PatternKind, Trigger};
use aho_corasick::automaton::Automaton;
use aho_corasick::nfa::contiguous::NFA;
use aho_corasick::{Anchored, MatchKind};

/// Patterns whose matches hold text back. Of an expression it knows how matches begin; how they go on is known to the search.
pub(crate) struct Alive {
    /// Texts that begin at the start of a word, and those that begin anywhere.
    words: Option<NFA>,
    anywhere: Option<NFA>,
    /// The longest match of an expression that is tried everywhere.
    always: usize,
}

impl Alive {
    /// No patterns at all.
    pub(crate) fn nothing() -> Self {
        Self { words: None, anywhere: None, always: 0 }
    }

    /// A match may be under way anywhere.
    pub(crate) fn everything() -> Self {
        Self { always: usize::MAX, ..Self::nothing() }
    }

    /// The longest match of any of the patterns.
    pub(crate) fn longest<'p>(patterns: impl Iterator<Item = &'p Pattern>) -> usize {
        let length = |pattern: &Pattern| match &pattern.kind {
            PatternKind::Literal { text, .. } => text.len(),
            PatternKind::Regex { max_len, .. } => *max_len as usize,
        };
        patterns.map(length).max().unwrap_or(0)
    }

    pub(crate) fn new<'p>(patterns: impl Iterator<Item = &'p Pattern>) -> Result<Self, MatcherError> {
        let (mut words, mut anywhere) = (Vec::new(), Vec::new());
        let mut always = 0;
        for pattern in patterns {
            match &pattern.kind {
                PatternKind::Literal { text, open_start, .. } => {
                    let list = if *open_start { &mut anywhere } else { &mut words };
                    list.push(text.as_bytes());
                }
                PatternKind::Regex { trigger: Trigger::Prefixes { texts, word_start }, .. } => {
                    let list = if *word_start { &mut words } else { &mut anywhere };
                    list.extend(texts.iter().map(Vec::as_slice));
                }
                PatternKind::Regex { max_len, .. } => always = always.max(*max_len as usize),
            }
        }
        let trie = |texts: Vec<&[u8]>| {
            if texts.is_empty() {
                return Ok(None);
            }
            let nfa = NFA::builder().match_kind(MatchKind::Standard).prefilter(false).build(texts);
            nfa.map(Some).map_err(|error| MatcherError::new(error.to_string()))
        };
        Ok(Self { words: trie(words)?, anywhere: trie(anywhere)?, always })
    }

    /// Whether a match that begins at `at` may reach past the end of `text`, or an expression begin there, as far as can be
    /// told.
    pub(crate) fn begins(&self, text: &[u8], at: usize) -> bool {
        if text.len() - at.min(text.len()) < self.always {
            return true;
        }
        let inside =
            |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
        let joined = inside(text.get(at)) && inside(at.checked_sub(1).and_then(|before| text.get(before)));
        let goes_on = |trie: &NFA| {
            let Ok(mut state) = trie.start_state(Anchored::Yes) else { return true };
            text.get(at..).unwrap_or_default().iter().all(|&byte| {
                state = trie.next_state(Anchored::Yes, state, byte);
                !trie.is_dead(state)
            })
        };
        !joined && self.words.as_ref().is_some_and(goes_on) || self.anywhere.as_ref().is_some_and(goes_on)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::matcher::{MatchScratch, Matcher, Sweep};

    const NONE: [usize; 0] = [];

    fn literal(text: &str, open_start: bool) -> Pattern {
        let kind = PatternKind::Literal { text: text.into(), open_start, open_end: false };
        Pattern { kind, written: text.into() }
    }

    fn regex(source: &str, prefix: &str, max_len: u32) -> Pattern {
        let texts = vec![prefix.as_bytes().to_vec()];
        let trigger = Trigger::Prefixes { texts, word_start: true };
        Pattern {
            kind: PatternKind::Regex { source: source.into(), max_len, trigger },
            written: source.into(),
        }
    }

    fn starts(patterns: &[Pattern], text: &str) -> Vec<usize> {
        let alive = Alive::new(patterns.iter()).unwrap();
        let matcher = Matcher::new(patterns).unwrap();
        let all = vec![true; patterns.len()];
        let mut sweep = Sweep::default();
        let mut starts = Vec::new();
        // Byte by byte, as a text that grows.
        for end in 1..=text.len() {
            let text = text.get(..end).unwrap().as_bytes();
            matcher.sweep(text, 0, &all, &mut sweep, &mut MatchScratch::default(), &mut Vec::new());
            let goes_on = |at: &usize| alive.begins(text, *at) || sweep.is_under_way(&matcher, &all, *at);
            starts = (0..end).filter(goes_on).collect();
        }
        starts
    }

    #[test]
    fn a_literal_is_alive_until_it_cannot_match() {
        let patterns = [literal("nerve agent", false), literal("phobia", true)];
        assert_eq!(starts(&patterns, "make a nerve "), [7]);
        assert_eq!(starts(&patterns, "make a nerve a"), [7]);
        assert_eq!(starts(&patterns, "make a nervy "), NONE);
        assert_eq!(starts(&patterns, "an"), NONE);
        assert_eq!(starts(&patterns, "agoraphob"), [5]);
        assert_eq!(starts(&patterns, "un"), NONE, "`n` stands inside a word");
        assert_eq!(starts(&patterns, "nerve agent"), [0], "a word may go on");
        assert_eq!(starts(&patterns, "nerve agent "), NONE);
    }

    #[test]
    fn an_expression_is_alive_until_its_automaton_is_dead() {
        let patterns = [regex(r"\bhow (do|can) (i|we) (\w{1,8} ){0,2}make\b", "how ", 40)];
        assert_eq!(starts(&patterns, "so how "), [3]);
        assert_eq!(starts(&patterns, "so how can i "), [3]);
        assert_eq!(starts(&patterns, "so how can i even just "), [3]);
        assert_eq!(starts(&patterns, "so how can i even just now "), NONE);
        assert_eq!(starts(&patterns, "so how was "), NONE);
        assert_eq!(starts(&patterns, "how can i make"), [0]);
        assert_eq!(starts(&patterns, "how can i make "), [0], "`make` may be one of the words before it");
        assert_eq!(starts(&patterns, "how can i so so make "), NONE);
    }
}
