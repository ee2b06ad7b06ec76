//! What the documents hold: clauses, patterns, rules, examples, and what they refer to.

use super::atoms::Atoms;
use super::build::Build;
use super::examples::{self, Example};
use super::load::Loaded;
use super::patterns::Patterns;
use super::{MAX_CLAUSES, clauses, rules};
use crate::diagnostic::{Code, Diagnostic};
use crate::policy::{Coverage, Kind, Rule};
use crate::span::Span;
use std::collections::HashMap;
use std::sync::Arc;

/// What the fences of a clause add up to.
#[derive(Default)]
pub(super) struct Fences {
    rules: Vec<(Rule, Span)>,
    exempts: Vec<(usize, String, Span)>,
    coverages: Vec<Coverage>,
    /// Whether there is any rule fence, even one that could not be read.
    any: bool,
}

impl Build<'_> {
    /// Clauses of every document, bases first; a later heading with a known id speaks about the same clause.
    pub(super) fn collect_clauses(&mut self) {
        let mut by_id: HashMap<String, usize> = HashMap::new();
        let mut left_out = 0usize;
        for (document, loaded) in self.documents.iter().enumerate() {
            for (section, entry) in loaded.parsed.sections.iter().enumerate() {
                let id = entry.attributes.id.as_ref().map(|id| &id.value);
                let known = id.and_then(|id| by_id.get(id).copied()).filter(|&at| {
                    // A second heading with the same id in one document is reported by the parser.
                    self.drafts.get(at).is_some_and(|draft| !Arc::ptr_eq(&draft.document, &loaded.source))
                });
                let mut fences = entry.fences.iter().map(|fence| fence.info.as_str());
                let demand = fences.find(|info| ["rule", "examples"].contains(info));
                if let Some(at) = known {
                    self.check_overlay(at, loaded, section);
                    if let Some(draft) = self.drafts.get_mut(at) {
                        draft.sections.push((document, section));
                    }
                } else if let Some(info) = demand.filter(|_| !clauses::has_level(entry)) {
                    let message = format!(
                        "the `{info}` fence stands under \"{}\", which names no authority",
                        entry.title
                    );
                    self.diagnostics.push(
                        Diagnostic::new(Code::RuleWithoutClause, &loaded.source, entry.heading, message)
                            .help("write `{#some_id authority=user}` or another level; an authority is never inherited"),
                    );
                } else if clauses::has_level(entry) {
                    if self.drafts.len() >= MAX_CLAUSES {
                        left_out += 1;
                        continue;
                    }
                    let read = clauses::read(entry, &loaded.source, &loaded.front, &mut self.diagnostics);
                    if let Some(mut draft) = read.filter(|draft| !by_id.contains_key(&draft.id)) {
                        draft.sections.push((document, section));
                        by_id.insert(draft.id.clone(), self.drafts.len());
                        self.drafts.push(draft);
                    }
                }
            }
        }
        if let (Some(main), 1..) = (self.documents.last(), left_out) {
            let clauses = self.drafts.len() + left_out;
            self.whole(
                main,
                Code::SourceTooLarge,
                format!("{clauses} clauses; at most {MAX_CLAUSES} are allowed"),
            );
        }
    }

    /// An overlay adds rules to a clause; it does not change what the clause is.
    fn check_overlay(&mut self, at: usize, loaded: &Loaded, section: usize) {
        let (Some(draft), Some(entry)) = (self.drafts.get(at), loaded.parsed.sections.get(section)) else {
            return;
        };
        for (key, value) in &entry.attributes.pairs {
            let same = match key.value.as_str() {
                "authority" => {
                    crate::authority::Level::from_alias(&value.value)
                        .or_else(|| loaded.front.aliases.get(&value.value).copied())
                        == Some(draft.level)
                }
                "kind" => Kind::from_word(&value.value) == Some(draft.kind),
                _ => false,
            };
            if !same {
                let message = format!("`{}` of `{}` is set where the clause is defined", key.value, draft.id);
                let line = draft.document.line_of(draft.heading.start as usize);
                self.diagnostics.push(
                    Diagnostic::new(Code::RuleAboveClause, &loaded.source, value.span, message).help(
                        format!(
                            "an overlay adds rules; the clause stands on line {line} of {}",
                            draft.document.name()
                        ),
                    ),
                );
            }
        }
    }

    /// The clause a section speaks about.
    fn clause_of(&self, document: usize, section: usize) -> Option<usize> {
        self.drafts.iter().position(|draft| draft.sections.contains(&(document, section)))
    }

    pub(super) fn collect_patterns(&mut self) -> Patterns {
        let mut patterns = Patterns::default();
        for (document, loaded) in self.documents.iter().enumerate() {
            for (section, entry) in loaded.parsed.sections.iter().enumerate() {
                let mut fences = entry.fences.iter().filter(|fence| fence.info == "patterns").peekable();
                if fences.peek().is_none() {
                    continue;
                }
                let owner = self
                    .clause_of(document, section)
                    .and_then(|at| self.drafts.get(at))
                    .map(|it| it.id.clone());
                for fence in fences {
                    patterns.read(
                        owner.as_deref(),
                        &fence.text,
                        &loaded.source,
                        fence.span,
                        &mut self.diagnostics,
                    );
                }
            }
        }
        patterns
    }

    pub(super) fn collect_rules(&mut self, clause: usize, patterns: &Patterns, atoms: &mut Atoms) -> Fences {
        let mut out = Fences::default();
        let Some(draft) = self.drafts.get(clause).cloned() else { return out };
        for &(document, section) in &draft.sections {
            let Some(loaded) = self.documents.get(document) else { continue };
            let Some(entry) = loaded.parsed.sections.get(section) else { continue };
            let names = rules::Names { patterns, clauses: &self.drafts, defaults: &loaded.front.defaults };
            for fence in entry.fences.iter().filter(|fence| fence.info == "rule") {
                out.any = true;
                let read = rules::read(
                    fence,
                    &loaded.source,
                    (clause, &draft),
                    &names,
                    atoms,
                    &mut self.diagnostics,
                );
                let Some(fence) = read else { continue };
                out.coverages.push(fence.coverage);
                if let Some(rule) = fence.rule {
                    out.exempts
                        .extend(fence.exempts.into_iter().map(|(id, span)| (out.rules.len(), id, span)));
                    out.rules.push((rule, fence.when));
                }
            }
        }
        out
    }

    pub(super) fn collect_examples(
        &mut self,
        rules: &[(Rule, Span)],
        coverages: &[Coverage],
    ) -> Vec<Example> {
        let mut out = Vec::new();
        for (clause, draft) in self.drafts.iter().enumerate() {
            let mut any = false;
            for &(document, section) in &draft.sections {
                let Some(loaded) = self.documents.get(document) else { continue };
                let Some(entry) = loaded.parsed.sections.get(section) else { continue };
                any |= entry
                    .examples
                    .iter()
                    .any(|example| example.turns.iter().any(|turn| turn.judgment.is_some()));
                for fence in entry.fences.iter().filter(|fence| fence.info == "examples") {
                    any = true;
                    examples::read(
                        &fence.text,
                        fence.span,
                        &loaded.source,
                        clause,
                        &mut out,
                        &mut self.diagnostics,
                    );
                }
            }
            let has_rule = rules.iter().any(|(rule, _)| rule.clause as usize == clause);
            let enforced = has_rule && !matches!(coverages.get(clause), Some(Coverage::None(_)));
            if enforced && !any {
                let message = format!("`{}` has a rule and no examples", draft.id);
                self.diagnostics.push(
                    Diagnostic::new(Code::ExamplesMissing, &draft.document, draft.heading, message)
                        .help("an `examples` fence with `hits:` that must match and `misses:` that must not"),
                );
            }
        }
        examples::contradictions(&out, &mut self.diagnostics);
        out
    }

    /// Resolves exemptions and adds coverage up.
    pub(super) fn link(&mut self, fences: Vec<Fences>) -> (Vec<(Rule, Span)>, Vec<Coverage>) {
        let (mut rules, mut coverages) = (Vec::new(), Vec::new());
        let by_id: HashMap<String, usize> =
            self.drafts.iter().enumerate().map(|(at, draft)| (draft.id.clone(), at)).collect();
        for (clause, mut fences) in fences.into_iter().enumerate() {
            let Some(draft) = self.drafts.get(clause).cloned() else { continue };
            for (rule, id, span) in std::mem::take(&mut fences.exempts) {
                let target = by_id.get(&id).copied();
                let mut report = |code, message: String, help: String| {
                    self.diagnostics.push(Diagnostic::new(code, &draft.document, span, message).help(help));
                };
                match target.and_then(|at| Some((at, self.drafts.get(at)?))) {
                    None => {
                        let help =
                            crate::suggest::help(&id, self.drafts.iter().map(|it| it.id.as_str()), "clauses");
                        report(Code::ReferenceDangling, format!("no clause `{id}`"), help);
                    }
                    Some((_, other)) if other.kind == Kind::Hard => {
                        let message = format!("`{id}` is hard: no exception reaches it");
                        report(Code::ExemptionTooHigh, message, "take it out of `exempts`".into());
                    }
                    Some((_, other)) if other.level > draft.level => {
                        let message = format!(
                            "`{id}` stands at level `{}`, above the exception's `{}`",
                            other.level, draft.level
                        );
                        report(
                            Code::ExemptionTooHigh,
                            message,
                            "an exception reaches its own level and below".into(),
                        );
                    }
                    Some((at, _)) => {
                        if let (Some((rule, _)), Ok(at)) = (fences.rules.get_mut(rule), u32::try_from(at)) {
                            rule.exempts.push(at);
                        }
                    }
                }
            }
            coverages.push(total_coverage(&fences));
            if !fences.any {
                let message = format!("nothing says how `{}` is enforced", draft.id);
                self.diagnostics.push(
                    Diagnostic::new(Code::ClauseNotEnforced, &draft.document, draft.heading, message)
                        .help("add a rule, or a rule fence with `coverage = \"none\"` and a `reason`"),
                );
            }
            for (rule, _) in &mut fences.rules {
                rule.exempts.sort_unstable();
                rule.exempts.dedup();
            }
            rules.extend(fences.rules);
        }
        (rules, coverages)
    }
}

fn total_coverage(fences: &Fences) -> Coverage {
    let reason = |wanted: &str| {
        fences
            .coverages
            .iter()
            .find(|it| it.as_str() == wanted)
            .and_then(Coverage::reason)
            .map(str::to_string)
    };
    match (fences.rules.is_empty(), reason("partial"), reason("none")) {
        (false, Some(reason), _) | (false, None, Some(reason)) => Coverage::Partial(reason),
        (false, None, None) => Coverage::Full,
        (true, _, Some(reason)) | (true, Some(reason), None) => Coverage::None(reason),
        (true, None, None) => Coverage::Unstated,
    }
}
