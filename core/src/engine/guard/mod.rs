//! [`Guard`]: a policy made ready to judge, and the check itself.

mod conclude;
mod fields;
mod streamed;
mod weigh;

use super::judge::{Judge, Reading, Scans};
use super::program::{CompiledScope, Program};
use super::redact;
use super::scores::{Classifier, SurfaceScores, rounded};
use super::text::FieldText;
use crate::classifier::{ModelError, Models};
use crate::message::{Input, Message, Part};
use crate::policy::{
    Clause, Force, ForceScratch, Kind, LABELS, Policy, Rule, Settings, SettingsError, Truth,
};
use crate::verdict::Verdict;
pub(crate) use conclude::Seen;
use fields::surface_of;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::{Duration, Instant};
pub(crate) use streamed::Streamed;
pub(crate) use weigh::Outcome;

/// A policy with its settings and automata, shared by threads. Cheap to clone.
///
/// # What does a check cost?
/// Time linear in the text, and no memory once warm: every buffer comes from a pool and goes back to it. Only
/// findings allocate.
///
/// # Can a check fail?
/// Not because of what a message says. It fails only where the input names no message to judge.
#[derive(Clone)]
pub struct Guard(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) policy: Policy,
    pub(crate) program: Program,
    pub(crate) classifier: Option<Classifier>,
    force: Force,
    tags: Vec<String>,
    pool: Mutex<Vec<Box<Scratch>>>,
}

/// How many idle scratch buffers a guard keeps.
const MAX_POOLED: usize = 64;
/// A scratch buffer that grew beyond this many bytes of text is dropped rather than kept.
const MAX_POOLED_TEXT: usize = 1 << 20;

#[derive(Default)]
pub(crate) struct Scratch {
    pub(crate) scans: Scans,
    field: FieldText,
    request: FieldText,
    response: FieldText,
    force: ForceScratch,
    exempted: Vec<Option<usize>>,
}

/// Why a guard cannot be built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GuardError {
    /// The settings cannot be used with this policy.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// A clause needs a model and none is loaded.
    #[error("no model is loaded, and these clauses need one: {}", .0.join(", "))]
    ModelRequired(Vec<String>),
    /// A constraint of the scope does not compile.
    #[error("scope.tool_constraints `{tool}`: {reason}")]
    Constraint {
        /// The tool it is for.
        tool: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The automata cannot be built.
    #[error("{0}")]
    Build(String),
    /// The models cannot be used with this policy.
    #[error(transparent)]
    Models(#[from] ModelError),
}

/// Why an input cannot be judged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CheckError {
    /// There is no message.
    #[error("`messages` is empty: there is nothing to judge")]
    NoMessages,
    /// `target` points past the last message.
    #[error("`target` is {target}, but `messages` has {messages}")]
    TargetOutOfRange {
        /// The index given.
        target: usize,
        /// How many messages there are.
        messages: usize,
    },
    /// The settings of the request hold tables that only a deployment may set.
    #[error("`settings`: {0}")]
    Settings(String),
}

/// Options of a guard.
#[derive(Clone, Debug, Default)]
pub struct GuardOptions {
    /// What the deployment set; laid over the settings that travel with the policy.
    pub settings: Settings,
    /// Refuse to start where a clause needs a model and none is loaded.
    pub require_models: bool,
    /// The models that decide conditions on labels. Without them such conditions stay undecided.
    pub models: Option<Models>,
    /// How long the models may take for one check. What they have not scored by then counts as failed, and each clause
    /// that needed it follows its `on_error`. Without a limit the cost is linear in the text.
    pub deadline: Option<Duration>,
    /// Score every label for every message, also where no condition asks.
    pub scores: bool,
}

impl Guard {
    /// A guard with the policy's own settings.
    ///
    /// # Errors
    /// If the settings that travel with the policy ask for more than they may, or the automata cannot be built.
    pub fn new(policy: Policy) -> Result<Self, GuardError> {
        Self::with(policy, GuardOptions::default())
    }

    /// A guard with the deployment's settings.
    ///
    /// # Errors
    /// If the settings name unknown clauses or ask for more than they may (every such line is named), a constraint of
    /// the scope does not compile, or a required model is missing.
    pub fn with(policy: Policy, options: GuardOptions) -> Result<Self, GuardError> {
        options.settings.check_deployment()?;
        let settings = policy.data().settings.overlaid(&options.settings);
        let tags = settings.all_tags().map(str::to_string).collect();
        let scope = match &settings.scope {
            None => None,
            Some(scope) => Some(CompiledScope {
                scope: scope.clone(),
                constraints: crate::compiler::constraints(scope)
                    .map_err(|(tool, reason)| GuardError::Constraint { tool, reason })?,
            }),
        };
        let (force, problems) = Force::new(policy.clauses(), settings);
        if !problems.is_empty() {
            return Err(SettingsError::Refused(problems).into());
        }
        if options.require_models && options.models.is_none() {
            let needing: Vec<String> =
                policy.clauses_needing_model().map(|clause| clause.id.clone()).collect();
            if !needing.is_empty() {
                return Err(GuardError::ModelRequired(needing));
            }
        }
        let classifier = options
            .models
            .map(|models| Classifier::new(models, policy.data(), options.deadline, options.scores))
            .transpose()?;
        let program = Program::new(&policy, scope, classifier.as_ref())
            .map_err(|error| GuardError::Build(error.to_string()))?;
        Ok(Self(Arc::new(Inner { policy, program, classifier, force, tags, pool: Mutex::default() })))
    }

    /// The policy it applies.
    pub fn policy(&self) -> &Policy {
        &self.0.policy
    }

    /// The models it asks, where it has any.
    pub fn models(&self) -> Option<&Models> {
        self.0.classifier.as_ref().map(|classifier| &classifier.models)
    }

    /// Judges one message.
    ///
    /// # Errors
    /// Only for an input that names no message to judge or holds settings a request may not carry.
    pub fn check(&self, input: &Input<'_>) -> Result<Verdict, CheckError> {
        let started = Instant::now();
        let (at, message) = judged(input)?;
        let verdict = self.0.with_scratch(|scratch| self.0.check(input, at, message, scratch));
        Ok(timed(verdict, started))
    }

    /// Judges one message where that takes microseconds: `None` if the full model would have to read it. A server judges
    /// most messages so on the thread that serves, and hands the others to [`Guard::check`] on another one.
    ///
    /// # Errors
    /// As [`Guard::check`].
    pub fn try_check(&self, input: &Input<'_>) -> Result<Option<Verdict>, CheckError> {
        let started = Instant::now();
        let (at, message) = judged(input)?;
        let verdict = self.0.with_scratch(|scratch| {
            scratch.scans.scores.keep_full_out();
            let verdict = self.0.check(input, at, message, scratch);
            (!scratch.scans.scores.let_full_in()).then_some(verdict)
        });
        Ok(verdict.map(|verdict| timed(verdict, started)))
    }

    /// What the models make of each text of a message, with the surface it was scored as: the scores that conditions on
    /// labels compare. Nothing without models.
    ///
    /// A guard with [`GuardOptions::scores`] reads every text as a condition on a label does, after the request it answers
    /// and with its disguises undone. Without it, that is so only on surfaces where the policy asks for a label.
    ///
    /// # Errors
    /// As [`Guard::check`]. A text that the models could not score has its own error.
    pub fn scores(&self, input: &Input<'_>) -> Result<Vec<SurfaceScores>, CheckError> {
        let (at, message) = judged(input)?;
        let mut scores = Vec::new();
        self.0.with_scratch(|scratch| {
            self.0.fields(input, at, message, scratch, &mut |judge, _, _| scores.extend(judge.scores()));
        });
        Ok(scores)
    }

    /// Whether the rules of one clause match the message, whatever is in force: what an example of the clause asks.
    pub(crate) fn probe(&self, input: &Input<'_>, clause: usize) -> Truth {
        let Some((at, message)) = input.judged() else { return Truth::Unknown };
        let mut scratch = Box::<Scratch>::default();
        let inner = &*self.0;
        let mut best = Truth::False;
        inner.fields(input, at, message, &mut scratch, &mut |judge, _, plan| {
            for rule in plan.rules.iter().chain(&plan.exceptions) {
                let Some(rule) = inner.rule(*rule) else { continue };
                if rule.clause as usize == clause && inner.tags_hold(judge, rule) {
                    let exception = inner.clause(rule).is_some_and(|clause| clause.kind == Kind::Exception);
                    judge.read(if exception { Reading::Authority } else { Reading::Whole });
                    best = best.max(judge.rule(rule));
                    if !exception && inner.quotes(judge, plan) {
                        judge.read(Reading::Unquoted);
                        best = best.max(judge.rule(rule));
                    }
                }
            }
        });
        best
    }
}

fn timed(mut verdict: Verdict, started: Instant) -> Verdict {
    verdict.elapsed_us = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
    verdict
}

/// The message to judge, of an input that may be judged.
fn judged<'a, 'm>(input: &'m Input<'a>) -> Result<(usize, &'m Message<'a>), CheckError> {
    let Some(judged) = input.judged() else {
        return Err(match (input.target, input.messages.len()) {
            (Some(target), messages) if messages > 0 => CheckError::TargetOutOfRange { target, messages },
            _ => CheckError::NoMessages,
        });
    };
    if let Some(settings) = &input.settings {
        settings.check_request().map_err(|error| CheckError::Settings(error.to_string()))?;
    }
    Ok(judged)
}

impl Inner {
    /// Lends a scratch buffer of the pool.
    fn with_scratch<T>(&self, run: impl FnOnce(&mut Scratch) -> T) -> T {
        let mut scratch = self.pool.lock().pop().unwrap_or_default();
        let result = run(&mut scratch);
        if scratch.scans.held() <= MAX_POOLED_TEXT {
            let mut pool = self.pool.lock();
            if pool.len() < MAX_POOLED {
                pool.push(scratch);
            }
        }
        result
    }

    fn check(&self, input: &Input<'_>, at: usize, message: &Message<'_>, scratch: &mut Scratch) -> Verdict {
        let ignored = self.force.apply_request(input.settings.as_deref(), &mut scratch.force);
        let (mut outcome, bytes) = self.judged(input, at, message, scratch);
        let redactions = redact::apply(message, std::mem::take(&mut outcome.redact));
        let not_judged = message.parts.iter().filter_map(Part::not_judged).map(str::to_string).collect();
        let seen = Seen { surface: surface_of(message), bytes, ignored, redactions, not_judged };
        self.concluded(input, outcome, seen, scratch)
    }

    /// What the fields of a message add up to, and how many bytes they are.
    fn judged(
        &self,
        input: &Input<'_>,
        at: usize,
        message: &Message<'_>,
        scratch: &mut Scratch,
    ) -> (Outcome, u64) {
        let (mut outcome, mut bytes) = (Outcome::default(), 0);
        let force = std::mem::take(&mut scratch.force);
        let mut exempted = std::mem::take(&mut scratch.exempted);
        self.fields(input, at, message, scratch, &mut |judge, len, plan| {
            bytes += len as u64;
            self.exceptions(judge, plan, &force, &mut exempted);
            self.rules(judge, plan, &force, &exempted, &mut outcome);
        });
        scratch.force = force;
        scratch.exempted = exempted;
        (outcome, bytes)
    }

    /// The verdict on what the fields add up to.
    pub(crate) fn concluded(
        &self,
        input: &Input<'_>,
        outcome: Outcome,
        seen: Seen,
        scratch: &Scratch,
    ) -> Verdict {
        let mut verdict = self.conclude(input, outcome, seen);
        if let Some(classifier) = &self.classifier {
            let scores = &scratch.scans.scores;
            verdict.models = Some(classifier.models.clone());
            verdict.scanned.tiers = verdict.scanned.tiers.union(scores.tiers);
            let reported = LABELS.iter().zip(&scores.reported);
            verdict.scores =
                reported.filter_map(|(label, score)| Some((*label, rounded((*score)?)))).collect();
            verdict.unverified = scores.unverified;
        }
        verdict
    }

    pub(crate) fn rule(&self, index: usize) -> Option<&Rule> {
        self.policy.data().rules.get(index)
    }

    pub(crate) fn clause(&self, rule: &Rule) -> Option<&Clause> {
        self.policy.clauses().get(rule.clause as usize)
    }

    /// Whether some principal has lifted the clause.
    pub(crate) fn is_lifted(&self, force: &ForceScratch, clause: usize) -> bool {
        self.force.lifted(force, clause).is_some()
    }

    /// Whether the context carries one of the clause's tags.
    pub(crate) fn tags_hold(&self, judge: &Judge<'_>, rule: &Rule) -> bool {
        self.clause(rule)
            .is_some_and(|clause| clause.tags.is_empty() || clause.tags.iter().any(|tag| judge.has_tag(tag)))
    }
}
