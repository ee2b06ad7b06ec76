//! The values of atoms and conditions for one field, and the evidence behind them.

mod evidence;
mod look;

pub(crate) use evidence::polarities;
pub(crate) use look::near_pairs;

use super::program::Program;
use super::provenance::Provenance;
use super::scan::TextScan;
use super::scores::{Classifier, Scores, Slot};
use super::text::Judged;
use super::tools::Call;
use crate::message::{Input, Surface};
use crate::policy::{Atom, Condition, PolicyData, ScopeTest, Truth};
use crate::span::Span;
use crate::verdict::Field;

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
    pub scoring: Scoring,
}

/// Which models may run for a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Scoring {
    /// None: patterns decide.
    Nothing,
    /// The cascade.
    Labels,
    /// The full model over all of a text.
    Likes,
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

    /// The value of a rule: its condition and not its excuse. Models run only where patterns leave it open,
    /// and the full model reads all of a text only where labels leave it open as well.
    pub(crate) fn rule(&mut self, rule: &crate::policy::Rule) -> Truth {
        let cheap = self.evaluate(rule);
        if cheap != Truth::Unknown || self.classifier.is_none() {
            return cheap;
        }
        let mut value = cheap;
        for scoring in [Scoring::Labels, Scoring::Likes] {
            self.scoring = scoring;
            value = self.evaluate(rule);
            if value != Truth::Unknown {
                break;
            }
        }
        self.scoring = Scoring::Nothing;
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
        let needed = match atom {
            Atom::Like { .. } => Scoring::Likes,
            _ if atom.needs_model() => Scoring::Labels,
            _ => Scoring::Nothing,
        };
        if self.scoring < needed {
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
            | Atom::Unverified
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
}
