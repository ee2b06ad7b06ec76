//! One pass over a view for every pattern of a policy.
//!
//! Nearly every pattern begins at the start of a word, or with a sign. So the pass skips the insides of words: elsewhere
//! the next bytes are hashed into bitmaps that fit the first-level cache, four bytes first, then eight, and the trie is
//! walked only where both have them. Patterns that may begin inside a word go through an ordinary Aho-Corasick automaton,
//! of which most policies have none.
//! A regular expression is tried, anchored and within its longest match, where one of its prefixes was seen.

mod gate;
mod sweep;
mod threads;

pub(crate) use sweep::Sweep;

use super::views::words::{is_word_end, is_word_start};
use crate::policy::{Pattern, PatternKind, Trigger};
use aho_corasick::automaton::{Automaton, StateID};
use aho_corasick::nfa::contiguous::NFA;
use aho_corasick::{Anchored, MatchKind, StartKind};
use gate::{Gate, is_ascii_word};
use regex_automata::nfa::thompson;
use regex_automata::{Input, meta};
use std::sync::OnceLock;
use threads::Threads;

/// A match of a pattern in a view.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Hit {
    /// First byte in the view.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
    /// Index of the pattern.
    pub pattern: u32,
    /// Index of the view.
    pub view: u16,
}

/// A pattern set that cannot be turned into automata.
#[derive(Debug, thiserror::Error)]
#[error("cannot build the matcher: {0}")]
pub(crate) struct MatcherError(String);

impl MatcherError {
    pub(crate) fn new(reason: String) -> Self {
        Self(reason)
    }
}

/// How often a regular expression is tried in one text whatever it costs. From then on all tries together may look at as
/// many bytes as lie before them; once they would look at more, the expression is run over the rest of the text instead.
const FREE_TRIES: usize = 2048;

/// What a word of the automaton stands for.
#[derive(Clone, Copy, Debug)]
enum Entry {
    /// The pattern itself.
    Literal { pattern: u32, closed_start: bool, closed_end: bool },
    /// A prefix of regular expression number `regex`.
    Prefix { regex: u32 },
}

struct Regex {
    pattern: u32,
    source: String,
    max_len: usize,
    compiled: OnceLock<Option<meta::Regex>>,
    /// Whether it may match at the end of a text and not match any more when the text goes on, as far as its signs say.
    asks_for_end: bool,
    /// The same, to be read byte by byte.
    nfa: OnceLock<Option<thompson::NFA>>,
}

/// The patterns of a policy, ready to search.
pub(crate) struct Matcher {
    words: Option<Words>,
    anywhere: Option<(NFA, Vec<Entry>)>,
    always: Vec<u32>,
    regexes: Vec<Regex>,
}

impl Regex {
    fn nfa(&self) -> Option<&thompson::NFA> {
        self.nfa.get_or_init(|| threads::compile(&self.source)).as_ref()
    }
}

struct Words {
    gate: Gate,
    nfa: NFA,
    entries: Vec<Entry>,
}

/// State that a search leaves behind, reused by the next.
#[derive(Debug, Default)]
pub(crate) struct MatchScratch {
    /// How often each regular expression was tried, for those tried at all.
    tries: Vec<(u32, usize)>,
    /// Patterns whose automaton could not be built: their clauses cannot be judged.
    pub failed: Vec<u32>,
    threads: Threads,
    spare: Vec<regex_automata::util::primitives::StateID>,
}

/// The configuration of every regular expression: small automata, built when first needed.
pub(crate) fn regex_config() -> meta::Config {
    meta::Config::new()
        .match_kind(regex_automata::MatchKind::LeftmostFirst)
        .utf8_empty(false)
        // Searches are anchored where a prefix was seen: looking for one again would only cost building it.
        .auto_prefilter(false)
        .nfa_size_limit(Some(1 << 20))
        .onepass_size_limit(Some(1 << 18))
        .hybrid_cache_capacity(1 << 18)
}

/// Compiles an expression with ASCII classes over bytes.
pub(crate) fn build_regex(source: &str) -> Option<meta::Regex> {
    meta::Regex::builder()
        .configure(regex_config())
        .syntax(regex_automata::util::syntax::Config::new().unicode(false).utf8(false).nest_limit(50))
        .build(source)
        .ok()
}

impl Matcher {
    pub(crate) fn new(patterns: &[Pattern]) -> Result<Self, MatcherError> {
        let mut words: (Vec<&[u8]>, Vec<Entry>) = Default::default();
        let mut anywhere: (Vec<&[u8]>, Vec<Entry>) = Default::default();
        let mut always = Vec::new();
        let mut regexes = Vec::new();
        for (index, pattern) in patterns.iter().enumerate() {
            let index = u32::try_from(index).map_err(|_| MatcherError("too many patterns".into()))?;
            match &pattern.kind {
                PatternKind::Literal { text, open_start, open_end } => {
                    let closed_start = is_word_start(text.as_bytes(), 0) && !open_start;
                    let closed_end = !open_end && is_word_end(text.as_bytes(), text.len());
                    let sign = text.bytes().next().is_some_and(|byte| !begins_inside_word(byte));
                    let list = if closed_start || (sign && !open_start) { &mut words } else { &mut anywhere };
                    list.0.push(text.as_bytes());
                    list.1.push(Entry::Literal { pattern: index, closed_start, closed_end });
                }
                PatternKind::Regex { source, max_len, trigger } => {
                    let regex = u32::try_from(regexes.len()).map_err(|_| MatcherError("too many".into()))?;
                    regexes.push(Regex {
                        pattern: index,
                        source: source.clone(),
                        max_len: *max_len as usize,
                        compiled: OnceLock::new(),
                        asks_for_end: asks_for_end(source),
                        nfa: OnceLock::new(),
                    });
                    match trigger {
                        Trigger::Prefixes { texts, word_start } => {
                            let list = if *word_start { &mut words } else { &mut anywhere };
                            list.0.extend(texts.iter().map(Vec::as_slice));
                            list.1.extend(texts.iter().map(|_| Entry::Prefix { regex }));
                        }
                        Trigger::Always => always.push(regex),
                    }
                }
            }
        }
        let automaton = |texts: &[&[u8]], start| {
            NFA::builder()
                .match_kind(MatchKind::Standard)
                .prefilter(start == StartKind::Unanchored)
                .build(texts)
                .map_err(|error| MatcherError(error.to_string()))
        };
        let words = match words {
            (texts, _) if texts.is_empty() => None,
            (texts, entries) => {
                Some(Words { gate: Gate::new(&texts), nfa: automaton(&texts, StartKind::Anchored)?, entries })
            }
        };
        let anywhere = match anywhere {
            (texts, _) if texts.is_empty() => None,
            (texts, entries) => Some((automaton(&texts, StartKind::Unanchored)?, entries)),
        };
        Ok(Self { words, anywhere, always, regexes })
    }

    /// Adds the matches in `text` to `hits`, which is left sorted by place for the new part.
    pub(crate) fn search(&self, text: &[u8], view: u16, scratch: &mut MatchScratch, hits: &mut Vec<Hit>) {
        scratch.tries.clear();
        let first = hits.len();
        let mut search = Search { matcher: self, text, view, scratch, hits };
        search.at_word_starts();
        search.anywhere();
        for &regex in &self.always {
            search.scan(regex, 0);
        }
        if let Some(new) = hits.get_mut(first..) {
            new.sort_unstable();
        }
    }
}

struct Search<'a> {
    matcher: &'a Matcher,
    text: &'a [u8],
    view: u16,
    scratch: &'a mut MatchScratch,
    hits: &'a mut Vec<Hit>,
}

impl<'a> Search<'a> {
    fn at_word_starts(&mut self) {
        let Some(words) = &self.matcher.words else { return };
        let Ok(start) = words.nfa.start_state(Anchored::Yes) else { return };
        let text = self.text;
        let (blocks, rest) = text.as_chunks::<64>();
        let mut last = [0; 64];
        last.iter_mut().zip(rest).for_each(|(to, &from)| *to = from);
        let mut inside = false;
        for (nth, block) in blocks.iter().chain([&last]).enumerate() {
            let mut places;
            (places, inside) = words.gate.places(block, inside);
            while places != 0 {
                let at = nth * 64 + places.trailing_zeros() as usize;
                places &= places - 1;
                if words.gate.admits(text, at) {
                    self.walk(words, start, at);
                }
            }
        }
    }

    fn walk(&mut self, words: &Words, start: StateID, at: usize) {
        let mut state = start;
        for (end, &byte) in self.text.iter().enumerate().skip(at) {
            state = words.nfa.next_state(Anchored::Yes, state, byte);
            if words.nfa.is_special(state) {
                if words.nfa.is_dead(state) {
                    return;
                }
                if words.nfa.is_match(state) {
                    for index in 0..words.nfa.match_len(state) {
                        let text = words.nfa.match_pattern(state, index);
                        // A state also names the texts that end the one it stands for: those began later.
                        if words.nfa.pattern_len(text) != end + 1 - at {
                            continue;
                        }
                        if let Some(&entry) = words.entries.get(text.as_usize()) {
                            self.matched(entry, at, end + 1);
                        }
                    }
                }
            }
        }
    }

    fn anywhere(&mut self) {
        let Some((nfa, entries)) = &self.matcher.anywhere else { return };
        let input = aho_corasick::Input::new(self.text);
        let mut state = aho_corasick::automaton::OverlappingState::start();
        loop {
            if nfa.try_find_overlapping(&input, &mut state).is_err() {
                return;
            }
            let Some(found) = state.get_match() else { return };
            if let Some(&entry) = entries.get(found.pattern().as_usize()) {
                self.matched(entry, found.start(), found.end());
            }
        }
    }

    fn matched(&mut self, entry: Entry, start: usize, end: usize) {
        match entry {
            Entry::Literal { pattern, closed_start, closed_end } => {
                if (!closed_start || is_word_start(self.text, start))
                    && (!closed_end || is_word_end(self.text, end))
                {
                    self.push(pattern, start, end);
                }
            }
            Entry::Prefix { regex } => self.try_at(regex, start),
        }
    }

    fn push(&mut self, pattern: u32, start: usize, end: usize) {
        let clamp = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        self.hits.push(Hit { start: clamp(start), end: clamp(end), pattern, view: self.view });
    }

    /// The expression, built at its first use; a failure is kept and reported.
    fn regex(&mut self, regex: u32) -> Option<(&'a meta::Regex, u32, usize)> {
        let matcher: &'a Matcher = self.matcher;
        let entry = matcher.regexes.get(regex as usize)?;
        let compiled = entry.compiled.get_or_init(|| build_regex(&entry.source)).as_ref();
        if compiled.is_none() && !self.scratch.failed.contains(&entry.pattern) {
            self.scratch.failed.push(entry.pattern);
        }
        Some((compiled?, entry.pattern, entry.max_len))
    }

    fn try_at(&mut self, regex: u32, start: usize) {
        let Some(entry) = self.regex(regex) else { return };
        let tries = match self.scratch.tries.iter_mut().find(|(known, _)| *known == regex) {
            Some((_, tries)) => tries,
            None => {
                self.scratch.tries.push((regex, 0));
                let Some((_, tries)) = self.scratch.tries.last_mut() else { return };
                tries
            }
        };
        match *tries {
            // The rest was searched already.
            usize::MAX => return,
            many if many > FREE_TRIES + start / entry.2.max(1) => {
                *tries = usize::MAX;
                self.scan(regex, start);
                return;
            }
            _ => *tries += 1,
        }
        self.run(entry, start);
    }

    /// Runs an expression from one place on, as far as it reaches.
    fn run(&mut self, (compiled, pattern, max_len): (&meta::Regex, u32, usize), start: usize) {
        let text = self.text;
        let end = text.len().min(start + max_len);
        let input = Input::new(text).range(start..end).anchored(regex_automata::Anchored::Yes);
        if let Some(found) = compiled.search(&input) {
            self.push(pattern, found.start(), found.end());
        }
    }

    /// Runs an expression over the rest of the text.
    fn scan(&mut self, regex: u32, from: usize) {
        let text = self.text;
        let Some((compiled, pattern, _)) = self.regex(regex) else { return };
        for found in compiled.find_iter(Input::new(text).range(from..)) {
            self.push(pattern, found.start(), found.end());
        }
    }
}

/// Whether an expression asks whether the text ends, or where no word does.
fn asks_for_end(source: &str) -> bool {
    let signs = source.replace(r"\\", "").replace(r"\$", "");
    ["$", r"\z", r"\B", r"\b{"].iter().any(|sign| signs.contains(sign))
}

/// Whether a pattern with this first byte can begin inside a word.
fn begins_inside_word(first: u8) -> bool {
    is_ascii_word(first) || !first.is_ascii()
}
