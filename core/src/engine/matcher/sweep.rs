//! A search that goes on where the text does.
//!
//! A stream looks at a window of text at every word. A sweep keeps what was found in it, and takes up what may go on where it
//! stood: each place is looked at once, each byte read once by what is under way.

use super::{Entry, FREE_TRIES, Hit, MatchScratch, Matcher, Regex, Search, Words};
use crate::engine::views::words::{is_word_end, is_word_start};
use aho_corasick::Anchored;
use aho_corasick::automaton::{Automaton, StateID};
use regex_automata::util::primitives::StateID as Thread;

/// What is known of a view that grows. What it holds belongs to one matcher.
#[derive(Debug, Default)]
pub(crate) struct Sweep {
    text: Vec<u8>,
    /// Matches that no more text can undo.
    settled: Vec<Hit>,
    /// Patterns that have matched up to the end of the text, with their starts: the word may go on.
    at_end: Vec<(u32, usize)>,
    /// Places from which the automaton of words has not read all it can, and its states.
    walks: Vec<(usize, StateID)>,
    anywhere: Option<StateID>,
    tries: Vec<Try>,
    /// Where the expressions of `tries` stand, one after another.
    threads: Vec<Thread>,
    /// How many expressions were tried since the sweep began.
    tried: usize,
    /// Up to where those of them reach that ask for the end of the text.
    ends: usize,
}

/// An expression under way.
#[derive(Clone, Copy, Debug)]
struct Try {
    regex: u32,
    start: usize,
    threads: usize,
    /// Up to where it was read.
    end: usize,
    /// Whether it has matched so far.
    matched: bool,
}

impl Sweep {
    pub(crate) fn clear(&mut self) {
        self.text.clear();
        self.settled.clear();
        self.at_end.clear();
        self.walks.clear();
        self.anywhere = None;
        self.tries.clear();
        self.threads.clear();
        self.tried = 0;
        self.ends = 0;
    }

    /// Becomes equal to `other` and keeps its buffers.
    pub(crate) fn copy_from(&mut self, other: &Self) {
        self.text.clone_from(&other.text);
        self.settled.clone_from(&other.settled);
        self.at_end.clone_from(&other.at_end);
        self.walks.clone_from(&other.walks);
        self.anywhere = other.anywhere;
        self.tries.clone_from(&other.tries);
        self.threads.clone_from(&other.threads);
        self.tried = other.tried;
        self.ends = other.ends;
    }

    /// Forgets the first bytes of the text. What began in them is not found any more, nor does anything begin where they end.
    pub(crate) fn forget(&mut self, bytes: usize) {
        let under_way =
            self.tries.iter().any(|it| it.start < bytes) || self.walks.iter().any(|it| it.0 < bytes);
        if under_way || bytes > self.text.len() || self.tried > FREE_TRIES {
            return self.clear();
        }
        self.text.drain(..bytes);
        self.ends = self.ends.saturating_sub(bytes);
        self.at_end.retain(|it| it.1 >= bytes);
        self.settled.retain(|hit| hit.start as usize >= bytes);
        let less = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.settled.iter_mut().for_each(|hit| (hit.start, hit.end) = (hit.start - less, hit.end - less));
        self.at_end.iter_mut().for_each(|(_, start)| *start -= bytes);
        self.walks.iter_mut().for_each(|(start, _)| *start -= bytes);
        self.tries.iter_mut().for_each(|it| (it.start, it.end) = (it.start - bytes, it.end - bytes));
    }

    /// Whether an expression may have matched at a place from `from` on because the text ended there.
    pub(crate) fn may_have_ended(&self, from: usize) -> bool {
        self.ends > from
    }

    /// Whether an expression of a pattern that is `held` is under way from a place on.
    pub(crate) fn is_under_way(&self, matcher: &Matcher, held: &[bool], start: usize) -> bool {
        let is_held = |regex: u32| {
            let pattern = matcher.regexes.get(regex as usize).map(|regex| regex.pattern as usize);
            pattern.and_then(|pattern| held.get(pattern)) == Some(&true)
        };
        self.tries.iter().any(|it| it.start == start && is_held(it.regex))
    }
}

impl Matcher {
    /// Does what [`Matcher::search`] does for patterns that are `wanted`, for a text that mostly begins with what `sweep` has
    /// read before.
    pub(crate) fn sweep(
        &self,
        text: &[u8],
        view: u16,
        wanted: &[bool],
        sweep: &mut Sweep,
        scratch: &mut MatchScratch,
        hits: &mut Vec<Hit>,
    ) {
        if !text.starts_with(&sweep.text) {
            sweep.clear();
        }
        let old = sweep.text.len();
        sweep.text.extend_from_slice(text.get(old..).unwrap_or_default());
        let first = hits.len();
        let mut going = Going { matcher: self, text, view, wanted, sweep, scratch };
        if text.len() > old {
            going.words_that_ended(old);
            if let Some(words) = &self.words {
                going.walk_on(words, old);
                going.begin(words, old);
            }
            going.anywhere(old);
            going.read();
        }
        if going.sweep.tried > FREE_TRIES {
            // Where so much is tried, expressions are run over the rest of the text instead.
            return self.search(text, view, scratch, hits);
        }
        going.report(hits);
        let mut search = Search { matcher: self, text, view, scratch, hits };
        self.always.iter().for_each(|&regex| search.scan(regex, 0));
        if let Some(new) = hits.get_mut(first..) {
            new.sort_unstable();
        }
    }
}

struct Going<'a> {
    matcher: &'a Matcher,
    text: &'a [u8],
    view: u16,
    wanted: &'a [bool],
    sweep: &'a mut Sweep,
    scratch: &'a mut MatchScratch,
}

impl<'a> Going<'a> {
    fn hit(&self, pattern: u32, start: usize, end: usize) -> Hit {
        let clamp = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Hit { start: clamp(start), end: clamp(end), pattern, view: self.view }
    }

    fn words_that_ended(&mut self, end: usize) {
        let closed = is_word_end(self.text, end);
        while let Some((pattern, start)) = self.sweep.at_end.pop() {
            if closed {
                self.sweep.settled.push(self.hit(pattern, start, end));
            }
        }
    }

    fn walk_on(&mut self, words: &Words, old: usize) {
        let walks = self.sweep.walks.len();
        for nth in 0..walks {
            if let Some(&(start, state)) = self.sweep.walks.get(nth) {
                self.walk(words, start, state, old);
            }
        }
        self.sweep.walks.drain(..walks);
    }

    /// Looks at the places from `old` on.
    fn begin(&mut self, words: &Words, old: usize) {
        let Ok(state) = words.nfa.start_state(Anchored::Yes) else { return };
        let text = self.text;
        let first = old / 64;
        let mut inside = words.gate.is_inside(text, first * 64);
        for nth in first..=text.len() / 64 {
            let mut block = [0; 64];
            let bytes = text.get(nth * 64..).unwrap_or_default();
            block.iter_mut().zip(bytes).for_each(|(to, &from)| *to = from);
            let mut places;
            (places, inside) = words.gate.places(&block, inside);
            if nth == first {
                places &= u64::MAX << (old % 64);
            }
            while places != 0 {
                let at = nth * 64 + places.trailing_zeros() as usize;
                places &= places - 1;
                if at >= text.len() {
                    return;
                }
                // Of what is nearer to the end the gate would have to know more.
                if at + 8 > text.len() || words.gate.admits(text, at) {
                    self.walk(words, at, state, at);
                }
            }
        }
    }

    /// Lets the automaton read what follows byte `from`; what began at `start` has brought it to `state`.
    fn walk(&mut self, words: &Words, start: usize, mut state: StateID, from: usize) {
        for (at, &byte) in self.text.iter().enumerate().skip(from) {
            state = words.nfa.next_state(Anchored::Yes, state, byte);
            if !words.nfa.is_special(state) {
                continue;
            }
            if words.nfa.is_dead(state) {
                return;
            }
            let found = if words.nfa.is_match(state) { words.nfa.match_len(state) } else { 0 };
            for index in 0..found {
                let text = words.nfa.match_pattern(state, index);
                // A state also names the texts that end the one it stands for: those began later.
                if words.nfa.pattern_len(text) == at + 1 - start
                    && let Some(&entry) = words.entries.get(text.as_usize())
                {
                    self.matched(entry, start, at + 1);
                }
            }
        }
        self.sweep.walks.push((start, state));
    }

    fn anywhere(&mut self, old: usize) {
        let Some((nfa, entries)) = &self.matcher.anywhere else { return };
        let Some(mut state) = self.sweep.anywhere.or_else(|| nfa.start_state(Anchored::No).ok()) else {
            return;
        };
        for (at, &byte) in self.text.iter().enumerate().skip(old) {
            state = nfa.next_state(Anchored::No, state, byte);
            let found = if nfa.is_match(state) { nfa.match_len(state) } else { 0 };
            for index in 0..found {
                let text = nfa.match_pattern(state, index);
                let start = (at + 1).checked_sub(nfa.pattern_len(text));
                if let Some((&entry, start)) = entries.get(text.as_usize()).zip(start) {
                    self.matched(entry, start, at + 1);
                }
            }
        }
        self.sweep.anywhere = Some(state);
    }

    fn matched(&mut self, entry: Entry, start: usize, end: usize) {
        match entry {
            Entry::Literal { pattern, closed_start, closed_end } => {
                let wanted = self.wanted.get(pattern as usize) == Some(&true);
                if !wanted || closed_start && !is_word_start(self.text, start) {
                } else if closed_end && end == self.text.len() {
                    self.sweep.at_end.push((pattern, start));
                } else if !closed_end || is_word_end(self.text, end) {
                    self.sweep.settled.push(self.hit(pattern, start, end));
                }
            }
            Entry::Prefix { regex } => self.begin_try(regex, start),
        }
    }

    fn begin_try(&mut self, regex: u32, start: usize) {
        let Some(entry) = self.matcher.regexes.get(regex as usize) else { return };
        if self.wanted.get(entry.pattern as usize) != Some(&true) {
            return;
        }
        self.sweep.tried += 1;
        if entry.asks_for_end {
            self.sweep.ends = self.sweep.ends.max(start + entry.max_len);
        }
        let threads = entry.nfa().map(|nfa| nfa.start_anchored());
        self.sweep.threads.extend(threads);
        let (threads, matched) = (usize::from(threads.is_some()), threads.is_none());
        self.sweep.tries.push(Try { regex, start, threads, end: start, matched });
    }

    /// Lets the expressions under way read on, and settles those that are over.
    fn read(&mut self) {
        let Self { matcher, text, view, sweep, scratch, .. } = self;
        let (text, view) = (*text, *view);
        let Sweep { tries, threads, settled, .. } = &mut **sweep;
        let mut before = std::mem::replace(threads, std::mem::take(&mut scratch.spare));
        let mut read = 0;
        tries.retain_mut(|it| {
            let own = before.get(read..read + it.threads).unwrap_or_default();
            read += it.threads;
            let Some(regex) = matcher.regexes.get(it.regex as usize) else { return false };
            let reach = it.start + regex.max_len;
            let mut is_over = reach < text.len();
            let now = scratch.threads.start(own);
            if let Some(nfa) = regex.nfa() {
                it.matched |= now.read(nfa, text.get(..=reach).unwrap_or(text), it.end);
                is_over |= now.now.is_empty();
                it.threads = now.now.len();
            }
            it.end = text.len();
            if !is_over {
                threads.extend_from_slice(&scratch.threads.now);
            } else if it.matched {
                search(matcher, text, view, scratch, settled, it);
            }
            !is_over
        });
        before.clear();
        scratch.spare = before;
    }

    /// Adds the matches in the text as it is.
    fn report(&mut self, hits: &mut Vec<Hit>) {
        // A view may have got another index by now.
        hits.extend(self.sweep.settled.iter().map(|hit| Hit { view: self.view, ..*hit }));
        let end = self.text.len();
        hits.extend(self.sweep.at_end.iter().map(|&(pattern, start)| self.hit(pattern, start, end)));
        let Self { matcher, text, view, sweep, scratch, .. } = self;
        let (text, view) = (*text, *view);
        let mut read = 0;
        for it in &sweep.tries {
            let own = sweep.threads.get(read..read + it.threads).unwrap_or_default();
            read += it.threads;
            let nfa = matcher.regexes.get(it.regex as usize).and_then(Regex::nfa);
            if it.matched || nfa.is_some_and(|nfa| scratch.threads.start(own).may_match(nfa)) {
                search(matcher, text, view, scratch, hits, it);
            }
        }
    }
}

/// Adds the match of an expression that has one.
fn search(
    matcher: &Matcher,
    text: &[u8],
    view: u16,
    scratch: &mut MatchScratch,
    hits: &mut Vec<Hit>,
    it: &Try,
) {
    let mut search = Search { matcher, text, view, scratch, hits };
    if let Some(entry) = search.regex(it.regex) {
        search.run(entry, it.start);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Pattern, PatternKind, Trigger};
    use proptest::prelude::*;
    use proptest::sample::select;

    fn patterns() -> Vec<Pattern> {
        let literal = |text: &str, open_start, open_end| PatternKind::Literal {
            text: text.into(),
            open_start,
            open_end,
        };
        let regex = |source: &str, prefix: &str, max_len, word_start| PatternKind::Regex {
            source: source.into(),
            max_len,
            trigger: Trigger::Prefixes { texts: vec![prefix.as_bytes().to_vec()], word_start },
        };
        let kinds = [
            literal("nerve agent", false, false),
            literal("bomb", false, true),
            literal("eath", true, false),
            literal("爆弾", false, false),
            literal("--force", false, false),
            regex(r"\bmak(e|ing) (a|the) (\w{1,8} ){0,2}", "mak", 30, true),
            regex(r"\bmake .{0,20} bomb\b", "make ", 31, true),
            regex(r"days?( ago)?\b", "day", 8, false),
        ];
        kinds.map(|kind| Pattern { kind, written: "x".into() }).into()
    }

    const PIECES: [&str; 16] = [
        "nerve ",
        "agent",
        "bomb",
        "s ",
        "death",
        " eat",
        "爆",
        "弾",
        "make ",
        "making the ",
        "a big ",
        "--for",
        "ce ",
        "x",
        "days ago",
        " ",
    ];

    proptest! {
        /// Whatever pieces a text comes in and loses at its beginning, a sweep finds what a search finds.
        #[test]
        fn a_sweep_finds_what_a_search_finds(
            steps in proptest::collection::vec((select(&PIECES[..]), 0usize..60), 0..40),
        ) {
            let patterns = patterns();
            let matcher = Matcher::new(&patterns).unwrap();
            let wanted = vec![true; patterns.len()];
            let (mut sweep, mut copy) = (Sweep::default(), Sweep::default());
            let mut scratch = MatchScratch::default();
            let mut text = String::new();
            for (nth, (piece, gone)) in steps.into_iter().enumerate() {
                // What is only tried leaves no trace.
                copy.copy_from(&sweep);
                matcher.sweep(format!("{text}{piece}{piece}").as_bytes(), 0, &wanted, &mut sweep, &mut scratch, &mut Vec::new());
                std::mem::swap(&mut copy, &mut sweep);
                text.push_str(piece);
                let (mut found, mut expected) = (Vec::new(), Vec::new());
                let view = u16::try_from(nth % 3).unwrap();
                matcher.sweep(text.as_bytes(), view, &wanted, &mut sweep, &mut scratch, &mut found);
                matcher.search(text.as_bytes(), view, &mut scratch, &mut expected);
                prop_assert_eq!(&found, &expected, "{:?}", text);
                let quiet = text.bytes().rposition(|byte| byte == b' ').map_or(0, |at| at + 1);
                if gone < 6 {
                    sweep.forget(quiet);
                    text.drain(..quiet);
                }
            }
        }
    }
}
