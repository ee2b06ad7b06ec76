//! What the rules may still come to: which are settled, which wait, and for which text.
//!
//! Every atom has a smallest and a largest value that it may yet take, and so has every condition over them. A rule whose
//! largest value is false is out; one whose smallest value is true holds whatever follows; between them it waits.

use super::Holding;
use super::bounds::Bounds;
use super::readings::Readings;
use crate::engine::guard::{Inner, Outcome};
use crate::engine::judge::{Judge, Reading};
use crate::engine::matcher::Hit;
use crate::engine::program::{Plan, conditions};
use crate::engine::redact::Redactable;
use crate::engine::scores::Slot;
use crate::policy::{Action, Atom, Condition, ForceScratch, Kind, OnError, Rule, Truth};
use crate::span::Span;
use crate::verdict::Field;

/// What follows from the text so far.
#[derive(Debug, Default)]
pub(super) struct Outlook {
    /// The first byte that a decision still rests on.
    pub hold: Option<u32>,
    /// A finding that ends the stream, with the clauses whose decision was cut short.
    pub stop: Option<Vec<usize>>,
    /// A finding that takes back the rest of the message.
    pub freeze: Option<u32>,
    /// What is replaced.
    pub places: Vec<Redactable>,
    /// Clauses that were followed although more text may speak against it.
    pub early: Vec<usize>,
    /// Whether a rule waits that asks for the length of the text.
    pub length: bool,
    /// Up to how much normalized text a set of `near` waits for the other, where one does.
    pub near: Option<u32>,
}

impl Outlook {
    /// Whether the same follows from the same facts, until what waits has waited enough.
    pub(super) fn stands(&self) -> bool {
        self.stop.is_none() && self.freeze.is_none() && self.early.is_empty() && !self.length
    }
}

/// What the text so far is measured by.
pub(super) struct Reach<'a> {
    pub holding: &'a Holding,
    /// Up to where each normalized match has ended that begins before what may still be under way.
    pub normal_end: u32,
    /// Everything before it was released.
    pub released: u32,
    /// Whether a decision that rests on the text from here on has waited long enough.
    pub expired: &'a dyn Fn(u32) -> bool,
    /// Whether the stream ends where one has.
    pub stops: bool,
    /// What the models have to say, where they read the text.
    pub readings: Option<&'a Readings>,
    /// Up to where the text is judged.
    pub point: u32,
}

impl Reach<'_> {
    pub(super) fn look(
        &self,
        inner: &Inner,
        judge: &mut Judge<'_>,
        plan: &Plan,
        force: &ForceScratch,
        exempted: &[Option<usize>],
    ) -> Outlook {
        let mut out = Outlook::default();
        let quotes = inner.quotes(judge, plan);
        let mut awake = std::mem::take(&mut judge.scans.awake);
        plan.wake(&[&judge.scans.judged, &judge.scans.request, &judge.scans.response], &mut awake);
        let is_awake = |place: usize| awake.get(place / 64).is_some_and(|word| word >> (place % 64) & 1 == 1);
        for &(place, index) in &self.holding.rules {
            // Of a rule that nothing found speaks for, only what models have yet to say may make the text wait.
            if self.readings.is_none() && !is_awake(place) {
                continue;
            }
            let Some((rule, clause)) = inner.rule(index).and_then(|rule| Some((rule, inner.clause(rule)?)))
            else {
                continue;
            };
            let at = rule.clause as usize;
            let exempt = exempted.get(at).copied().flatten().is_some() && clause.kind != Kind::Hard;
            if exempt || inner.is_lifted(force, at) || !inner.tags_hold(judge, rule) {
                continue;
            }
            judge.read(Reading::Whole);
            let (mut low, mut high, mut now) = judge.outlook(rule);
            if quotes && now != Truth::True && plan.excusable.binary_search(&index).is_ok() {
                judge.read(Reading::Unquoted);
                let other = judge.outlook(rule);
                if other.2 <= now && high == Truth::True {
                    judge.read(Reading::Whole);
                }
                (low, high, now) = (low.max(other.0), high.max(other.1), now.max(other.2));
            }
            if self.readings.is_some_and(Readings::has_failed)
                && now == Truth::Unknown
                && (rule.on_error == OnError::Block || clause.kind == Kind::Hard)
                && judge.failure(rule).is_some()
            {
                out.stop = Some(Vec::new());
            } else if high == Truth::True {
                self.weigh(judge, rule, (low, now), &mut out);
            }
            if out.stop.is_some() {
                break;
            }
        }
        judge.scans.awake = awake;
        out
    }

    fn weigh(&self, judge: &mut Judge<'_>, rule: &Rule, (low, now): Bounds, out: &mut Outlook) {
        let spans = self.rests_on(judge, rule, &mut out.near);
        if low == Truth::True {
            return self.enforce(judge, rule, &spans, out);
        }
        let data = judge.data;
        let mut atoms =
            conditions(rule).flat_map(Condition::atoms).filter_map(|at| data.atoms.get(at as usize));
        let asks = atoms.any(|atom| matches!(atom, Atom::Length { .. }));
        out.length |= asks && judge.may_hold_by_length(rule);
        // What is missing from a text is missing from its beginning on.
        let absent = spans.is_empty() && now == Truth::True;
        let (mut overdue, mut waiting) = (false, false);
        for (start, end) in spans.iter().map(|span| (span.start, span.end)).chain(absent.then_some((0, 1))) {
            if (self.expired)(start) {
                overdue |= end > self.released;
            } else {
                waiting = true;
                out.hold = Some(out.hold.map_or(start, |hold| hold.min(start)));
            }
        }
        if overdue && self.stops {
            out.stop = Some(vec![rule.clause as usize]);
        } else if now == Truth::True && (overdue || !waiting) && rule.action != Action::Revise {
            // Of an answer that should be written again, what was said already is not taken back: it may yet say what it
            // lacks.
            out.early.push(rule.clause as usize);
            self.enforce(judge, rule, &spans, out);
        }
    }

    /// The rule holds.
    fn enforce(&self, judge: &mut Judge<'_>, rule: &Rule, spans: &[Span], out: &mut Outlook) {
        match rule.action {
            Action::Allow | Action::Flag => {}
            Action::Redact => {
                let mut places = Vec::new();
                judge.evidence(rule, &mut places);
                places.retain(|place| place.field != Field::ToolName);
                match places.is_empty() {
                    // What cannot be redacted is blocked.
                    true => out.stop = Some(Vec::new()),
                    false => out.places.extend(places),
                }
            }
            Action::Revise => {
                let start = spans.iter().map(|span| span.start).min().unwrap_or(0);
                out.freeze = Some(out.freeze.map_or(start, |freeze| freeze.min(start)));
            }
            Action::Escalate | Action::Block => out.stop = Some(Vec::new()),
        }
    }

    /// What a finding of the rule would rest on, of what was found so far.
    fn rests_on(&self, judge: &mut Judge<'_>, rule: &Rule, near: &mut Option<u32>) -> Vec<Span> {
        let mut spans = Vec::new();
        for index in judge.alive(&rule.when) {
            let Some(atom) = judge.data.atoms.get(index as usize) else { continue };
            let Some((slot, parts)) = atom.place().map(|place| judge.slot(place, judge.reading)) else {
                continue;
            };
            if slot != Slot::Judged {
                continue;
            }
            if atom.needs_model() {
                // What the growing passage says counts from its beginning, what was not read yet from there on.
                let Some(readings) = self.readings else { continue };
                let says = judge.decided(index) == Truth::True;
                let start =
                    u32::try_from(if says { readings.from } else { readings.till }).unwrap_or(u32::MAX);
                spans.extend((start < self.point).then_some(Span { start, end: self.point }));
                continue;
            }
            let scan = &judge.scans.judged;
            match atom {
                Atom::Match { set, .. } | Atom::Count { set, .. } if scan.touched(*set) => {
                    spans.extend(judge.hits(scan, parts, *set).map(|hit| scan.place(hit).0));
                }
                Atom::Near { first, second, gap, .. } => {
                    let mut found = |(left, right): (Hit, Hit)| {
                        spans.extend([left, right].map(|hit| scan.place(hit).0));
                        true
                    };
                    judge.near(scan, parts, *first, *second, *gap, &mut found);
                    let sets = [*first, *second].into_iter().filter(|set| scan.touched(*set));
                    for hit in sets.flat_map(|set| judge.hits(scan, parts, set)) {
                        // Offsets in derived views are counted from another place.
                        let slack = if hit.view == 0 { 0 } else { self.holding.longest as u32 };
                        let last = hit.end.saturating_add(gap.saturating_add(slack));
                        if self.normal_end <= last {
                            spans.push(scan.place(hit).0);
                            *near = Some(near.map_or(last, |known| known.min(last)));
                        }
                    }
                }
                Atom::Personal { kinds, .. } => {
                    let found = scan.personal.iter().filter(|found| kinds.contains(found.kind));
                    spans.extend(found.map(|found| found.span));
                }
                Atom::Secret { kinds, .. } => {
                    let found = scan.secrets.iter().filter(|found| kinds.contains(found.kind));
                    spans.extend(found.map(|found| found.span));
                }
                _ => {}
            }
        }
        spans
    }
}

impl Inner {
    /// Notes the clauses whose decision was cut short: they block.
    pub(super) fn cut_short(
        &self,
        clauses: &[usize],
        surface: crate::message::Surface,
        outcome: &mut Outcome,
    ) {
        for (index, rule) in self.policy.data().rules.iter().enumerate() {
            let at = rule.clause as usize;
            if clauses.contains(&at) && !outcome.findings.iter().any(|known| known.clause == at) {
                let (clause, action, evidence) = (at, Action::Block, Vec::new());
                outcome.findings.push(crate::verdict::Finding {
                    clause,
                    rule: index,
                    surface,
                    action,
                    evidence,
                });
            }
        }
        clauses.iter().for_each(|&clause| outcome.fail("stream", "hold_exceeded", clause));
    }
}
