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
mod build;
mod clauses;
mod collect;
mod decide;
mod examples;
mod front;
mod like;
mod load;
mod lower;
mod patterns;
mod points;
mod proof;
mod report;
mod rules;
mod scope;
mod shipped;

pub use against::{Against, Edit};
pub use lower::{MAX_CONDITION_BYTES, MAX_CONDITION_DEPTH};
pub use patterns::{MAX_LITERAL_BYTES, MAX_PATTERNS, MAX_REGEX_MATCH, MIN_PATTERN_BYTES};
pub use points::PointReport;
pub use proof::Liftable;
pub use report::{ClauseReport, Report};
pub(crate) use scope::constraints;
pub use shipped::{SHIPPED, shipped};

use crate::artifact;
use crate::classifier::Models;
use crate::diagnostic::{Diagnostic, Severity};
use crate::policy::{Atom, Clause, Coverage, Policy, Rule};
use crate::span::Source;
use build::{Build, finish};
use clauses::Draft;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
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
/// [`Compiler::with_models`] settles what `at_fpr` stands for, fits each `like` to the examples of its clause, lets the
/// models judge the examples, and ties the policy to them. [`Compiler::trust_examples`] leaves the judging out.
#[derive(Clone, Debug, Default)]
pub struct Compiler {
    no_files: bool,
    models: Option<Models>,
    trust_examples: bool,
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
    /// The files it was compiled from, those that could not be read included: a change of one may change the policy.
    pub files: Vec<PathBuf>,
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

    /// The same compiler, whose models do not judge the examples: for policies that were checked and are now to run.
    #[must_use]
    pub fn trust_examples(self) -> Self {
        Self { trust_examples: true, ..self }
    }

    /// Compiles a file, or a shipped policy by its name.
    pub fn file(&self, path: impl AsRef<Path>) -> Compiled {
        let path = path.as_ref();
        self.run(load::file(path), Some(path))
    }

    /// Compiles text. The name is what diagnostics show; entries of `extends` are relative to it.
    pub fn text(&self, name: impl Into<String>, text: impl Into<String>) -> Compiled {
        self.run(Ok(Arc::new(Source::new(name, text))), None)
    }

    fn run(&self, source: Result<Arc<Source>, Diagnostic>, path: Option<&Path>) -> Compiled {
        let mut diagnostics = Vec::new();
        let is_file = |path: &&Path| path.to_str().and_then(shipped).is_none();
        let mut files: Vec<PathBuf> = path.filter(is_file).map(Path::to_path_buf).into_iter().collect();
        let documents = match source {
            Ok(source) => load::with_extends(source, !self.no_files, &mut diagnostics, &mut files),
            Err(diagnostic) => {
                diagnostics.push(diagnostic);
                Vec::new()
            }
        };
        let mut build = Build {
            documents: &documents,
            models: self.models.as_ref(),
            trust_examples: self.trust_examples,
            diagnostics,
            drafts: Vec::new(),
        };
        let (policy, report) = build.run();
        let Build { mut diagnostics, drafts, .. } = build;
        diagnostics.sort_by_key(|it| {
            let document = documents.iter().position(|loaded| Arc::ptr_eq(&loaded.source, &it.source));
            (document, it.span.start, it.code)
        });
        let failed = diagnostics.iter().any(|it| it.severity() == Severity::Error);
        Compiled { policy: policy.filter(|_| !failed), diagnostics, report, files, drafts }
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
        Self::load_for(name, None)
    }

    /// As [`Policy::load`], for a guard with these models: without them a document's `like` conditions stay undecided.
    ///
    /// # Errors
    /// As [`Policy::load`], and if the models were not measured on a label that the document asks for.
    pub fn load_for(name: &str, models: Option<&Models>) -> Result<Self, LoadError> {
        if Path::new(name).extension().is_some_and(|extension| extension == "blp") {
            let bytes = std::fs::read(name).map_err(|error| LoadError::Read { path: name.into(), error })?;
            return Ok(artifact::decode(&bytes)?);
        }
        let compiler = Compiler { models: models.cloned(), trust_examples: true, ..Compiler::new() };
        Ok(compiler.file(name).into_policy()?)
    }

    /// Whether some rule needs a model to be decided in full.
    pub fn needs_models(&self) -> bool {
        self.clauses_needing_model().next().is_some()
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
