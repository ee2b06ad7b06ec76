//! What the rules make of a field: findings, what is lifted, what failed and what stays undecided.

use super::super::judge::{Judge, Reading};
use super::super::program::Plan;
use super::super::redact::Redactable;
use super::Inner;
use crate::message::Surface;
use crate::policy::{Action, Clause, ForceScratch, Kind, Lift, OnError, Rule, Truth};
use crate::verdict::{ClauseSet, Failure, Field, Finding, Lifted};

/// What the fields of a message add up to.
#[derive(Clone, Default)]
pub(crate) struct Outcome {
    pub findings: Vec<Finding>,
    pub lifted: Vec<Lifted>,
    pub failures: Vec<Failure>,
    pub undecided: ClauseSet,
    pub redact: Vec<Redactable>,
}

impl Outcome {
    /// Adds what another field led to.
    pub(crate) fn append(&mut self, other: Self) {
        self.findings.extend(other.findings);
        self.redact.extend(other.redact);
        for lifted in other.lifted {
            if !self.lifted.contains(&lifted) {
                self.lifted.push(lifted);
            }
        }
        for failure in other.failures {
            failure.clauses.iter().for_each(|&clause| self.fail(&failure.detector, failure.reason, clause));
        }
        other.undecided.iter().for_each(|clause| self.undecided.insert(clause));
    }

    /// Notes that a detector limits what was said of a clause.
    pub(crate) fn fail(&mut self, detector: &str, reason: &'static str, clause: usize) {
        let known = |failure: &&mut Failure| failure.detector == detector && failure.reason == reason;
        match self.failures.iter_mut().find(known) {
            Some(known) if known.clauses.contains(&clause) => {}
            Some(known) => known.clauses.push(clause),
            None => {
                let detector = detector.to_string();
                self.failures.push(Failure { detector, reason, clauses: vec![clause] });
            }
        }
    }
}

impl Inner {
    /// Which clauses an exception lifts here: for each, the exception.
    pub(crate) fn exceptions(
        &self,
        judge: &mut Judge<'_>,
        plan: &Plan,
        force: &ForceScratch,
        exempted: &mut Vec<Option<usize>>,
    ) {
        exempted.clear();
        exempted.resize(self.policy.clauses().len(), None);
        if plan.exceptions.is_empty() {
            return;
        }
        judge.read(Reading::Authority);
        for rule in plan.exceptions.iter().filter_map(|&index| self.rule(index)) {
            let exception = rule.clause as usize;
            let active = self.tags_hold(judge, rule) && self.force.lifted(force, exception).is_none();
            if active && judge.rule(rule) == Truth::True {
                for &clause in &rule.exempts {
                    if let Some(slot) = exempted.get_mut(clause as usize) {
                        slot.get_or_insert(exception);
                    }
                }
            }
        }
    }

    pub(crate) fn rules(
        &self,
        judge: &mut Judge<'_>,
        plan: &Plan,
        force: &ForceScratch,
        exempted: &[Option<usize>],
        outcome: &mut Outcome,
    ) {
        let quotes = self.quotes(judge, plan);
        let mut awake = std::mem::take(&mut judge.scans.awake);
        plan.wake(&[&judge.scans.judged, &judge.scans.request, &judge.scans.response], &mut awake);
        for (nth, word) in awake.iter().enumerate() {
            let mut word = *word;
            while word != 0 {
                let place = nth * 64 + word.trailing_zeros() as usize;
                word &= word - 1;
                if let Some(&index) = plan.rules.get(place) {
                    self.weigh(judge, plan, index, quotes, force, exempted, outcome);
                }
            }
        }
        judge.scans.awake = awake;
    }

    /// Whether something is quoted that may excuse what was found; if so, the quotations are known afterwards.
    pub(crate) fn quotes(&self, judge: &mut Judge<'_>, plan: &Plan) -> bool {
        if plan.excusable.is_empty() {
            return false;
        }
        let scans = &mut *judge.scans;
        let (scan, origin) = match judge.surface {
            Surface::Request => (&mut scans.judged, judge.judged),
            _ => (&mut scans.request, judge.request),
        };
        let found =
            plan.labels || !(scan.hits.is_empty() && scan.personal.is_empty() && scan.secrets.is_empty());
        let Some(origin) = origin.filter(|_| found) else { return false };
        if scan.regions.is_empty() {
            scan.find_regions(origin.text.text(), Surface::Request);
        }
        !scan.regions.is_empty()
    }

    #[expect(clippy::too_many_arguments, reason = "what one rule is weighed by")]
    fn weigh(
        &self,
        judge: &mut Judge<'_>,
        plan: &Plan,
        index: usize,
        quotes: bool,
        force: &ForceScratch,
        exempted: &[Option<usize>],
        outcome: &mut Outcome,
    ) {
        let Some((rule, clause)) = self.rule(index).and_then(|rule| Some((rule, self.clause(rule)?))) else {
            return;
        };
        let at = rule.clause as usize;
        if !clause.tags.is_empty() && !self.tags_hold(judge, rule) {
            return;
        }
        judge.read(Reading::Whole);
        let mut truth = judge.rule(rule);
        if quotes && truth != Truth::True && plan.excusable.binary_search(&index).is_ok() {
            // Without quotations: an excuse in one of them excuses nothing outside.
            judge.read(Reading::Unquoted);
            truth = truth.max(judge.rule(rule));
        }
        if truth == Truth::False {
            return;
        }
        let by = match self.force.lifted(force, at) {
            Some(Lift::By(principal)) => Some(principal.as_str().to_string()),
            Some(Lift::Context) => Some("context".to_string()),
            None => exempted
                .get(at)
                .copied()
                .flatten()
                .filter(|_| clause.kind != Kind::Hard)
                .and_then(|exception| self.policy.clauses().get(exception))
                .map(|exception| exception.id.clone()),
        };
        if let Some(by) = by {
            if truth == Truth::True
                && !outcome.lifted.iter().any(|known| known.clause == at && known.by == by)
            {
                outcome.lifted.push(Lifted { clause: at, by });
            }
            return;
        }
        if truth == Truth::True {
            let regions_missing = judge.surface == Surface::Request || judge.surface == Surface::ToolResult;
            if regions_missing && !plan.regions && judge.scans.judged.regions.is_empty() {
                let surface = judge.surface;
                if let Some(origin) = judge.judged {
                    judge.scans.judged.find_regions(origin.text.text(), surface);
                }
            }
            let mut places = Vec::new();
            let evidence = judge.evidence(rule, &mut places);
            // A tool's name cannot be replaced, and a condition may rest on no place at all: what cannot be redacted is
            // not let through.
            places.retain(|place: &Redactable| place.field != Field::ToolName);
            let action = match rule.action {
                Action::Redact if places.is_empty() => Action::Block,
                action => action,
            };
            if action == Action::Redact {
                outcome.redact.extend(places);
            }
            let surface = judge.surface;
            outcome.findings.push(Finding { clause: at, rule: index, surface, action, evidence });
            return;
        }
        match judge.failure(rule) {
            None => outcome.undecided.insert(at),
            Some((detector, reason)) => {
                self.failed(judge.surface, index, rule, clause, detector, reason, outcome)
            }
        }
    }

    /// A detector failed: the clause follows its `on_error`, a hard clause blocks.
    #[expect(clippy::too_many_arguments, reason = "what is known about one failure")]
    fn failed(
        &self,
        surface: Surface,
        index: usize,
        rule: &Rule,
        clause: &Clause,
        detector: String,
        reason: &'static str,
        outcome: &mut Outcome,
    ) {
        let at = rule.clause as usize;
        let action = match rule.on_error {
            _ if clause.kind == Kind::Hard => Some(Action::Block),
            OnError::Block => Some(Action::Block),
            OnError::Flag => Some(Action::Flag),
            OnError::Allow => None,
        };
        if let Some(action) = action {
            outcome.findings.push(Finding { clause: at, rule: index, surface, action, evidence: Vec::new() });
        }
        outcome.fail(&detector, reason, at);
    }
}
