//! Headings → clauses.

use super::front::Front;
use crate::authority::{Level, Principal, Priority};
use crate::diagnostic::{Code, Diagnostic};
use crate::policy::{Kind, SourceRef};
use crate::span::{Source, Span};
use crate::spec::Section;
use crate::suggest;
use std::sync::Arc;

/// A clause while it is compiled.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    pub id: String,
    pub title: String,
    pub level: Level,
    pub kind: Kind,
    pub switch: Option<Principal>,
    pub waivable: bool,
    pub tags: Vec<String>,
    pub priority: Priority,
    pub rationale: String,
    pub source: SourceRef,
    pub place: SourceRef,
    pub document: Arc<Source>,
    pub heading: Span,
    /// The sections that speak about this clause: its own, and those of overlays.
    pub sections: Vec<(usize, usize)>,
}

const ATTRIBUTES: [&str; 7] = ["authority", "kind", "switch", "waivable", "tags", "priority", "source"];

/// Whether a section names a level of its own.
pub(super) fn has_level(section: &Section) -> bool {
    section.attributes.get("authority").is_some()
}

/// Reads a section that is a clause. `None` where it has no id; whatever else is wrong is reported and stands in for
/// something harmless, so that what follows is not reported on its account.
pub(super) fn read(
    section: &Section,
    document: &Arc<Source>,
    front: &Front,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Draft> {
    let mut report = |code, span, message: String, help: String| {
        diagnostics.push(Diagnostic::new(code, document, span, message).help(help));
    };
    let Some(id) = section.attributes.id.as_ref() else {
        let message = format!("the clause \"{}\" has no id", section.title);
        report(Code::ClauseIdMissing, section.heading, message, "write `{#some_id authority=…}`".into());
        return None;
    };
    let mut level = None;
    let mut kind = Kind::Rule;
    let mut switch = None;
    let mut waivable = false;
    let mut tags = Vec::new();
    let mut priority = Priority::default();
    let mut source = None;
    for (key, value) in &section.attributes.pairs {
        let words = |words: &[&str]| words.join(", ");
        match key.value.as_str() {
            "authority" => {
                level = Level::from_alias(&value.value).or_else(|| front.aliases.get(&value.value).copied());
                if level.is_none() {
                    let known = Level::ALL.iter().map(|level| level.as_str());
                    let help = suggest::help(&value.value, known, "levels");
                    report(Code::LevelUnknown, value.span, format!("unknown level `{}`", value.value), help);
                }
            }
            "kind" => match Kind::from_word(&value.value) {
                Some(known) => kind = known,
                None => {
                    let help =
                        suggest::help(&value.value, Kind::ALL.iter().map(|kind| kind.as_str()), "kinds");
                    report(Code::KindUnknown, value.span, format!("unknown kind `{}`", value.value), help);
                }
            },
            "switch" => match value.value.as_str() {
                "operator" | "developer" => switch = Some((Principal::Operator, value.span)),
                "user" => switch = Some((Principal::User, value.span)),
                _ => {
                    let message = format!("`{}` cannot switch a clause", value.value);
                    report(Code::AttributeInvalid, value.span, message, words(&["operator", "user"]));
                }
            },
            "waivable" => match value.value.as_str() {
                "true" => waivable = true,
                "false" => {}
                _ => {
                    let message = format!("`waivable` is `{}`", value.value);
                    report(Code::AttributeInvalid, value.span, message, words(&["true", "false"]));
                }
            },
            "tags" => {
                tags = value
                    .value
                    .split(',')
                    .map(str::trim)
                    .filter(|tag| !tag.is_empty())
                    .map(str::to_string)
                    .collect()
            }
            "priority" => match Priority::from_word(&value.value) {
                Some(known) => priority = known,
                None => {
                    let known = Priority::ALL.iter().map(|priority| priority.as_str());
                    let help = suggest::help(&value.value, known, "priorities");
                    report(
                        Code::AttributeInvalid,
                        value.span,
                        format!("unknown priority `{}`", value.value),
                        help,
                    );
                }
            },
            "source" => match source_ref(&value.value, front.source.as_deref(), front.edition.as_deref()) {
                Some(reference) => source = Some(reference),
                None => {
                    let message = format!("cannot read `source={}`", value.value);
                    let help = "`856-918`, `856-918@1f3a9c2e` or `other.md:12-20`; the front matter's `source` names the document";
                    report(Code::AttributeInvalid, value.span, message, help.into());
                }
            },
            other => {
                let help = suggest::help(other, ATTRIBUTES.into_iter(), "attributes");
                report(Code::AttributeUnknown, key.span, format!("unknown attribute `{other}`"), help);
            }
        }
    }
    let level = level.unwrap_or(Level::Guideline);
    if let Some((principal, span)) = switch {
        if !matches!(kind, Kind::DefaultOn | Kind::DefaultOff) {
            let message = format!("`switch` on a clause of kind `{kind}`");
            report(
                Code::AttributeMisplaced,
                span,
                message,
                "only `default_on` and `default_off` have a switch".into(),
            );
        } else if !principal.reaches(level) {
            let message = format!("the {principal} does not reach a clause of level `{level}`");
            let help = format!(
                "its rank is `{}`: lower the clause's authority or name somebody above",
                principal.rank()
            );
            report(Code::RuleAboveClause, span, message, help);
        }
    }
    if waivable && kind != Kind::Protection {
        let message = format!("`waivable` on a clause of kind `{kind}`");
        report(
            Code::AttributeMisplaced,
            section.heading,
            message,
            "only a `protection` can be waived".into(),
        );
    }
    let place = SourceRef {
        document: document.name().to_string(),
        edition: None,
        line: section.line,
        end_line: section.end_line,
        fingerprint: None,
    };
    Some(Draft {
        id: id.value.clone(),
        title: section.title.clone(),
        level,
        kind,
        switch: switch.map(|it| it.0),
        waivable,
        tags,
        priority,
        rationale: section.rationale.clone(),
        source: source.unwrap_or_else(|| place.clone()),
        place,
        document: Arc::clone(document),
        heading: section.heading,
        sections: Vec::new(),
    })
}

/// `[document:]first-last[@fingerprint]`
fn source_ref(text: &str, published: Option<&str>, edition: Option<&str>) -> Option<SourceRef> {
    let (text, fingerprint) = match text.split_once('@') {
        Some((text, print)) if print.len() == 8 && print.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
            (text, Some(print.to_ascii_lowercase()))
        }
        Some(_) => return None,
        None => (text, None),
    };
    let (document, lines) = match text.rsplit_once(':') {
        Some((document, lines)) => (document, lines),
        None => (published?, text),
    };
    // The edition is that of the document the front matter names.
    let edition = edition.filter(|_| published == Some(document)).map(str::to_string);
    let (first, last) = lines.split_once('-').unwrap_or((lines, lines));
    let (line, end_line) = (first.parse().ok()?, last.parse().ok()?);
    (line >= 1 && line <= end_line).then(|| SourceRef {
        document: document.to_string(),
        edition,
        line,
        end_line,
        fingerprint,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn source_references() {
        let read = |text| source_ref(text, Some("spec.md"), Some("2"));
        assert_eq!(read("5-9").map(|it| (it.document, it.line, it.end_line)), Some(("spec.md".into(), 5, 9)));
        assert_eq!(read("7@1F3a9c2e").and_then(|it| it.fingerprint), Some("1f3a9c2e".into()));
        assert_eq!(read("a.md:3-3").map(|it| it.document), Some("a.md".into()));
        for bad in ["", "x", "9-5", "0-4", "5-9@xyz", "5-9@", "-"] {
            assert_eq!(read(bad), None, "{bad}");
        }
        assert_eq!(source_ref("5-9", None, None), None);
    }
}
