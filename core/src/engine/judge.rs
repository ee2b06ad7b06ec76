//! The values of atoms and conditions for one field, and the evidence behind them.

use super::matcher::Hit;
use super::program::Program;
use super::provenance::{self, Provenance};
use super::redact::Redactable;
use super::scan::TextScan;
use super::scores::{Classifier, Scores, Slot};
use super::text::Judged;
use super::tools::Call;
use crate::message::{Input, Surface};
use crate::policy::{Atom, Condition, LABELS, Op, Place, PolicyData, ScopeTest, Threshold, Truth};
use crate::span::Span;
use crate::verdict::{Evidence, EvidenceSpan, Field, MAX_SPANS};

/// The texts of one field and of the context it is judged in.
#[derive(Default)]
pub(crate) struct Scans {
    pub judged: TextScan,
    pub request: TextScan,
    pub response: TextScan,
    /// By [`Reading`], the values of atoms that were asked for, by index; `None` where nobody asked.
    pub values: [Vec<Option<Truth>>; 3],
    /// Which rules of the plan may hold of this field, a bit for each.
    pub awake: Vec<u64>,
    /// What is left of [`TRACE_BUDGET`](super::tools::TRACE_BUDGET).
    pub trace_budget: usize,
    pub scores: Scores,
}

impl Scans {
    /// How many bytes of text the views hold, a measure of the memory behind them.
    pub(crate) fn held(&self) -> usize {
        let texts = [&self.judged, &self.request, &self.response];
        texts.into_iter().flat_map(|scan| scan.views.iter()).map(|view| view.text().len()).sum()
    }

    fn text(&self, slot: Slot) -> &TextScan {
        match slot {
            Slot::Judged => &self.judged,
            Slot::Request => &self.request,
            Slot::Response => &self.response,
        }
    }

    pub(super) fn regions(&self, slot: Slot) -> &[(Span, Provenance)] {
        &self.text(slot).regions
    }
}

/// Where a text stands in the conversation.
#[derive(Clone, Copy)]
pub(crate) struct Origin<'a> {
    pub message: usize,
    pub field: Field,
    /// For a tool call: its index, and the name in the text stands for no part.
    pub call: Option<u32>,
    pub text: &'a Judged<'a>,
}

/// One field while its rules are evaluated.
pub(crate) struct Judge<'a> {
    pub program: &'a Program,
    pub data: &'a PolicyData,
    pub input: &'a Input<'a>,
    pub deployment_tags: &'a [String],
    pub surface: Surface,
    pub message: usize,
    pub judged: Option<Origin<'a>>,
    pub request: Option<Origin<'a>>,
    pub response: Option<Origin<'a>>,
    pub call: Option<Call<'a>>,
    pub scans: &'a mut Scans,
    pub reading: Reading,
    /// The models, where they are loaded.
    pub classifier: Option<&'a Classifier>,
    /// Whether models may run for a value: rules are tried without them first.
    pub scoring: bool,
}

/// Which text counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// All of it.
    Whole,
    /// A request without what it quotes: what stands in a quotation excuses nothing that stands outside.
    Unquoted,
    /// Only text of principals: the condition belongs to an exception.
    Authority,
}

/// A text and which of its parts count.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Parts {
    All,
    Foreign,
    Own,
    None,
}

impl<'a> Judge<'a> {
    /// Forgets every value, for another field.
    pub(crate) fn reset(&mut self) {
        self.scans.values.iter_mut().for_each(Vec::clear);
        self.read(Reading::Whole);
    }

    /// Counts other text from now on.
    pub(crate) fn read(&mut self, reading: Reading) {
        self.reading = reading;
        let atoms = self.data.atoms.len();
        self.values().resize(atoms, None);
    }

    fn values(&mut self) -> &mut Vec<Option<Truth>> {
        let [whole, unquoted, authority] = &mut self.scans.values;
        match self.reading {
            Reading::Whole => whole,
            Reading::Unquoted => unquoted,
            Reading::Authority => authority,
        }
    }

    /// The value of a rule: its condition and not its excuse. Models run only where patterns leave it open.
    pub(crate) fn rule(&mut self, rule: &crate::policy::Rule) -> Truth {
        let cheap = self.evaluate(rule);
        if cheap != Truth::Unknown || self.classifier.is_none() {
            return cheap;
        }
        self.scoring = true;
        let value = self.evaluate(rule);
        self.scoring = false;
        value
    }

    fn evaluate(&mut self, rule: &crate::policy::Rule) -> Truth {
        let when = self.condition(&rule.when);
        match &rule.unless {
            Some(unless) if when != Truth::False => when.min(self.condition(unless).negated()),
            _ => when,
        }
    }

    fn condition(&mut self, condition: &Condition) -> Truth {
        condition.eval(|atom| self.value(atom))
    }

    /// The value of an atom, found once per field.
    pub(crate) fn value(&mut self, index: u32) -> Truth {
        if let Some(Some(known)) = self.values().get(index as usize) {
            return *known;
        }
        let data = self.data;
        let Some(atom) = data.atoms.get(index as usize) else { return Truth::Unknown };
        if atom.needs_model() && !self.scoring {
            return Truth::Unknown;
        }
        let value = self.compute(index, atom);
        if let Some(slot) = self.values().get_mut(index as usize) {
            *slot = Some(value);
        }
        value
    }

    fn compute(&mut self, index: u32, atom: &Atom) -> Truth {
        match atom {
            Atom::Match { .. }
            | Atom::Count { .. }
            | Atom::Near { .. }
            | Atom::Label { .. }
            | Atom::Like { .. }
            | Atom::Personal { .. }
            | Atom::Secret { .. }
            | Atom::Length { .. } => {
                let value = self.look(index, atom, self.reading);
                // Text without authority neither makes an exception hold nor keeps it from being refuted.
                let refuted =
                    self.reading == Reading::Authority && value != self.look(index, atom, Reading::Whole);
                if refuted { Truth::Unknown } else { value }
            }
            // What the model writes into a call has no authority.
            Atom::ToolName(_) | Atom::ToolArgument { .. } if self.reading == Reading::Authority => {
                Truth::Unknown
            }
            Atom::ToolName(_) | Atom::ToolArgument { .. } => {
                let regex = self.program.regexes.get(index as usize).and_then(Option::as_ref);
                self.call.as_mut().map_or(Truth::False, |call| call.test(atom, regex))
            }
            Atom::Scope(test) => self.scope(*test),
            Atom::Tag(tag) => self.has_tag(tag).into(),
            Atom::Signal { name, compare } => {
                self.signal(name).is_some_and(|value| compare.holds(value)).into()
            }
            Atom::Untrusted => match self.surface {
                Surface::ToolResult => Truth::True,
                Surface::ToolCall => {
                    let (input, message, budget) = (self.input, self.message, &mut self.scans.trace_budget);
                    match self.call.as_mut().map(|call| call.taint(input, message, budget)) {
                        Some(Ok(taint)) => taint.is_some().into(),
                        Some(Err(_)) => Truth::Unknown,
                        None => Truth::False,
                    }
                }
                Surface::Request => (!self.scans.judged.regions.is_empty()).into(),
                Surface::Response | Surface::Reasoning => Truth::False,
            },
        }
    }

    /// The value of an atom that looks at text.
    fn look(&mut self, index: u32, atom: &Atom, reading: Reading) -> Truth {
        let Some(place) = atom.place() else { return Truth::Unknown };
        if atom.needs_model() {
            return self.label(index, atom, reading);
        }
        let (scan, parts) = self.text(place, reading);
        match atom {
            Atom::Match { .. } | Atom::Count { .. } | Atom::Near { .. } if parts == Parts::None => {
                atom.holds_of_nothing().into()
            }
            Atom::Match { set, .. } => {
                let found = scan.touched(*set) && self.hits(scan, parts, *set).next().is_some();
                self.unless_failed(scan, &[*set], found.into())
            }
            Atom::Count { set, compare, .. } => {
                #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
                let count = if scan.touched(*set) { self.count(scan, parts, *set) as f64 } else { 0.0 };
                self.unless_failed(scan, &[*set], compare.holds(count).into())
            }
            Atom::Near { first, second, gap, .. } => {
                let found = scan.touched(*first)
                    && scan.touched(*second)
                    && self.near(scan, parts, *first, *second, *gap, &mut |_| false);
                self.unless_failed(scan, &[*first, *second], found.into())
            }
            Atom::Personal { kinds, .. } => scan
                .personal
                .iter()
                .any(|found| kinds.contains(found.kind) && self.counts(scan, parts, found.span))
                .into(),
            Atom::Secret { kinds, .. } => scan
                .secrets
                .iter()
                .any(|found| kinds.contains(found.kind) && self.counts(scan, parts, found.span))
                .into(),
            Atom::Length { compare, .. } => {
                #[expect(clippy::cast_precision_loss, reason = "lengths are far below 2^52")]
                let chars = scan.chars as f64;
                (scan.present && parts != Parts::None && compare.holds(chars)).into()
            }
            _ => Truth::Unknown,
        }
    }

    /// The scan a place means here, and which parts of it count.
    fn text(&self, place: Place, reading: Reading) -> (&TextScan, Parts) {
        let (slot, parts) = self.slot(place, reading);
        (self.scans.text(slot), parts)
    }

    /// The text a place means here, and which parts of it count.
    pub(super) fn slot(&self, place: Place, reading: Reading) -> (Slot, Parts) {
        let request = self.surface == Surface::Request;
        // Of the judged text, of what a principal says, of what the model or a tool says.
        let own = if request { Parts::Own } else { Parts::None };
        let (judged, said, foreign) = match reading {
            Reading::Whole => (Parts::All, Parts::All, Parts::All),
            Reading::Unquoted if request => (Parts::Own, Parts::Own, Parts::All),
            Reading::Unquoted => (Parts::All, Parts::Own, Parts::All),
            Reading::Authority => (own, Parts::Own, Parts::None),
        };
        match (place, self.surface) {
            (Place::Judged, _)
            | (Place::Request, Surface::Request)
            | (Place::Response, Surface::Response) => (Slot::Judged, judged),
            (Place::Request, _) => (Slot::Request, said),
            (Place::Response, _) => (Slot::Response, foreign),
            (Place::Untrusted, _) if reading == Reading::Authority => (Slot::Judged, Parts::None),
            (Place::Untrusted, _) => (Slot::Judged, Parts::Foreign),
            (Place::Trusted, _) => (Slot::Judged, own),
        }
    }

    fn counts(&self, scan: &TextScan, parts: Parts, span: Span) -> bool {
        match parts {
            Parts::All => true,
            Parts::Foreign => provenance::of(&scan.regions, span).is_some(),
            Parts::Own => provenance::of(&scan.regions, span).is_none(),
            Parts::None => false,
        }
    }

    fn hits<'s>(&'s self, scan: &'s TextScan, parts: Parts, set: u32) -> impl Iterator<Item = Hit> + 's {
        scan.hits_of(self.program, set)
            .filter(move |hit| parts == Parts::All || self.counts(scan, parts, scan.place(*hit).0))
    }

    /// How many places the set matches in the view that has most, overlapping matches counted once.
    fn count(&self, scan: &TextScan, parts: Parts, set: u32) -> usize {
        let (mut best, mut here, mut view, mut end) = (0, 0, 0, 0);
        for hit in self.hits(scan, parts, set) {
            if hit.view != view {
                (view, here, end) = (hit.view, 0, 0);
            }
            if hit.start >= end {
                here += 1;
                end = hit.end;
            }
            best = best.max(here);
        }
        best
    }

    /// Calls `found` with pairs at most `gap` bytes apart in one view until it is content; whether there was any.
    fn near(
        &self,
        scan: &TextScan,
        parts: Parts,
        first: u32,
        second: u32,
        gap: u32,
        found: &mut dyn FnMut((Hit, Hit)) -> bool,
    ) -> bool {
        let mut any = false;
        // The last hit of each set seen so far that reaches furthest: any partner to the left is at most as close.
        let mut last: [Option<Hit>; 2] = [None, None];
        for hit in scan.hits.iter().copied() {
            let Some(sets) = self.program.members.get(hit.pattern as usize) else { continue };
            let in_set = [first, second].map(|set| sets.contains(&set));
            let counts = in_set.contains(&true)
                && (parts == Parts::All || self.counts(scan, parts, scan.place(hit).0));
            if !counts {
                continue;
            }
            // A hit of both sets is no partner of its own, and takes no partner's place before it has met it.
            for (own, _) in in_set.iter().enumerate().filter(|(_, is_in)| **is_in) {
                let other = last.get(1 - own).copied().flatten();
                let close =
                    |other: &Hit| other.view == hit.view && hit.start.saturating_sub(other.end) <= gap;
                if let Some(other) = other.filter(close) {
                    any = true;
                    if !found((other, hit)) {
                        return true;
                    }
                }
            }
            for (slot, _) in last.iter_mut().zip(in_set).filter(|(_, is_in)| *is_in) {
                let further = slot.is_none_or(|known| known.view != hit.view || hit.end >= known.end);
                if further {
                    *slot = Some(hit);
                }
            }
        }
        any
    }

    /// A result that rests on a pattern whose automaton could not be built is unknown, unless it was found anyway.
    fn unless_failed(&self, scan: &TextScan, sets: &[u32], value: Truth) -> Truth {
        let failed = scan.matching.failed.iter().any(|&pattern| {
            self.program
                .members
                .get(pattern as usize)
                .is_some_and(|of| of.iter().any(|set| sets.contains(set)))
        });
        if failed && value == Truth::False { Truth::Unknown } else { value }
    }

    fn scope(&mut self, test: ScopeTest) -> Truth {
        let Some(scope) = &self.program.scope else { return Truth::True };
        let within = |bound: Option<f64>, signal: Option<f64>| match bound {
            None => true,
            Some(bound) => signal.is_some_and(|value| value <= bound),
        };
        match test {
            ScopeTest::WithinBudget => within(scope.scope.max_cost, self.signal("cost")).into(),
            ScopeTest::WithinTime => within(scope.scope.latest_time, self.signal("time")).into(),
            ScopeTest::AllowsTool | ScopeTest::AllowsArgs => {
                self.call.as_mut().map_or(Truth::False, |call| call.allowed_by(scope, test))
            }
        }
    }

    fn signal(&self, name: &str) -> Option<f64> {
        self.input.signals.iter().find(|(known, _)| known == name).map(|(_, value)| *value)
    }

    /// Whether the deployment, the request's settings or the record carry the tag.
    pub(crate) fn has_tag(&self, tag: &str) -> bool {
        self.deployment_tags.iter().any(|known| known == tag)
            || self.input.tags.iter().any(|known| known == tag)
            || self
                .input
                .settings
                .as_ref()
                .is_some_and(|settings| settings.all_tags().any(|known| known == tag))
    }

    /// Why an atom of the rule is unknown although no model is missing: the detector that failed.
    pub(crate) fn failure(&mut self, rule: &crate::policy::Rule) -> Option<(String, &'static str)> {
        let data = self.data;
        for index in super::program::conditions(rule).flat_map(Condition::atoms) {
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
                Atom::Label { place, .. } => match self.label_evidence(index, atom) {
                    Some((score, threshold, span)) => {
                        if let (Some(span), Some(origin), true) = (span, self.origin(*place), positive) {
                            // A score says nothing about single words: its place is shown, and not redacted.
                            self.locate(origin, span, None, "", &mut spans, &mut Vec::new());
                        }
                        (Some(score), Some(threshold))
                    }
                    None => (None, None),
                },
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

    pub(super) fn origin_of(&self, slot: Slot) -> Option<Origin<'a>> {
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
        }
    }
}

fn small(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// The atoms of a condition with the sign under which each first stands.
fn polarities(condition: &Condition) -> Vec<(u32, bool)> {
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
