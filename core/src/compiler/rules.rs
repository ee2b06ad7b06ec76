//! Rule fences.

use super::atoms::Atoms;
use super::clauses::Draft;
use super::front::Defaults;
use super::lower::{self, Site};
use super::patterns::Patterns;
use crate::diagnostic::{Code, Diagnostic};
use crate::message::{Surface, Surfaces};
use crate::policy::{Action, Condition, Coverage, Kind, OnError, Rule};
use crate::span::{Source, Span};
use crate::spec;
use serde::Deserialize;
use std::sync::Arc;
use toml::Spanned;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    on: Option<Spanned<Vec<Surface>>>,
    when: Option<Spanned<String>>,
    unless: Option<Spanned<String>>,
    action: Option<Action>,
    message: Option<String>,
    on_error: Option<Spanned<OnError>>,
    #[serde(default)]
    exempts: Vec<Spanned<String>>,
    coverage: Option<Spanned<CoverageWord>>,
    reason: Option<Spanned<String>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum CoverageWord {
    Full,
    Partial,
    None,
}

/// A rule fence that has been read, with what it says about coverage.
pub(super) struct Fence {
    pub rule: Option<Rule>,
    pub coverage: Coverage,
    pub exempts: Vec<(String, Span)>,
    /// Where the condition stands, for later analyses.
    pub when: Span,
}

/// What a rule may refer to.
pub(super) struct Names<'a> {
    pub patterns: &'a Patterns,
    pub clauses: &'a [Draft],
    pub defaults: &'a Defaults,
}

/// Reads one fence of a clause.
pub(super) fn read(
    fence: &spec::Fence,
    source: &Arc<Source>,
    (clause_index, clause): (usize, &Draft),
    names: &Names<'_>,
    atoms: &mut Atoms,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Fence> {
    let (text, at, line) = (fence.text.as_str(), fence.span, fence.line);
    let offset = at.start as usize;
    let place = |span: std::ops::Range<usize>| Span::from(span).shifted(offset);
    let raw: Raw = match toml::from_str(text) {
        Ok(raw) => raw,
        Err(error) => {
            let span = error.span().map_or(at, place);
            diagnostics.push(
                Diagnostic::new(Code::RuleInvalid, source, span, error.message().to_string()).help(
                    "keys of a rule: on, when, unless, action, message, on_error, exempts, coverage, reason",
                ),
            );
            return None;
        }
    };
    let mut report = |code, span, message: String, help: &str| {
        diagnostics.push(Diagnostic::new(code, source, span, message).help(help));
    };
    let word = raw.coverage.as_ref().map_or(CoverageWord::Full, |word| *word.as_ref());
    let coverage = match (word, &raw.reason) {
        (CoverageWord::Full, None) => Coverage::Full,
        (CoverageWord::Partial, Some(reason)) => Coverage::Partial(reason.as_ref().clone()),
        (CoverageWord::None, Some(reason)) => Coverage::None(reason.as_ref().clone()),
        (CoverageWord::Full, Some(reason)) => {
            let message = "a rule of full coverage gives a reason".to_string();
            report(
                Code::CoverageUnexplained,
                place(reason.span()),
                message,
                "say `coverage = \"partial\"` as well",
            );
            Coverage::Full
        }
        (_, None) => {
            let span = raw.coverage.as_ref().map_or(at, |word| place(word.span()));
            let message = "less than full coverage needs a reason".to_string();
            report(
                Code::CoverageUnexplained,
                span,
                message,
                "`reason = \"…\"` says why text alone does not suffice",
            );
            Coverage::Partial(String::new())
        }
    };
    let exempts: Vec<(String, Span)> =
        raw.exempts.iter().map(|id| (id.as_ref().clone(), place(id.span()))).collect();
    if !exempts.is_empty() && clause.kind != Kind::Exception {
        let span = exempts.first().map_or(at, |it| it.1);
        let message = format!("`exempts` on a clause of kind `{}`", clause.kind);
        report(
            Code::AttributeMisplaced,
            span,
            message,
            "only a clause of kind `exception` lifts findings of others",
        );
    }
    let Some(when) = raw.when else {
        if word != CoverageWord::None {
            let message = "the rule has no condition".to_string();
            report(
                Code::RuleWithoutCondition,
                at,
                message,
                "add `when`, or `coverage = \"none\"` with a `reason`",
            );
            return None;
        }
        return Some(Fence { rule: None, coverage, exempts, when: at });
    };
    if word == CoverageWord::None {
        let message = "a rule that covers nothing has a condition".to_string();
        report(Code::CoverageUnexplained, place(when.span()), message, "say `partial`, or drop `when`");
    }
    if clause.kind == Kind::Exception && exempts.is_empty() {
        let message = "the exception lifts nothing".to_string();
        report(
            Code::RuleInvalid,
            at,
            message,
            "`exempts = [\"clause\", ..]` names the clauses whose findings it lifts",
        );
    }
    if let (Some(unless), Kind::Hard) = (&raw.unless, clause.kind) {
        let message = "a hard clause has no `unless`".to_string();
        let help = "a bright line holds in every context; narrow `when`, or use another kind";
        report(Code::HardWithExcuse, place(unless.span()), message, help);
    }
    let on = match &raw.on {
        None => names.defaults.on,
        Some(on) if on.as_ref().is_empty() => {
            let message = "`on` names no surface".to_string();
            report(
                Code::ClauseUnreachable,
                place(on.span()),
                message,
                "request, response, reasoning, tool_call, tool_result",
            );
            Surfaces::ALL
        }
        Some(on) => on.as_ref().iter().copied().collect(),
    };
    let set = |name: &str| names.patterns.find(&clause.id, name);
    let clause_of = |id: &str| {
        names
            .clauses
            .iter()
            .position(|draft| draft.id == id)
            .and_then(|at| u32::try_from(at).ok())
            .ok_or_else(|| names.clauses.iter().map(|draft| draft.id.clone()).collect())
    };
    let mut condition = |value: &Spanned<String>| -> Option<Condition> {
        let span = place(value.span());
        let site = Site {
            source,
            span,
            offset: text_offset(source, span, value.as_ref()),
            on,
            set: &set,
            clause: &clause_of,
        };
        lower::lower(value.as_ref(), &site, atoms, diagnostics)
    };
    let when_span = place(when.span());
    let lowered = condition(&when);
    let unless = raw.unless.as_ref().map(&mut condition);
    let unless = match unless {
        None => None,
        Some(unless) => Some(unless?),
    };
    let action = raw.action.unwrap_or(if clause.kind == Kind::Exception {
        Action::Allow
    } else {
        names.defaults.action
    });
    let rule = Rule {
        clause: u32::try_from(clause_index).unwrap_or(u32::MAX),
        line,
        on,
        when: lowered?,
        unless,
        action,
        message: raw.message,
        on_error: raw.on_error.map_or(
            if clause.kind == Kind::Hard { OnError::Block } else { names.defaults.on_error },
            Spanned::into_inner,
        ),
        exempts: Vec::new(),
    };
    Some(Fence { rule: Some(rule), coverage, exempts, when: when_span })
}

/// Where the text of a TOML string begins in the source, if its bytes stand there unescaped.
fn text_offset(source: &Arc<Source>, span: Span, value: &str) -> Option<usize> {
    let raw = source.slice(span);
    let inside = raw.find(value)?;
    (inside <= 4).then_some(span.start as usize + inside)
}
