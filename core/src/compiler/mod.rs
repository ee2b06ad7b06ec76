//! Document → **policy**: clauses, rules, conditions, patterns, and everything that is wrong with them.
//!
//! ```text
//! front matter + extends -> clauses -> patterns -> rules (CEL lowered) -> analyses -> examples judged -> Policy
//! ```
//!
//! Every diagnostic of a document is collected before it fails.

mod against;
mod analysis;
mod atoms;
mod clauses;
mod decide;
mod examples;
mod front;
mod load;
mod lower;
mod patterns;
mod points;
mod proof;
mod report;
mod rules;
mod shipped;

pub use against::{Against, Edit};
pub use lower::{MAX_CONDITION_BYTES, MAX_CONDITION_DEPTH};
pub use patterns::{MAX_LITERAL_BYTES, MAX_PATTERNS, MAX_REGEX_MATCH, MIN_PATTERN_BYTES};
pub use points::PointReport;
pub use proof::Liftable;
pub use report::{ClauseReport, Report};
pub use shipped::{SHIPPED, shipped};

use crate::artifact;
use crate::classifier::Models;
use crate::diagnostic::{Code, Diagnostic, Severity};
use crate::engine::{Guard, GuardOptions, scores};
use crate::policy::{Atom, Clause, Coverage, DocumentRef, Force, Kind, Policy, PolicyData, Rule, Settings};
use crate::span::{Source, Span};
use atoms::Atoms;
use clauses::Draft;
use examples::Example;
use load::Loaded;
use patterns::Patterns;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

/// How many clauses a policy may hold.
pub const MAX_CLAUSES: usize = 10_000;
/// How many rules a policy may hold.
pub const MAX_RULES: usize = 20_000;
/// How many different atoms the conditions of a policy may use.
pub const MAX_ATOMS: usize = 50_000;
/// How many `.matches(..)` of tool names and arguments a policy may hold: each is an automaton that stays in memory.
pub const MAX_REGEX_TESTS: usize = 500;

/// Compiles policy documents.
///
/// # Where do `extends` entries come from?
/// From the directory of the document that names them, or from the shipped policies by name. With
/// [`Compiler::without_files`] only the latter.
///
/// # What do models change?
/// [`Compiler::with_models`] settles what `at_fpr` stands for, lets the models judge the examples, and ties the policy to
/// them.
#[derive(Clone, Debug, Default)]
pub struct Compiler {
    no_files: bool,
    models: Option<Models>,
}

/// What became of a document: the policy, unless there were errors, and everything there is to say about it.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// The policy; `None` where a diagnostic is an error.
    pub policy: Option<Policy>,
    /// Every problem found, in the order of the documents.
    pub diagnostics: Vec<Diagnostic>,
    /// Clause by clause: how it is enforced.
    pub report: Report,
    drafts: Vec<Draft>,
}

/// A document that does not compile, with all its diagnostics.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{} does not compile:\n{}", .name, .diagnostics.iter().map(|it| format!("  {it}")).collect::<Vec<_>>().join("\n"))]
pub struct CompileError {
    /// The document's name.
    pub name: String,
    /// What is wrong, warnings left out.
    pub diagnostics: Vec<Diagnostic>,
}

impl Compiler {
    /// A compiler that reads files.
    pub fn new() -> Self {
        Self::default()
    }

    /// A compiler that reads nothing but what it is given and the shipped policies.
    pub fn without_files() -> Self {
        Self { no_files: true, ..Self::default() }
    }

    /// The same compiler, for policies that run with these models.
    #[must_use]
    pub fn with_models(self, models: Models) -> Self {
        Self { models: Some(models), ..self }
    }

    /// Compiles a file, or a shipped policy by its name.
    pub fn file(&self, path: impl AsRef<Path>) -> Compiled {
        let path = path.as_ref();
        self.run(load::file(path))
    }

    /// Compiles text. The name is what diagnostics show; entries of `extends` are relative to it.
    pub fn text(&self, name: impl Into<String>, text: impl Into<String>) -> Compiled {
        self.run(Ok(Arc::new(Source::new(name, text))))
    }

    fn run(&self, source: Result<Arc<Source>, Diagnostic>) -> Compiled {
        let mut diagnostics = Vec::new();
        let documents = match source {
            Ok(source) => load::with_extends(source, !self.no_files, &mut diagnostics),
            Err(diagnostic) => {
                diagnostics.push(diagnostic);
                Vec::new()
            }
        };
        let mut build =
            Build { documents: &documents, models: self.models.as_ref(), diagnostics, drafts: Vec::new() };
        let (policy, report) = build.run();
        let Build { mut diagnostics, drafts, .. } = build;
        diagnostics.sort_by_key(|it| {
            let document = documents.iter().position(|loaded| Arc::ptr_eq(&loaded.source, &it.source));
            (document, it.span.start, it.code)
        });
        let failed = diagnostics.iter().any(|it| it.severity() == Severity::Error);
        Compiled { policy: policy.filter(|_| !failed), diagnostics, report, drafts }
    }
}

impl Compiled {
    /// Who can lift each clause, proved by trying all settings; in the order of the report.
    pub fn lifts(&self) -> Vec<Liftable> {
        // A clause's power depends on nothing but these four.
        let mut known = HashMap::new();
        self.drafts
            .iter()
            .map(|draft| {
                let lifts = known
                    .entry((draft.kind, draft.level, draft.switch, draft.waivable))
                    .or_insert_with(|| proof::lifts(&finish(draft, Coverage::Unstated)));
                Liftable { clause: draft.id.clone(), ..lifts.clone() }
            })
            .collect()
    }

    /// The policy, or the errors.
    ///
    /// # Errors
    /// If the document has a diagnostic of severity error.
    pub fn into_policy(self) -> Result<Policy, CompileError> {
        let name = self.diagnostics.first().map_or_else(String::new, |it| it.source.name().to_string());
        let errors = self.diagnostics.into_iter().filter(|it| it.severity() == Severity::Error).collect();
        self.policy.ok_or(CompileError { name, diagnostics: errors })
    }
}

impl Policy {
    /// A shipped policy by name, a policy document or an artifact by path.
    ///
    /// # Errors
    /// If it does not compile, or the artifact cannot be loaded.
    pub fn load(name: &str) -> Result<Self, LoadError> {
        if Path::new(name).extension().is_some_and(|extension| extension == "blp") {
            let bytes = std::fs::read(name).map_err(|error| LoadError::Read { path: name.into(), error })?;
            return Ok(artifact::decode(&bytes)?);
        }
        Ok(Compiler::new().file(name).into_policy()?)
    }

    /// The clauses with a rule that only a model can decide.
    pub(crate) fn clauses_needing_model(&self) -> impl Iterator<Item = &Clause> {
        let data = self.data();
        data.clauses
            .iter()
            .enumerate()
            .filter(|(at, _)| {
                data.rules.iter().any(|rule| rule.clause as usize == *at && needs_model(rule, &data.atoms))
            })
            .map(|(_, clause)| clause)
    }
}

/// Why a policy cannot be loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The document does not compile.
    #[error(transparent)]
    Compile(#[from] CompileError),
    /// The artifact cannot be used.
    #[error(transparent)]
    Artifact(#[from] artifact::ArtifactError),
    /// The file cannot be read.
    #[error("cannot read `{path}`: {error}")]
    Read {
        /// The path.
        path: String,
        /// Why.
        #[source]
        error: std::io::Error,
    },
}

fn needs_model(rule: &Rule, atoms: &[Atom]) -> bool {
    crate::engine::program::conditions(rule)
        .flat_map(crate::policy::Condition::atoms)
        .any(|atom| atoms.get(atom as usize).is_some_and(Atom::needs_model))
}

/// Compiles the constraints of a scope, each with atoms of its own.
///
/// # Errors
/// The tool and what is wrong with its constraint.
pub(crate) fn constraints(
    scope: &crate::policy::Scope,
) -> Result<std::collections::BTreeMap<String, crate::engine::program::Constraint>, (String, String)> {
    let none = |_: &str| Err(Vec::new());
    scope
        .tool_constraints
        .iter()
        .map(|(tool, text)| {
            let source = Arc::new(Source::new("scope.tool_constraints", text.clone()));
            let on = std::iter::once(crate::message::Surface::ToolCall).collect();
            let span = Span::new(0, text.len());
            let site = lower::Site { source: &source, span, offset: Some(0), on, set: &none, clause: &none };
            let (mut atoms, mut diagnostics) = (Atoms::default(), Vec::new());
            let condition = lower::lower(text, &site, &mut atoms, &mut diagnostics).ok_or_else(|| {
                let reason = diagnostics
                    .first()
                    .map_or_else(|| "not a condition".to_string(), |it| it.message.clone());
                (tool.clone(), reason)
            })?;
            let atoms = atoms.into_vec();
            if let Some(atom) =
                atoms.iter().find(|atom| !atom.needs_tool_call() || matches!(atom, Atom::Scope(_)))
            {
                let what = if matches!(atom, Atom::Scope(_)) { "the scope itself" } else { "something else" };
                return Err((
                    tool.clone(),
                    format!("a constraint looks at the tool call only, not at {what}"),
                ));
            }
            let regexes = crate::engine::program::regexes(&atoms);
            Ok((tool.clone(), crate::engine::program::Constraint { atoms, regexes, condition }))
        })
        .collect()
}

/// One compilation.
struct Build<'a> {
    documents: &'a [Loaded],
    models: Option<&'a Models>,
    diagnostics: Vec<Diagnostic>,
    drafts: Vec<Draft>,
}

/// What the fences of a clause add up to.
#[derive(Default)]
struct Fences {
    rules: Vec<(Rule, Span)>,
    exempts: Vec<(usize, String, Span)>,
    coverages: Vec<Coverage>,
    /// Whether there is any rule fence, even one that could not be read.
    any: bool,
}

impl Build<'_> {
    fn run(&mut self) -> (Option<Policy>, Report) {
        let Some(main) = self.documents.last() else { return (None, Report::default()) };
        self.collect_clauses();
        let mut patterns = self.collect_patterns();
        let mut atoms = Atoms::default();
        let fences: Vec<Fences> =
            (0..self.drafts.len()).map(|clause| self.collect_rules(clause, &patterns, &mut atoms)).collect();
        let (rules, coverages) = self.link(fences);
        patterns.mark_used(
            (0..atoms.len()).filter_map(|at| atoms.get(u32::try_from(at).ok()?)).flat_map(sets_of),
        );
        patterns.report_unused(&mut self.diagnostics);
        if patterns.len() > MAX_PATTERNS {
            self.whole(
                main,
                Code::SourceTooLarge,
                format!("{} patterns; at most {MAX_PATTERNS} are allowed", patterns.len()),
            );
        }
        let atoms = atoms.into_vec();
        let tests = atoms.iter().filter(|atom| atom.is_regex_test()).count();
        for (what, count, max) in [
            ("rules", rules.len(), MAX_RULES),
            ("atoms", atoms.len(), MAX_ATOMS),
            ("tests by regular expressions", tests, MAX_REGEX_TESTS),
        ] {
            if count > max {
                self.whole(main, Code::SourceTooLarge, format!("{count} {what}; at most {max} are allowed"));
            }
        }
        if self.diagnostics.iter().any(|it| it.code == Code::SourceTooLarge) {
            return (None, Report::default());
        }
        self.analyze(&rules, &atoms);
        let examples = self.collect_examples(&rules, &coverages);
        let settings = self.settings();
        let (patterns, sets) = patterns.into_parts();
        let clauses: Vec<Clause> =
            self.drafts.iter().zip(coverages).map(|(draft, coverage)| finish(draft, coverage)).collect();
        let spans: Vec<Span> = rules.iter().map(|(_, span)| *span).collect();
        let mut data = PolicyData {
            name: main.name(),
            version: main.front.version.clone().unwrap_or_else(|| "0".to_string()),
            hash: String::new(),
            documents: self
                .documents
                .iter()
                .map(|loaded| DocumentRef {
                    name: loaded.source.name().to_string(),
                    hash: blake3::hash(loaded.source.text().as_bytes()).to_hex().to_string(),
                })
                .collect(),
            clauses,
            rules: rules.into_iter().map(|(rule, _)| rule).collect(),
            atoms,
            patterns,
            sets,
            settings,
            calibrated: None,
        };
        let (_, problems) = Force::new(&data.clauses, data.settings.clone());
        for problem in problems {
            let code = match problem.reason {
                crate::policy::SettingReason::UnknownClause => Code::SettingUnknownClause,
                _ => Code::SettingExceedsPower,
            };
            let span = main.front_span();
            self.diagnostics.push(Diagnostic::new(
                code,
                &main.source,
                span,
                format!("settings refused: {problem}"),
            ));
        }
        let report = Report::new(&data, &examples);
        for (rule, span) in data.rules.iter().zip(&spans) {
            if let Some(draft) = self
                .drafts
                .get(rule.clause as usize)
                .filter(|_| self.models.is_none() && needs_model(rule, &data.atoms))
            {
                let message = format!("`{}` needs a model to be judged in full", draft.id);
                self.diagnostics.push(
                    Diagnostic::new(Code::ClauseNeedsModel, &draft.document, *span, message)
                        .help("until one is loaded, verdicts list the clause under `degraded` where patterns alone do not decide"),
                );
            }
        }
        if self.diagnostics.iter().any(|it| it.severity() == Severity::Error) {
            return (None, report);
        }
        // Examples say what a clause means, whatever a deployment has switched or tagged.
        let neutral = artifact::seal(PolicyData { settings: Settings::default(), ..data.clone() });
        let with_models = self.models.map(|models| {
            data.calibrated = Some(scores::resolve(models, &data.atoms)?);
            Guard::with(
                neutral.clone(),
                GuardOptions { models: Some(models.clone()), ..GuardOptions::default() },
            )
        });
        let policy = artifact::seal(data);
        match (Guard::new(neutral), with_models.transpose()) {
            (Ok(guard), Ok(with_models)) => {
                let guards = (&guard, with_models.as_ref());
                examples::judge(guards, &examples, &self.drafts, &mut self.diagnostics);
                self.judge_good_answers(&guard, &policy);
            }
            (Err(error), _) | (_, Err(error)) => {
                self.whole(main, Code::FrontMatterInvalid, error.to_string())
            }
        }
        (Some(policy), report)
    }

    fn whole(&mut self, loaded: &Loaded, code: Code, message: String) {
        self.diagnostics.push(Diagnostic::new(code, &loaded.source, loaded.front_span(), message));
    }

    /// Clauses of every document, bases first; a later heading with a known id speaks about the same clause.
    fn collect_clauses(&mut self) {
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

    fn collect_patterns(&mut self) -> Patterns {
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

    fn collect_rules(&mut self, clause: usize, patterns: &Patterns, atoms: &mut Atoms) -> Fences {
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

    /// Resolves exemptions and adds coverage up.
    fn link(&mut self, fences: Vec<Fences>) -> (Vec<(Rule, Span)>, Vec<Coverage>) {
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

    fn analyze(&mut self, rules: &[(Rule, Span)], atoms: &[Atom]) {
        let located: Vec<analysis::Located<'_>> = rules
            .iter()
            .filter_map(|(rule, when)| {
                Some(analysis::Located { rule, draft: self.drafts.get(rule.clause as usize)?, when: *when })
            })
            .collect();
        let budget = decide::Budget::default();
        analysis::conditions(&located, atoms, &budget, &mut self.diagnostics);
        analysis::conflicts(&located, atoms, &budget, &mut self.diagnostics);
        if let Some(main) = self.documents.last().filter(|_| budget.gave_up()) {
            self.diagnostics.push(
                Diagnostic::new(
                    Code::AnalysisIncomplete,
                    &main.source,
                    main.front_span(),
                    "the conditions are too many or too large to compare them all",
                )
                .help("what is not reported about contradictions is unknown, not absent; split long conditions into rules"),
            );
        }
    }

    fn collect_examples(&mut self, rules: &[(Rule, Span)], coverages: &[Coverage]) -> Vec<Example> {
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

    fn judge_good_answers(&mut self, guard: &Guard, policy: &Policy) {
        for (clause, draft) in self.drafts.iter().enumerate() {
            let Some(coverage) = policy.clauses().get(clause).map(|clause| &clause.coverage) else {
                continue;
            };
            for &(document, section) in &draft.sections {
                let Some(loaded) = self.documents.get(document) else { continue };
                let Some(entry) = loaded.parsed.sections.get(section) else { continue };
                examples::judge_good_answers(
                    guard,
                    entry,
                    &loaded.source,
                    clause,
                    coverage,
                    &mut self.diagnostics,
                );
            }
        }
    }

    fn settings(&self) -> Settings {
        self.documents
            .iter()
            .fold(Settings::default(), |settings, loaded| settings.overlaid(&loaded.front.settings))
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

fn finish(draft: &Draft, coverage: Coverage) -> Clause {
    Clause {
        id: draft.id.clone(),
        title: draft.title.clone(),
        level: draft.level,
        kind: draft.kind,
        switch: draft.switch,
        waivable: draft.waivable,
        tags: draft.tags.clone(),
        priority: draft.priority,
        rationale: draft.rationale.clone(),
        source: draft.source.clone(),
        place: draft.place.clone(),
        coverage,
    }
}

fn sets_of(atom: &Atom) -> Vec<u32> {
    match atom {
        Atom::Match { set, .. } | Atom::Count { set, .. } => vec![*set],
        Atom::Near { first, second, .. } => vec![*first, *second],
        _ => Vec::new(),
    }
}
