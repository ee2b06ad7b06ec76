//! Pattern fences → patterns and sets, with what is wrong about them.

use crate::diagnostic::{Code, Diagnostic};
use crate::engine::views::normalize;
use crate::policy::{Pattern, PatternKind, PatternSet, Trigger};
use crate::span::{Source, Span};
use regex_syntax::hir::literal::{ExtractKind, Extractor};
use regex_syntax::hir::{Hir, HirKind, Look};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use toml::Spanned;

/// The longest match of a regular expression, in bytes: what a stream may have to hold back.
pub const MAX_REGEX_MATCH: usize = 512;
/// The longest literal, in bytes of normalized text.
pub const MAX_LITERAL_BYTES: usize = 256;
/// The shortest pattern, in bytes of normalized text.
pub const MIN_PATTERN_BYTES: usize = 3;
/// How many patterns a policy may hold.
pub const MAX_PATTERNS: usize = 50_000;
const MAX_TRIGGERS: usize = 256;

/// The patterns and sets of a policy while it is compiled.
#[derive(Default)]
pub(super) struct Patterns {
    patterns: Vec<Pattern>,
    index: HashMap<PatternKind, u32>,
    sets: Vec<PatternSet>,
    /// Set by owner (`""` for shared ones) and name.
    names: BTreeMap<(String, String), SetEntry>,
}

struct SetEntry {
    set: u32,
    used: bool,
    source: Arc<Source>,
    span: Span,
}

impl Patterns {
    /// Reads one fence. `owner` is the clause's id, or `None` for a fence under a grouping.
    pub(super) fn read(
        &mut self,
        owner: Option<&str>,
        text: &str,
        source: &Arc<Source>,
        at: Span,
        diagnostics: &mut Vec<Diagnostic>,
    ) {
        let offset = at.start as usize;
        let table: BTreeMap<Spanned<String>, Vec<Spanned<String>>> = match toml::from_str(text) {
            Ok(table) => table,
            Err(error) => {
                let span = error.span().map_or(at, |span| Span::from(span).shifted(offset));
                diagnostics.push(
                    Diagnostic::new(Code::PatternsInvalid, source, span, error.message().to_string())
                        .help("a patterns fence holds lists of strings: `name = [\"literal\", \"/regex/\"]`"),
                );
                return;
            }
        };
        for (name, items) in table {
            let span = Span::from(name.span()).shifted(offset);
            let name = name.into_inner();
            let mut members = Vec::new();
            for item in items {
                let span = Span::from(item.span()).shifted(offset);
                let written = item.into_inner();
                match compile(&written) {
                    Ok((kind, warning)) => {
                        if let Some(help) = warning {
                            let message = format!("`{written}` must be tried at every place of every text");
                            diagnostics
                                .push(Diagnostic::new(Code::PatternCostly, source, span, message).help(help));
                        }
                        let pattern = self.intern(kind, written.clone());
                        if members.contains(&pattern) {
                            let message = format!("`{written}` is already in the set");
                            diagnostics.push(Diagnostic::new(Code::PatternRedundant, source, span, message));
                        } else {
                            members.push(pattern);
                        }
                    }
                    Err(problem) => diagnostics.push(
                        Diagnostic::new(problem.code, source, span, problem.message).help(problem.help),
                    ),
                }
            }
            let key = (owner.unwrap_or_default().to_string(), name.clone());
            if let Some(known) = self.names.get(&key) {
                let message = format!("the pattern set `{name}` is defined twice");
                let line = known.source.line_of(known.span.start as usize);
                diagnostics.push(
                    Diagnostic::new(Code::PatternsInvalid, source, span, message)
                        .help(format!("it is first defined on line {line} of {}", known.source.name())),
                );
                continue;
            }
            let set = u32::try_from(self.sets.len()).unwrap_or(u32::MAX);
            let full = owner.map_or_else(|| name.clone(), |owner| format!("{owner}/{name}"));
            self.sets.push(PatternSet { name: full, patterns: members });
            self.names.insert(key, SetEntry { set, used: false, source: Arc::clone(source), span });
        }
    }

    fn intern(&mut self, kind: PatternKind, written: String) -> u32 {
        let next = u32::try_from(self.patterns.len()).unwrap_or(u32::MAX);
        *self.index.entry(kind.clone()).or_insert_with(|| {
            self.patterns.push(Pattern { kind, written });
            next
        })
    }

    /// Looks a set up: in the clause first, then among the shared ones, then as `clause/name`.
    ///
    /// # Errors
    /// The names there are to choose from.
    pub(super) fn find(&self, clause: &str, name: &str) -> Result<u32, Vec<String>> {
        let key = |owner: &str, name: &str| (owner.to_string(), name.to_string());
        self.names
            .get(&key(clause, name))
            .or_else(|| self.names.get(&key("", name)))
            .or_else(|| name.split_once('/').and_then(|(owner, name)| self.names.get(&key(owner, name))))
            .map(|entry| entry.set)
            .ok_or_else(|| {
                self.names
                    .keys()
                    .filter(|(owner, _)| owner.is_empty() || owner == clause)
                    .map(|(_, name)| name.clone())
                    .collect()
            })
    }

    /// Marks the sets that conditions use.
    pub(super) fn mark_used(&mut self, used: impl Iterator<Item = u32>) {
        let used: std::collections::HashSet<u32> = used.collect();
        for entry in self.names.values_mut() {
            entry.used |= used.contains(&entry.set);
        }
    }

    /// Reports sets of `source` that no condition uses.
    pub(super) fn report_unused(&self, diagnostics: &mut Vec<Diagnostic>) {
        for ((_, name), entry) in &self.names {
            if !entry.used {
                let message = format!("no condition uses the pattern set `{name}`");
                diagnostics.push(Diagnostic::new(Code::PatternSetUnused, &entry.source, entry.span, message));
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        self.patterns.len()
    }

    pub(super) fn into_parts(self) -> (Vec<Pattern>, Vec<PatternSet>) {
        (self.patterns, self.sets)
    }
}

/// Why a pattern is refused.
struct Problem {
    code: Code,
    message: String,
    help: String,
}

impl Problem {
    fn new(code: Code, message: String, help: &str) -> Self {
        Self { code, message, help: help.to_string() }
    }
}

/// Compiles one pattern; with it, the help line of a warning.
fn compile(written: &str) -> Result<(PatternKind, Option<&'static str>), Problem> {
    match written.strip_prefix('/').and_then(|rest| rest.strip_suffix('/')).filter(|inner| !inner.is_empty())
    {
        Some(source) => regex(source),
        None => literal(written).map(|kind| (kind, None)),
    }
}

fn literal(written: &str) -> Result<PatternKind, Problem> {
    let (rest, open_start) = written.strip_prefix('*').map_or((written, false), |rest| (rest, true));
    let (rest, open_end) = rest.strip_suffix('*').map_or((rest, false), |rest| (rest, true));
    let text = normalize(rest).trim().to_string();
    if text.len() < MIN_PATTERN_BYTES {
        let message = format!(
            "`{written}` is too short: {} of {MIN_PATTERN_BYTES} bytes of normalized text",
            text.len()
        );
        return Err(Problem::new(
            Code::PatternTooShort,
            message,
            "a longer text, or a regular expression with context",
        ));
    }
    if text.len() > MAX_LITERAL_BYTES {
        let message = format!("a literal of {} bytes", text.len());
        return Err(Problem::new(Code::PatternUnbounded, message, "literals hold at most 256 bytes"));
    }
    Ok(PatternKind::Literal { text, open_start, open_end })
}

fn regex(source: &str) -> Result<(PatternKind, Option<&'static str>), Problem> {
    let hir = parse(source).map_err(|error| {
        let message = format!("cannot read the regular expression `{source}`: {error}");
        Problem::new(
            Code::PatternSyntax,
            message,
            "syntax of the `regex` crate, without look-around and back-references",
        )
    })?;
    let properties = hir.properties();
    match properties.maximum_len() {
        Some(max) if max <= MAX_REGEX_MATCH => {}
        max => {
            let length = max.map_or("any length".to_string(), |max| format!("up to {max} bytes"));
            let message =
                format!("`{source}` matches texts of {length}; at most {MAX_REGEX_MATCH} bytes are allowed");
            return Err(Problem::new(Code::PatternUnbounded, message, "bound it: `.{0,40}` instead of `.*`"));
        }
    }
    let min = properties.minimum_len().unwrap_or(0);
    if min < MIN_PATTERN_BYTES {
        let message = format!("`{source}` can match a text of {min} bytes");
        return Err(Problem::new(Code::PatternTooShort, message, "ask for at least three characters"));
    }
    if let Some(text) = unreachable_literal(&hir) {
        let message = format!("`{source}` asks for `{text}`, which normalized text never contains");
        let help = "normalized text is lower case, without accents and with single spaces";
        return Err(Problem::new(Code::PatternUnreachable, message, help));
    }
    let trigger = trigger(&hir);
    let warning = (trigger == Trigger::Always)
        .then_some("begin with fixed text of at least three characters, such as `\\b(make|build) `");
    let max_len = u32::try_from(properties.maximum_len().unwrap_or(0)).unwrap_or(u32::MAX);
    Ok((PatternKind::Regex { source: source.to_string(), max_len, trigger }, warning))
}

/// Patterns see bytes of normalized text with ASCII classes, which keeps automata small.
fn parse(source: &str) -> Result<Hir, String> {
    let mut parser = regex_syntax::ParserBuilder::new().unicode(false).utf8(false).nest_limit(50).build();
    let hir = parser.parse(source).map_err(|error| match error {
        regex_syntax::Error::Parse(error) => error.kind().to_string(),
        regex_syntax::Error::Translate(error) => error.kind().to_string(),
        _ => "invalid".to_string(),
    })?;
    regex_automata::meta::Regex::builder()
        .configure(crate::engine::matcher::regex_config())
        .build_from_hir(&hir)
        .map_err(|_| "it compiles to too large an automaton".to_string())?;
    Ok(hir)
}

/// Checks a regular expression for tool names and arguments, which are not normalized.
pub(super) fn check_plain_regex(source: &str) -> Result<(), String> {
    parse(source).map(|_| ())
}

/// A literal in the expression that normalization would change.
fn unreachable_literal(hir: &Hir) -> Option<String> {
    match hir.kind() {
        HirKind::Literal(literal) => {
            let text = std::str::from_utf8(&literal.0).ok()?;
            // A literal may begin or end with the one space that stands between words.
            (normalize(text) != text).then(|| text.to_string())
        }
        HirKind::Repetition(repetition) => unreachable_literal(&repetition.sub),
        HirKind::Capture(capture) => unreachable_literal(&capture.sub),
        HirKind::Concat(parts) => parts.iter().find_map(unreachable_literal),
        // One branch that can match is enough, but a branch that never does is a mistake all the same.
        HirKind::Alternation(parts) => parts.iter().find_map(unreachable_literal),
        HirKind::Empty | HirKind::Class(_) | HirKind::Look(_) => None,
    }
}

/// What every match begins with, if that is known and long enough.
fn trigger(hir: &Hir) -> Trigger {
    let mut extractor = Extractor::new();
    extractor.kind(ExtractKind::Prefix).limit_total(MAX_TRIGGERS).limit_literal_len(16);
    let mut seq = extractor.extract(hir);
    // The matcher asks for eight bytes before it looks closer; longer texts would only multiply.
    seq.keep_first_bytes(8);
    let Some(literals) = seq.literals() else { return Trigger::Always };
    let mut texts: Vec<Vec<u8>> = literals.iter().map(|literal| literal.as_bytes().to_vec()).collect();
    if texts.is_empty() || texts.iter().any(|text| text.len() < MIN_PATTERN_BYTES) {
        return Trigger::Always;
    }
    texts.sort_unstable();
    texts.dedup();
    // A text that begins with a shorter one is found by it.
    let mut kept: Vec<Vec<u8>> = Vec::new();
    for text in texts {
        if !kept.last().is_some_and(|shorter| text.starts_with(shorter)) {
            kept.push(text);
        }
    }
    let look = hir.properties().look_set_prefix();
    let begins_word =
        look.contains(Look::WordAscii) || look.contains(Look::WordStartAscii) || look.contains(Look::Start);
    let inside_word =
        |text: &Vec<u8>| text.first().is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    // What begins with a sign or a space never begins inside a word.
    let word_start = begins_word || !kept.iter().any(inside_word);
    Trigger::Prefixes { texts: kept, word_start }
}
