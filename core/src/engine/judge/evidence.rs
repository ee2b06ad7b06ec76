//! Why a rule holds or could not be decided, and where in the original text.

use super::super::program::conditions;
use super::super::provenance::{self, Provenance};
use super::super::redact::Redactable;
use super::super::scores::Slot;
use super::{Judge, Origin, Reading};
use crate::message::Surface;
use crate::policy::{Atom, Condition, LABELS, Op, Place, ScopeTest, Threshold, Truth};
use crate::span::Span;
use crate::verdict::{Evidence, EvidenceSpan, Field, MAX_SPANS};

impl<'a> Judge<'a> {
    /// Why an atom of the rule is unknown although no model is missing: the detector that failed.
    pub(crate) fn failure(&mut self, rule: &crate::policy::Rule) -> Option<(String, &'static str)> {
        let data = self.data;
        for index in conditions(rule).flat_map(Condition::atoms) {
            let Some(atom) = data.atoms.get(index as usize) else { continue };
            if atom.needs_model() {
                match self.score_failure(atom) {
                    Some(reason) => return Some((self.name(atom), reason)),
                    None => continue,
                }
            }
            if self.value(index) != Truth::Unknown {
                continue;
            }
            let reason = match atom {
                Atom::Untrusted => "trace_budget_exceeded",
                _ if atom.needs_tool_call() => "arguments_not_json",
                _ => "pattern_not_built",
            };
            return Some((self.name(atom), reason));
        }
        None
    }

    /// Evidence for a rule that matched, and the places to redact with their placeholders.
    pub(crate) fn evidence(
        &mut self,
        rule: &crate::policy::Rule,
        redact: &mut Vec<Redactable>,
    ) -> Vec<Evidence> {
        let data = self.data;
        let mut out: Vec<Evidence> = Vec::new();
        for (index, positive) in polarities(&rule.when) {
            let Some(atom) = data.atoms.get(index as usize) else { continue };
            let wanted = if positive { Truth::True } else { Truth::False };
            let context = matches!(atom, Atom::Tag(_) | Atom::Scope(_) if positive);
            if self.value(index) != wanted || context {
                continue;
            }
            let detector = self.name(atom);
            if out.iter().any(|known| known.detector == detector) {
                continue;
            }
            let mut spans = Vec::new();
            if positive {
                self.spans(index, atom, &mut spans, redact);
            }
            spans.sort();
            spans.dedup_by(|a, b| {
                (a.message, a.field, a.part, a.start, a.end) == (b.message, b.field, b.part, b.start, b.end)
            });
            spans.truncate(MAX_SPANS);
            let absent = !positive && atom.place().is_some();
            let (score, threshold) = match atom {
                Atom::Signal { name, compare } => (self.signal(name), Some(compare.bound())),
                Atom::Label { place, .. } | Atom::Like { place, .. } => {
                    match self.score_evidence(index, atom) {
                        Some((score, threshold, span)) => {
                            if let (Some(span), Some(origin), true) = (span, self.origin(*place), positive) {
                                // A score says nothing about single words: its place is shown, and not redacted.
                                self.locate(origin, span, None, "", &mut spans, &mut Vec::new());
                            }
                            (Some(score), Some(threshold))
                        }
                        None => (None, None),
                    }
                }
                _ => (None, None),
            };
            out.push(Evidence { detector, score, threshold, absent, spans });
        }
        // What is missing explains a finding only where nothing that is there does.
        if out.iter().any(|evidence| !evidence.spans.is_empty()) {
            out.retain(|evidence| !evidence.absent);
        }
        out
    }

    fn spans(&mut self, index: u32, atom: &Atom, out: &mut Vec<EvidenceSpan>, redact: &mut Vec<Redactable>) {
        match atom {
            Atom::ToolArgument { .. } => {
                let regex = self.program.regexes.get(index as usize).and_then(Option::as_ref);
                let Some(call) = self.call.as_mut() else { return };
                if let (Some(value), Some(origin)) = (call.evidence(atom, regex), self.judged) {
                    self.locate_argument(origin, &value, out, redact);
                }
            }
            Atom::Untrusted if self.surface == Surface::ToolCall => {
                let (input, message, budget) = (self.input, self.message, &mut self.scans.trace_budget);
                let taint =
                    self.call.as_mut().and_then(|call| call.taint(input, message, budget).ok().flatten());
                let Some(taint) = taint.cloned() else { return };
                out.push(EvidenceSpan {
                    message: small(taint.message),
                    field: Field::Content,
                    part: taint.part,
                    start: taint.span.start,
                    end: taint.span.end,
                    view: None,
                    provenance: Some(taint.provenance),
                });
                if let Some(origin) = self.judged {
                    self.locate_argument(origin, &taint.argument, out, redact);
                }
            }
            _ => {
                let Some(place) = atom.place() else { return };
                let (scan, parts) = self.text(place, self.reading);
                let Some(origin) = self.origin(place) else { return };
                let mut found: Vec<(Span, Option<&'static str>, &'static str)> = Vec::new();
                match atom {
                    Atom::Match { set, .. } | Atom::Count { set, .. } => {
                        for hit in self.hits(scan, parts, *set) {
                            let (span, view) = scan.place(hit);
                            found.push((span, view, "[redacted]"));
                        }
                    }
                    Atom::Near { first, second, gap, .. } => {
                        self.near(scan, parts, *first, *second, *gap, &mut |(left, right)| {
                            for hit in [left, right] {
                                let (span, view) = scan.place(hit);
                                found.push((span, view, "[redacted]"));
                            }
                            true
                        });
                    }
                    Atom::Personal { kinds, .. } => {
                        for item in scan.personal.iter().filter(|item| kinds.contains(item.kind)) {
                            if self.counts(scan, parts, item.span) {
                                found.push((item.span, None, item.kind.placeholder()));
                            }
                        }
                    }
                    Atom::Secret { kinds, .. } => {
                        for item in scan.secrets.iter().filter(|item| kinds.contains(item.kind)) {
                            if self.counts(scan, parts, item.span) {
                                found.push((item.span, None, item.kind.placeholder()));
                            }
                        }
                    }
                    _ => {}
                }
                for (span, view, placeholder) in found {
                    self.locate(origin, span, view, placeholder, out, redact);
                }
            }
        }
    }

    fn origin(&self, place: Place) -> Option<Origin<'a>> {
        self.origin_of(self.slot(place, Reading::Whole).0)
    }

    pub(in super::super) fn origin_of(&self, slot: Slot) -> Option<Origin<'a>> {
        match slot {
            Slot::Judged => self.judged,
            Slot::Request => self.request,
            Slot::Response => self.response,
        }
    }

    /// Adds the place of an argument's text, looked for behind the tool's name.
    fn locate_argument(
        &self,
        origin: Origin<'_>,
        argument: &str,
        out: &mut Vec<EvidenceSpan>,
        redact: &mut Vec<Redactable>,
    ) {
        let Some(call) = &self.call else { return };
        let text = origin.text.text();
        let from = text.len().min(call.name.len() + 1);
        if let Some(at) = text.get(from..).and_then(|arguments| arguments.find(argument)) {
            let span = Span::new(from + at, from + at + argument.len());
            self.locate(origin, span, None, "[redacted]", out, redact);
        }
    }

    /// Adds the original places of a span; those in the judged field are also redacted.
    fn locate(
        &self,
        origin: Origin<'_>,
        span: Span,
        view: Option<&'static str>,
        placeholder: &'static str,
        out: &mut Vec<EvidenceSpan>,
        redact: &mut Vec<Redactable>,
    ) {
        let judged = self.judged.is_some_and(|judged| std::ptr::eq(judged.text, origin.text));
        let provenance = if judged { self.provenance(span) } else { None };
        for &(part, span) in origin.text.places(span).iter() {
            let message = small(origin.message);
            let (field, part) = match (origin.call, part) {
                (Some(call), None) => (Field::ToolName, Some(call)),
                _ => (origin.field, part),
            };
            out.push(EvidenceSpan {
                message,
                field,
                part,
                start: span.start,
                end: span.end,
                view,
                provenance,
            });
            if judged {
                redact.push(Redactable { field, part, span, placeholder });
            }
        }
    }

    fn provenance(&self, span: Span) -> Option<Provenance> {
        provenance::of(&self.scans.judged.regions, span)
    }

    /// The name of a detector in evidence.
    pub(crate) fn name(&self, atom: &Atom) -> String {
        let data = self.data;
        let set = |index: u32| data.sets.get(index as usize).map_or("", |set| set.name.as_str());
        let at = |place: Place| if place == Place::Judged { String::new() } else { format!("{place}.") };
        match atom {
            Atom::Match { set: index, place } | Atom::Count { set: index, place, .. } => {
                format!("{}match:{}", at(*place), set(*index))
            }
            Atom::Near { first, second, place, .. } => {
                format!("{}near:{}+{}", at(*place), set(*first), set(*second))
            }
            Atom::Label { label, place, threshold } => {
                let name = LABELS.get(usize::from(*label)).copied().unwrap_or("");
                match threshold {
                    Threshold::AtFpr(rate) => format!("{}label:{name}@{rate}", at(*place)),
                    Threshold::Score(_) => format!("{}label:{name}", at(*place)),
                }
            }
            Atom::Like { clause, place, .. } => {
                let id = data.clauses.get(*clause as usize).map_or("", |clause| clause.id.as_str());
                format!("{}like:{id}", at(*place))
            }
            Atom::Personal { kinds, place } => format!("{}pii:{kinds}", at(*place)),
            Atom::Secret { kinds, place } => format!("{}secret:{kinds}", at(*place)),
            Atom::Length { place, .. } => format!("{}length", at(*place)),
            Atom::ToolName(_) => "tool.name".to_string(),
            Atom::ToolArgument { path, .. } => format!("tool.args.{}", path.join(".")),
            Atom::Scope(test) => match test {
                ScopeTest::AllowsTool => "scope.allows_tool",
                ScopeTest::AllowsArgs => "scope.allows_args",
                ScopeTest::WithinBudget => "scope.within_budget",
                ScopeTest::WithinTime => "scope.within_time",
            }
            .to_string(),
            Atom::Tag(tag) => format!("tag:{tag}"),
            Atom::Signal { name, .. } => format!("signal:{name}"),
            Atom::Untrusted => "untrusted".to_string(),
            Atom::Unverified => "unverified".to_string(),
        }
    }
}

fn small(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// The atoms of a condition with the sign under which each first stands.
pub(crate) fn polarities(condition: &Condition) -> Vec<(u32, bool)> {
    // Walking the postfix form backwards visits each operation before its operands.
    let mut out = Vec::new();
    let mut pending = vec![true];
    for op in condition.0.iter().rev() {
        let Some(sign) = pending.pop() else { break };
        match op {
            Op::Const(_) => {}
            Op::Atom(atom) => out.push((*atom, sign)),
            Op::Not => pending.push(!sign),
            Op::And | Op::Or => pending.extend([sign, sign]),
        }
    }
    out.reverse();
    out
}
