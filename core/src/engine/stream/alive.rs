//! Which matches may still be under way at the end of a text that goes on.

use crate::engine::matcher::MatcherError;
use crate::policy::{Pattern, PatternKind, Trigger};
use aho_corasick::automaton::Automaton;
use aho_corasick::nfa::contiguous::NFA;
use aho_corasick::{Anchored, MatchKind};
use regex_automata::nfa::thompson::{self, State, WhichCaptures};
use regex_automata::util::primitives::StateID;
use std::sync::OnceLock;

/// Patterns whose matches hold text back.
pub(crate) struct Alive {
    /// Texts that begin at the start of a word, and those that begin anywhere.
    words: Option<Trie>,
    anywhere: Option<Trie>,
    expressions: Vec<Expression>,
    /// The longest match of an expression that is tried everywhere.
    always: usize,
}

struct Trie {
    nfa: NFA,
    /// By text: the expression that it may begin.
    begins: Vec<Option<usize>>,
}

/// Texts, each with the expression that it may begin.
type Texts<'p> = (Vec<&'p [u8]>, Vec<Option<usize>>);

struct Expression {
    source: String,
    max_len: usize,
    compiled: OnceLock<Option<thompson::NFA>>,
}

/// Buffers of [`Alive::begins`].
#[derive(Default)]
pub(crate) struct AliveScratch {
    now: Vec<StateID>,
    next: Vec<StateID>,
    stack: Vec<StateID>,
    /// By state of the automaton, the round in which it was last looked at.
    seen: Vec<u32>,
    round: u32,
}

impl AliveScratch {
    /// Starts a round over an automaton of so many states.
    fn next_round(&mut self, states: usize) {
        self.round = self.round.wrapping_add(1);
        if self.round == 0 {
            self.seen.clear();
            self.round = 1;
        }
        if self.seen.len() < states {
            self.seen.resize(states, 0);
        }
    }

    /// Whether the state was not looked at in this round yet.
    fn is_new(&mut self, state: StateID) -> bool {
        let Some(seen) = self.seen.get_mut(state.as_usize()) else { return false };
        std::mem::replace(seen, self.round) != self.round
    }
}

impl Alive {
    /// No patterns at all.
    pub(crate) fn nothing() -> Self {
        Self { words: None, anywhere: None, expressions: Vec::new(), always: 0 }
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
        let (mut words, mut anywhere): (Texts<'_>, Texts<'_>) = Default::default();
        let mut expressions = Vec::new();
        let mut always = 0;
        for pattern in patterns {
            match &pattern.kind {
                PatternKind::Literal { text, open_start, .. } => {
                    let list = if *open_start { &mut anywhere } else { &mut words };
                    list.0.push(text.as_bytes());
                    list.1.push(None);
                }
                PatternKind::Regex { source, max_len, trigger } => {
                    let max_len = *max_len as usize;
                    match trigger {
                        Trigger::Prefixes { texts, word_start } => {
                            let list = if *word_start { &mut words } else { &mut anywhere };
                            list.0.extend(texts.iter().map(Vec::as_slice));
                            list.1.extend(texts.iter().map(|_| Some(expressions.len())));
                            let compiled = OnceLock::new();
                            expressions.push(Expression { source: source.clone(), max_len, compiled });
                        }
                        Trigger::Always => always = always.max(max_len),
                    }
                }
            }
        }
        let trie = |(texts, begins): Texts<'_>| {
            if texts.is_empty() {
                return Ok(None);
            }
            let nfa = NFA::builder()
                .match_kind(MatchKind::Standard)
                .prefilter(false)
                .build(texts)
                .map_err(|error| MatcherError::new(error.to_string()))?;
            Ok(Some(Trie { nfa, begins }))
        };
        Ok(Self { words: trie(words)?, anywhere: trie(anywhere)?, expressions, always })
    }

    /// Whether a match that begins at `at` may reach past the end of `text`, as far as can be told.
    pub(crate) fn begins(&self, text: &[u8], at: usize, scratch: &mut AliveScratch) -> bool {
        if text.len() - at.min(text.len()) < self.always {
            return true;
        }
        let inside =
            |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
        let joined = inside(text.get(at)) && inside(at.checked_sub(1).and_then(|before| text.get(before)));
        self.words.as_ref().is_some_and(|trie| !joined && self.walk(trie, text, at, scratch))
            || self.anywhere.as_ref().is_some_and(|trie| self.walk(trie, text, at, scratch))
    }

    fn walk(&self, trie: &Trie, text: &[u8], at: usize, scratch: &mut AliveScratch) -> bool {
        let Ok(mut state) = trie.nfa.start_state(Anchored::Yes) else { return true };
        for (end, &byte) in text.iter().enumerate().skip(at) {
            state = trie.nfa.next_state(Anchored::Yes, state, byte);
            if !trie.nfa.is_special(state) {
                continue;
            }
            if trie.nfa.is_dead(state) {
                return false;
            }
            let found = if trie.nfa.is_match(state) { trie.nfa.match_len(state) } else { 0 };
            for index in 0..found {
                let which = trie.nfa.match_pattern(state, index);
                // A state also names the texts that end the one it stands for: those began later.
                let whole = trie.nfa.pattern_len(which) == end + 1 - at;
                let expression = trie.begins.get(which.as_usize()).copied().flatten();
                if let Some(expression) = expression.and_then(|it| self.expressions.get(it)).filter(|_| whole)
                    && expression.goes_on(text, at, scratch)
                {
                    return true;
                }
            }
        }
        true
    }
}

impl Expression {
    /// Whether the expression, begun at `at`, has a match in view that depends on what follows the text.
    fn goes_on(&self, text: &[u8], at: usize, scratch: &mut AliveScratch) -> bool {
        if at + self.max_len < text.len() {
            return false;
        }
        let Some(nfa) = self.compiled.get_or_init(|| compile(&self.source)) else { return true };
        scratch.now.clear();
        scratch.now.push(nfa.start_anchored());
        for (at, &byte) in text.iter().enumerate().skip(at) {
            scratch.next_round(nfa.states().len());
            scratch.next.clear();
            let now = std::mem::take(&mut scratch.now);
            // In order of preference: what comes after a match in this order cannot win any more.
            'threads: for &thread in now.iter() {
                scratch.stack.push(thread);
                while let Some(id) = scratch.stack.pop() {
                    if !scratch.is_new(id) {
                        continue;
                    }
                    let AliveScratch { next, stack, .. } = &mut *scratch;
                    match nfa.state(id) {
                        State::ByteRange { trans } => {
                            next.extend(trans.matches_byte(byte).then_some(trans.next))
                        }
                        State::Sparse(all) => next.extend(all.matches_byte(byte)),
                        State::Dense(all) => next.extend(all.matches_byte(byte)),
                        State::Look { look, next: then } => {
                            stack.extend(nfa.look_matcher().matches(*look, text, at).then_some(*then));
                        }
                        State::Union { alternates } => stack.extend(alternates.iter().rev()),
                        State::BinaryUnion { alt1, alt2 } => stack.extend([*alt2, *alt1]),
                        State::Capture { next: then, .. } => stack.push(*then),
                        State::Fail => {}
                        State::Match { .. } => {
                            stack.clear();
                            break 'threads;
                        }
                    }
                }
            }
            scratch.now = std::mem::replace(&mut scratch.next, now);
            if scratch.now.is_empty() {
                return false;
            }
        }
        true
    }
}

/// The expression with ASCII classes over bytes, as the matcher reads it.
fn compile(source: &str) -> Option<thompson::NFA> {
    thompson::NFA::compiler()
        .configure(
            thompson::Config::new()
                .utf8(false)
                .which_captures(WhichCaptures::None)
                .nfa_size_limit(Some(1 << 20)),
        )
        .syntax(regex_automata::util::syntax::Config::new().unicode(false).utf8(false).nest_limit(50))
        .build(source)
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let mut scratch = AliveScratch::default();
        (0..text.len()).filter(|&at| alive.begins(text.as_bytes(), at, &mut scratch)).collect()
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
