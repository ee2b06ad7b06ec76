//! A policy against the published document it enforces: ids, levels, lines, and text that changed since.

use super::Compiled;
use crate::authority::Level;
use crate::diagnostic::{Code, Diagnostic};
use crate::span::{Source, Span};
use crate::spec::{Document, Section, fingerprint, parse};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

/// What the comparison found.
#[derive(Clone, Debug, Default)]
pub struct Against {
    /// The differences.
    pub diagnostics: Vec<Diagnostic>,
    /// What would bring the policy's source references up to date.
    pub edits: Vec<Edit>,
    /// How many clauses cite the document.
    pub compared: usize,
    /// The documents that clauses cite.
    pub cited: BTreeSet<String>,
}

/// A replacement in a policy document.
#[derive(Clone, Debug)]
pub struct Edit {
    /// The document to edit.
    pub document: Arc<Source>,
    /// What to replace.
    pub span: Span,
    /// What with.
    pub text: String,
}

impl Compiled {
    /// Compares the clauses that cite this document with it. Documents are matched by file name.
    pub fn against(&self, document: &Arc<Source>) -> Against {
        let parsed = parse(document).document;
        let name = Path::new(document.name()).file_name().map(|name| name.to_string_lossy().into_owned());
        let marked_up = parsed.clauses().next().is_some();
        let mut out = Against::default();
        for draft in &self.drafts {
            if draft.source == draft.place {
                continue;
            }
            out.cited.insert(draft.source.document.clone());
            if Some(&draft.source.document) != name.as_ref() {
                continue;
            }
            out.compared += 1;
            let mut report = |code, message: String, help: String| {
                out.diagnostics
                    .push(Diagnostic::new(code, &draft.document, draft.heading, message).help(help));
            };
            let (first, last) = (draft.source.line, draft.source.end_line);
            let cited = format!("lines {first} to {last} of {}", draft.source.document);
            let section = parsed.section(&draft.id);
            if marked_up {
                match section {
                    None => {
                        let known = parsed
                            .sections
                            .iter()
                            .filter_map(|it| it.attributes.id.as_ref().map(|id| id.value.as_str()));
                        let help = crate::suggest::help(&draft.id, known, "ids");
                        let message = format!("{} has no clause `{}`", draft.source.document, draft.id);
                        report(Code::AgainstMissing, message, help);
                    }
                    Some(section) => {
                        let level = level_of(section);
                        if level.is_some_and(|level| level != draft.level) {
                            let theirs = level.map_or("", Level::as_str);
                            let message = format!(
                                "`{}` stands at level `{theirs}` there, `{}` here",
                                draft.id, draft.level
                            );
                            report(Code::AgainstLevel, message, format!("write `authority={theirs}`"));
                        }
                    }
                }
            }
            let Some(text) = parsed.lines(first, last) else {
                let message = format!("{cited} do not exist: it has {}", document.line_count());
                report(Code::AgainstLines, message, "look the clause up and correct `source`".into());
                continue;
            };
            let print = fingerprint(text);
            let outside = section.is_some_and(|section| first < section.line || last > section.end_line);
            let place = match &draft.source.fingerprint {
                Some(known) if *known == print && !outside => continue,
                Some(known) if *known == print => (first, last),
                Some(known) => match find(&parsed, last - first + 1, known) {
                    Some((first, last)) => {
                        let message = format!(
                            "the text of `{}` stands on lines {first} to {last} now, not on {cited}",
                            draft.id
                        );
                        report(
                            Code::AgainstTextMoved,
                            message,
                            format!("write `source={first}-{last}@{known}`"),
                        );
                        (first, last)
                    }
                    None => {
                        let message = format!(
                            "the text of `{}` has changed: {cited} have the fingerprint {print}, not {known}",
                            draft.id
                        );
                        report(
                            Code::AgainstTextChanged,
                            message,
                            format!(
                                "read it, bring the clause up to date, then write `source={first}-{last}@{print}`"
                            ),
                        );
                        (first, last)
                    }
                },
                None => {
                    let message = format!("`{}` cites {cited} without a fingerprint", draft.id);
                    report(
                        Code::AgainstNoFingerprint,
                        message,
                        format!("write `source={first}-{last}@{print}`"),
                    );
                    (first, last)
                }
            };
            if let Some(section) =
                section.filter(|section| place.0 < section.line || place.1 > section.end_line)
            {
                let message = format!(
                    "{cited} lie outside the section of `{}`, lines {} to {}",
                    draft.id, section.line, section.end_line
                );
                let help = format!("write `source={}-{}`", section.line, section.end_line);
                report(Code::AgainstLines, message, help);
            }
            let print = parsed.lines(place.0, place.1).map(fingerprint).unwrap_or_default();
            out.edits.extend(edit(draft, &format!("{}-{}@{print}", place.0, place.1)));
        }
        for section in parsed.clauses() {
            let id = section.attributes.id.as_ref().map(|id| id.value.as_str()).unwrap_or_default();
            if !self.drafts.iter().any(|draft| draft.id == id) {
                let message = format!("the policy does not account for `{id}`");
                out.diagnostics.push(
                    Diagnostic::new(Code::AgainstUnaccounted, document, section.heading, message)
                        .help("add a clause with this id, if only with `coverage = \"none\"` and a `reason`"),
                );
            }
        }
        out
    }
}

/// The edit that sets a clause's `source` attribute.
fn edit(draft: &super::clauses::Draft, value: &str) -> Option<Edit> {
    let heading = draft.document.slice(draft.heading);
    let at = heading.find("source=")? + "source=".len();
    let rest = heading.get(at..)?;
    let len = rest.find([' ', '}', '\t']).unwrap_or(rest.len());
    let old = rest.get(..len)?;
    let document = old.rsplit_once(':').map_or(String::new(), |(document, _)| format!("{document}:"));
    let start = draft.heading.start as usize + at;
    let text = format!("{document}{value}");
    (text != old).then(|| Edit {
        document: Arc::clone(&draft.document),
        span: Span::new(start, start + len),
        text,
    })
}

fn level_of(section: &Section) -> Option<Level> {
    Level::from_alias(section.attributes.get("authority")?)
}

/// Where as many lines have the fingerprint.
fn find(document: &Document, lines: u32, wanted: &str) -> Option<(u32, u32)> {
    let last = document.source.line_count();
    (1..=last.saturating_sub(lines - 1)).find_map(|first| {
        let end = first + lines - 1;
        (fingerprint(document.lines(first, end)?) == wanted).then_some((first, end))
    })
}
