//! [`Guard`]: a policy made ready to judge, and the check itself.

use super::judge::{Judge, Origin, Reading, Scans};
use super::program::{CompiledScope, Plan, Program};
use super::redact::{self, Redactable};
use super::scores::{Classifier, rounded};
use super::text::{FieldText, Judged};
use super::tools::Call;
use crate::classifier::{ModelError, Models};
use crate::message::{Input, Message, Part, Role, Surface};
use crate::policy::{
    Action, Clause, Force, ForceScratch, Kind, LABELS, Lift, OnError, Policy, Rule, Settings, SettingsError,
    Truth,
};
use crate::verdict::{ClauseSet, Failure, Field, Finding, Lifted, Scanned, Tiers, Verdict};
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A policy with its settings and automata, shared by threads. Cheap to clone.
///
/// # What does a check cost?
/// Time linear in the text, and no memory once warm: every buffer comes from a pool and goes back to it. Only
/// findings allocate.
///
/// # Can a check fail?
/// Not because of what a message says. It fails only where the input names no message to judge.
#[derive(Clone)]
pub struct Guard(Arc<Inner>);

struct Inner {
    policy: Policy,
    program: Program,
    classifier: Option<Classifier>,
    force: Force,
    tags: Vec<String>,
    pool: Mutex<Vec<Box<Scratch>>>,
}

/// How many idle scratch buffers a guard keeps.
const MAX_POOLED: usize = 64;
/// A scratch buffer that grew beyond this many bytes of text is dropped rather than kept.
const MAX_POOLED_TEXT: usize = 1 << 20;

#[derive(Default)]
struct Scratch {
    scans: Scans,
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

    /// Judges one message.
    ///
    /// # Errors
    /// Only for an input that names no message to judge or holds settings a request may not carry.
    pub fn check(&self, input: &Input<'_>) -> Result<Verdict, CheckError> {
        let started = Instant::now();
        let Some((at, message)) = input.judged() else {
            return Err(match (input.target, input.messages.len()) {
                (Some(target), messages) if messages > 0 => CheckError::TargetOutOfRange { target, messages },
                _ => CheckError::NoMessages,
            });
        };
        if let Some(settings) = &input.settings {
            settings.check_request().map_err(|error| CheckError::Settings(error.to_string()))?;
        }
        let mut scratch = self.0.pool.lock().pop().unwrap_or_default();
        let mut verdict = self.0.check(input, at, message, &mut scratch);
        if scratch.scans.held() <= MAX_POOLED_TEXT {
            let mut pool = self.0.pool.lock();
            if pool.len() < MAX_POOLED {
                pool.push(scratch);
            }
        }
        verdict.elapsed_us = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
        Ok(verdict)
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

/// What the fields of a message add up to.
struct Outcome {
    findings: Vec<Finding>,
    lifted: Vec<Lifted>,
    failures: Vec<Failure>,
    undecided: ClauseSet,
    redact: Vec<Redactable>,
}

impl Inner {
    fn check(&self, input: &Input<'_>, at: usize, message: &Message<'_>, scratch: &mut Scratch) -> Verdict {
        let ignored = self.force.apply_request(input.settings.as_deref(), &mut scratch.force);
        let mut outcome = Outcome {
            findings: Vec::new(),
            lifted: Vec::new(),
            failures: Vec::new(),
            undecided: ClauseSet::default(),
            redact: Vec::new(),
        };
        let mut bytes = 0;
        let force = std::mem::take(&mut scratch.force);
        let mut exempted = std::mem::take(&mut scratch.exempted);
        self.fields(input, at, message, scratch, &mut |judge, len, plan| {
            bytes += len as u64;
            self.exceptions(judge, plan, &force, &mut exempted);
            self.rules(judge, plan, &force, &exempted, &mut outcome);
        });
        scratch.force = force;
        scratch.exempted = exempted;
        let mut verdict = self.conclude(input, message, outcome, ignored, bytes);
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

    fn rule(&self, index: usize) -> Option<&Rule> {
        self.policy.data().rules.get(index)
    }

    fn clause(&self, rule: &Rule) -> Option<&Clause> {
        self.policy.clauses().get(rule.clause as usize)
    }

    /// Whether the context carries one of the clause's tags.
    fn tags_hold(&self, judge: &Judge<'_>, rule: &Rule) -> bool {
        self.clause(rule)
            .is_some_and(|clause| clause.tags.is_empty() || clause.tags.iter().any(|tag| judge.has_tag(tag)))
    }

    /// Calls `each` with every field of the message, scanned, and the plan of its surface.
    fn fields(
        &self,
        input: &Input<'_>,
        at: usize,
        message: &Message<'_>,
        scratch: &mut Scratch,
        each: &mut dyn FnMut(&mut Judge<'_>, usize, &Plan),
    ) {
        let Scratch { scans, field, request, response, .. } = scratch;
        scans.trace_budget = super::tools::TRACE_BUDGET;
        scans.scores.start(self.classifier.as_ref());
        let own = own_surface(message.role);
        let surfaces = [
            Some((own, Field::Content)),
            (own != Surface::ToolResult).then_some((Surface::ToolResult, Field::Content)),
            Some((Surface::Reasoning, Field::Reasoning)),
        ];
        let calls = message.parts.iter().any(|part| matches!(part, Part::ToolCall { .. }));
        let present = |surface, kind| {
            message.parts.iter().any(|part| text_of(part, message.role, surface, kind).is_some())
        };
        let plans =
            surfaces.iter().flatten().filter(|(surface, kind)| present(*surface, *kind)).map(|it| it.0);
        let plans = || {
            plans.clone().chain(calls.then_some(Surface::ToolCall)).map(|surface| self.program.plan(surface))
        };
        let context = ContextTexts {
            request: self.context(input, at, Role::User, plans().any(|plan| plan.request), request),
            response: self.context(input, at, Role::Assistant, plans().any(|plan| plan.response), response),
        };
        self.scan_context(&context, plans().any(|plan| !plan.exceptions.is_empty()), scans);
        let field_of = FieldOf { input, at, context: &context };
        for (surface, kind) in surfaces.into_iter().flatten() {
            let mut texts =
                message.parts.iter().filter_map(|part| text_of(part, message.role, surface, kind));
            let Some((first, part)) = texts.next() else { continue };
            let judged = match texts.next() {
                None => Judged::Plain(first, part),
                Some((second, second_part)) => {
                    field.clear();
                    field.push(first, part);
                    field.push(second, second_part);
                    texts.for_each(|(text, part)| field.push(text, part));
                    Judged::Joined(field)
                }
            };
            self.field(field_of, surface, kind, &judged, None, scans, each);
        }
        for part in &message.parts {
            let Part::ToolCall { name, arguments, at: index } = part else { continue };
            field.clear();
            field.push(name, None);
            field.push_json(arguments, Some(*index));
            let call = Some((Call::new(name, arguments), *index));
            self.field(
                field_of,
                Surface::ToolCall,
                Field::ToolCalls,
                &Judged::Joined(field),
                call,
                scans,
                each,
            );
        }
    }

    /// The last message of a role before the judged one, if some rule looks at it.
    fn context<'m>(
        &self,
        input: &'m Input<'_>,
        at: usize,
        role: Role,
        wanted: bool,
        buffer: &'m mut FieldText,
    ) -> Option<(usize, Judged<'m>)> {
        let at = wanted.then(|| last_of(input, at, role)).flatten()?;
        Some((at, context_text(input, at, buffer)?))
    }

    fn scan_context(&self, context: &ContextTexts<'_>, regions: bool, scans: &mut Scans) {
        let sets = self.policy.data().sets.len();
        scans.request.clear(&self.program);
        scans.response.clear(&self.program);
        if let Some((_, judged)) = &context.request {
            scans.request.scan(&self.program, judged.text(), self.program.request, sets);
            if regions {
                scans.request.find_regions(judged.text(), Surface::Request);
            }
        }
        if let Some((_, judged)) = &context.response {
            scans.response.scan(&self.program, judged.text(), self.program.response, sets);
        }
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "the state of one check, taken apart so that parts can be borrowed"
    )]
    fn field(
        &self,
        of: FieldOf<'_>,
        surface: Surface,
        kind: Field,
        judged: &Judged<'_>,
        call: Option<(Call<'_>, u32)>,
        scans: &mut Scans,
        each: &mut dyn FnMut(&mut Judge<'_>, usize, &Plan),
    ) {
        let plan = self.program.plan(surface);
        let text = judged.text();
        scans.judged.scan(&self.program, text, plan.judged, self.policy.data().sets.len());
        if plan.regions && matches!(surface, Surface::Request | Surface::ToolResult) {
            scans.judged.find_regions(text, surface);
        }
        let origin = |(message, text)| Origin { message, field: Field::Content, call: None, text };
        let (call, index) = call.unzip();
        let mut judge = Judge {
            program: &self.program,
            data: self.policy.data(),
            input: of.input,
            deployment_tags: &self.tags,
            surface,
            message: of.at,
            judged: Some(Origin { message: of.at, field: kind, call: index, text: judged }),
            request: of.context.request.as_ref().map(|(at, text)| origin((*at, text))),
            response: of.context.response.as_ref().map(|(at, text)| origin((*at, text))),
            call,
            scans,
            reading: Reading::Whole,
            classifier: self.classifier.as_ref(),
            scoring: false,
        };
        judge.reset();
        if let Some(classifier) = judge.classifier {
            judge.scans.scores.next_field();
            if classifier.all {
                judge.report_all();
            }
        }
        each(&mut judge, text.len(), plan);
    }

    /// Which clauses an exception lifts here: for each, the exception.
    fn exceptions(
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

    fn rules(
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
    fn quotes(&self, judge: &mut Judge<'_>, plan: &Plan) -> bool {
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
        match outcome.failures.iter_mut().find(|known| known.detector == detector) {
            Some(known) if known.clauses.contains(&at) => {}
            Some(known) => known.clauses.push(at),
            None => outcome.failures.push(Failure { detector, reason, clauses: vec![at] }),
        }
    }

    fn conclude(
        &self,
        input: &Input<'_>,
        message: &Message<'_>,
        mut outcome: Outcome,
        ignored: Vec<crate::policy::SettingProblem>,
        bytes: u64,
    ) -> Verdict {
        let key = |finding: &Finding| {
            let clause = self.policy.clauses().get(finding.clause);
            let level = clause.map(|clause| std::cmp::Reverse(clause.level));
            (std::cmp::Reverse(finding.action), level, clause.map(|clause| clause.priority), finding.clause)
        };
        outcome.findings.sort_by_key(key);
        let action = outcome.findings.first().map_or(Action::Allow, |finding| finding.action);
        let first_rule = outcome.findings.first().and_then(|finding| self.rule(finding.rule));
        let shown = (action >= Action::Revise).then(|| {
            first_rule
                .and_then(|rule| rule.message.clone())
                .unwrap_or_else(|| default_message(action).to_string())
        });
        let critique = (action == Action::Revise).then(|| self.critique(&outcome.findings));
        Verdict {
            policy: self.policy.clone(),
            id: input.id.as_ref().map(|id| id.to_string()),
            action,
            surface: surface_of(message),
            findings: outcome.findings,
            lifted: outcome.lifted,
            ignored,
            message: shown,
            redactions: redact::apply(message, outcome.redact),
            critique,
            scanned: Scanned { bytes, tiers: Tiers::RULES },
            failures: outcome.failures,
            undecided: outcome.undecided,
            scores: Vec::new(),
            models: None,
            unverified: None,
            not_judged: message
                .parts
                .iter()
                .filter_map(|part| {
                    if let Part::Unjudged { kind, .. } = part { Some(kind.to_string()) } else { None }
                })
                .collect(),
            elapsed_us: 0,
        }
    }

    /// What a model is told to change.
    fn critique(&self, findings: &[Finding]) -> String {
        let mut out = String::new();
        for finding in findings.iter().filter(|finding| finding.action == Action::Revise) {
            let Some(clause) = self.policy.clauses().get(finding.clause) else { continue };
            let missing = finding.evidence.iter().any(|evidence| evidence.absent);
            let change =
                self.rule(finding.rule).and_then(|rule| rule.message.as_deref()).unwrap_or(if missing {
                    "Add what the clause asks for and keep the rest."
                } else {
                    "Rewrite the parts that go against it and keep the rest."
                });
            if !out.is_empty() {
                out.push('\n');
            }
            out.push_str(&format!(
                "The answer does not follow \"{}\" ({}, {} line {}). {} {change}",
                clause.title, clause.id, clause.source.document, clause.source.line, clause.rationale
            ));
        }
        out
    }
}

/// The messages around the judged one that rules may look at, each with its index.
struct ContextTexts<'a> {
    request: Option<(usize, Judged<'a>)>,
    response: Option<(usize, Judged<'a>)>,
}

/// Where a field stands.
#[derive(Clone, Copy)]
struct FieldOf<'a> {
    input: &'a Input<'a>,
    at: usize,
    context: &'a ContextTexts<'a>,
}

fn default_message(action: Action) -> &'static str {
    match action {
        Action::Escalate => "This needs a person to look at it first.",
        _ => "I can't help with that.",
    }
}

/// The surface of a message's own text.
fn own_surface(role: Role) -> Surface {
    match role {
        Role::System | Role::Developer | Role::User => Surface::Request,
        Role::Assistant => Surface::Response,
        Role::Tool => Surface::ToolResult,
    }
}

/// What a message mainly is: its text, else whatever else it holds.
fn surface_of(message: &Message<'_>) -> Surface {
    let own = own_surface(message.role);
    let of = |part: &Part<'_>| match part {
        Part::Text { text, .. } if !text.is_empty() => Some(own),
        Part::ToolCall { .. } => Some(Surface::ToolCall),
        Part::ToolResult { .. } => Some(Surface::ToolResult),
        Part::Reasoning { .. } => Some(Surface::Reasoning),
        _ => None,
    };
    let mut all = message.parts.iter().filter_map(of);
    let first = all.next();
    // Reasoning comes before the answer it leads to; the answer is what the message is.
    if first == Some(Surface::Reasoning) { all.next().or(first) } else { first }.unwrap_or(own)
}

/// The text of a part, if it belongs to this field of this surface.
fn text_of<'m>(
    part: &'m Part<'_>,
    role: Role,
    surface: Surface,
    field: Field,
) -> Option<(&'m str, Option<u32>)> {
    match (part, field) {
        (Part::Text { text, at }, Field::Content) if own_surface(role) == surface => Some((text, *at)),
        (Part::ToolResult { text, at }, Field::Content) if surface == Surface::ToolResult => {
            Some((text, *at))
        }
        (Part::Reasoning { text, at }, Field::Reasoning) => Some((text, *at)),
        _ => None,
    }
}

/// The last message of a role before message number `at`.
fn last_of(input: &Input<'_>, at: usize, role: Role) -> Option<usize> {
    let has_text = |message: &Message<'_>| message.parts.iter().any(|part| matches!(part, Part::Text { .. }));
    input.messages.iter().take(at).rposition(|message| message.role == role && has_text(message))
}

/// The text of a context message.
fn context_text<'m>(input: &'m Input<'_>, at: usize, buffer: &'m mut FieldText) -> Option<Judged<'m>> {
    let message = input.messages.get(at)?;
    let mut texts = message.parts.iter().filter_map(|part| match part {
        Part::Text { text, at } => Some((&**text, *at)),
        _ => None,
    });
    let (first, part) = texts.next()?;
    let Some((second, second_part)) = texts.next() else { return Some(Judged::Plain(first, part)) };
    buffer.clear();
    buffer.push(first, part);
    buffer.push(second, second_part);
    texts.for_each(|(text, part)| buffer.push(text, part));
    Some(Judged::Joined(buffer))
}
