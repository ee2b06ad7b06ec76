//! Files → **guard**: what a policy, its settings and its models are read from, again and again.

use brightline::classifier::BackendKind;
use brightline::compiler::SHIPPED;
use brightline::diagnostic::Diagnostic;
use brightline::{Compiler, Guard, GuardOptions, Models, Settings, artifact};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Where a guard comes from.
#[derive(Clone, Debug, Default)]
pub struct Source {
    /// The policy: a shipped name, a `.md` or a `.blp`.
    pub policy: String,
    /// The deployment's settings, in TOML.
    pub settings: Option<PathBuf>,
    /// The folder of models.
    pub models: Option<PathBuf>,
    /// What runs the full model.
    pub backend: BackendKind,
    /// The other options of the guard. Its `settings` and `models` are not looked at.
    pub options: GuardOptions,
}

/// Why a policy is not taken into use.
#[derive(Clone, Debug, Serialize)]
pub struct Refused {
    /// What is wrong, in one line.
    pub reason: String,
    /// Every error of the document.
    pub diagnostics: Vec<Diagnostic>,
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.reason)?;
        self.diagnostics.iter().try_for_each(|it| write!(f, "\n  {it}"))
    }
}

impl std::error::Error for Refused {}

impl From<String> for Refused {
    fn from(reason: String) -> Self {
        Self { reason, diagnostics: Vec::new() }
    }
}

/// What one reading gave: a guard or not, and in either case the files that decided it.
pub(super) struct Reading {
    pub guard: Result<(Guard, Settings), Refused>,
    pub files: Vec<PathBuf>,
}

impl Source {
    /// A policy with its own settings and without models.
    pub fn new(policy: impl Into<String>) -> Self {
        Self { policy: policy.into(), ..Self::default() }
    }

    /// The files that are named here; those that the policy extends come to light when it is read.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        let policy = (!SHIPPED.contains(&self.policy.as_str())).then(|| PathBuf::from(&self.policy));
        let manifest = self.models.as_deref().map(Models::manifest);
        [self.settings.clone(), manifest, policy].into_iter().flatten().collect()
    }

    /// Reads everything anew. `models` are used again where their manifest has not changed.
    pub(super) fn read(&self, models: Option<&Models>) -> Reading {
        let mut files = self.files();
        let guard = self.guard(models, &mut files);
        Reading { guard, files }
    }

    fn guard(&self, models: Option<&Models>, files: &mut Vec<PathBuf>) -> Result<(Guard, Settings), Refused> {
        let is_artifact = Path::new(&self.policy).extension().is_some_and(|extension| extension == "blp");
        // Where the models cannot be used, the policy is read all the same, so that all its files are known.
        let models = self.models.as_deref().map(|folder| self.models(folder, models));
        let policy = if is_artifact {
            let bytes = std::fs::read(&self.policy)
                .map_err(|error| format!("cannot read `{}`: {error}", self.policy))?;
            artifact::decode(&bytes).map_err(|error| format!("`{}`: {error}", self.policy))?
        } else {
            // Its examples were judged by `lint` or `compile`; to run, what is fitted to them is enough.
            let compiler = Compiler::new().trust_examples();
            let compiler = match &models {
                Some(Ok(models)) => compiler.with_models(models.clone()),
                _ => compiler,
            };
            let compiled = compiler.file(&self.policy);
            files.extend(compiled.files.iter().skip(1).cloned());
            compiled.into_policy().map_err(|error| Refused {
                reason: format!("`{}` does not compile", self.policy),
                diagnostics: error.diagnostics,
            })?
        };
        let settings = self.settings()?;
        let options =
            GuardOptions { settings: settings.clone(), models: models.transpose()?, ..self.options.clone() };
        let guard = Guard::with(policy, options).map_err(|error| error.to_string())?;
        Ok((guard, settings))
    }

    fn models(&self, folder: &Path, loaded: Option<&Models>) -> Result<Models, Refused> {
        let unchanged = |models: &&Models| {
            let hash = std::fs::read(Models::manifest(folder)).map(|bytes| blake3::hash(&bytes).to_hex());
            hash.is_ok_and(|hash| hash.as_str() == models.hash())
        };
        match loaded.filter(unchanged) {
            Some(models) => Ok(models.clone()),
            None => Models::load_with(folder, self.backend).map_err(|error| Refused::from(error.to_string())),
        }
    }

    fn settings(&self) -> Result<Settings, Refused> {
        let Some(path) = &self.settings else { return Ok(Settings::default()) };
        let shown = path.display();
        let text =
            std::fs::read_to_string(path).map_err(|error| format!("cannot read `{shown}`: {error}"))?;
        Ok(Settings::from_toml(&text).map_err(|error| format!("`{shown}`: {error}"))?)
    }
}
