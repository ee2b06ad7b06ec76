//! A guard, and checks on this thread or on one of the pool.

use crate::error::Failure;
use crate::judged::{Judged, judge};
use brightline::compiler::SHIPPED;
use brightline::{Guard, GuardOptions, Models, Policy, Settings};
use napi::bindgen_prelude::AsyncTask;
use napi::{Env, Task};
use napi_derive::napi;
use std::path::Path;
use std::time::Duration;

/// What `new Guard(..)` was given, in the addon's terms.
#[napi(object, object_to_js = false)]
pub struct Options {
    /// A shipped name, or a path.
    pub policy: String,
    /// The folder in which the package's own `models` stand.
    pub package: String,
    /// Settings of the deployment, as JSON.
    pub settings: Option<String>,
    /// Settings of the deployment, as a TOML file.
    pub settings_file: Option<String>,
    /// The folder of the models.
    pub models: Option<String>,
    /// Whether to do without models.
    pub no_models: bool,
    /// Whether to refuse to start where a clause needs a model and there is none.
    pub require_models: bool,
    /// How long the models may take for one check.
    pub deadline_ms: Option<u32>,
    /// Whether to score every label for every message.
    pub scores: bool,
}

/// A name, a version, a hash.
#[napi(object, object_from_js = false)]
pub struct Named {
    /// The name.
    pub name: String,
    /// The version.
    pub version: String,
    /// 64 hexadecimal digits.
    pub hash: String,
}

/// A guard, shared with the threads that judge.
#[napi]
pub struct NativeGuard(pub(crate) Guard);

#[napi]
impl NativeGuard {
    /// Compiles or loads the policy and loads the models.
    #[napi(constructor)]
    pub fn new(options: Options) -> napi::Result<Self> {
        Ok(Self(build(&options)?))
    }

    /// Judges a record.
    #[napi]
    pub fn check(&self, record: String) -> napi::Result<Judged> {
        Ok(judge(&self.0, &record)?)
    }

    /// Judges a record on a thread of the pool.
    #[napi]
    pub fn check_async(&self, record: String) -> AsyncTask<Check> {
        AsyncTask::new(Check { guard: self.0.clone(), record })
    }

    /// The policy that is applied.
    #[napi(getter)]
    pub fn policy(&self) -> Named {
        let policy = self.0.policy();
        Named { name: policy.name().into(), version: policy.version().into(), hash: policy.hash().into() }
    }

    /// The models that are asked.
    #[napi(getter)]
    pub fn models(&self) -> Option<Named> {
        let models = self.0.models()?;
        Some(Named {
            name: models.name().into(),
            version: models.version().into(),
            hash: models.hash().into(),
        })
    }
}

/// A check on a thread of the pool.
pub struct Check {
    guard: Guard,
    record: String,
}

impl Task for Check {
    type Output = Judged;
    type JsValue = Judged;

    fn compute(&mut self) -> napi::Result<Judged> {
        Ok(judge(&self.guard, &self.record)?)
    }

    fn resolve(&mut self, _: Env, judged: Judged) -> napi::Result<Judged> {
        Ok(judged)
    }
}

fn build(options: &Options) -> Result<Guard, Failure> {
    let models = match folder_of_models(options) {
        Some(folder) => Some(Models::load(folder).map_err(|error| Failure::new("BL_MODEL", error))?),
        None => None,
    };
    if options.scores && models.is_none() {
        return Err(Failure::new("BL_MODEL", "`scores` needs models: name their folder with `models`"));
    }
    let policy = Policy::load_for(&options.policy, models.as_ref())?;
    let options = GuardOptions {
        settings: settings(options)?,
        require_models: options.require_models,
        models,
        deadline: options.deadline_ms.map(|ms| Duration::from_millis(ms.into())),
        scores: options.scores,
    };
    Ok(Guard::with(policy, options)?)
}

fn folder_of_models(options: &Options) -> Option<std::path::PathBuf> {
    if options.no_models {
        return None;
    }
    let document = Path::new(&options.policy).parent().filter(|_| !SHIPPED.contains(&&*options.policy));
    let document = document.map(|parent| if parent.as_os_str().is_empty() { Path::new(".") } else { parent });
    let beside = document.into_iter().chain([Path::new(&options.package)]);
    Models::find(options.models.as_deref().map(Path::new), beside)
}

fn settings(options: &Options) -> Result<Settings, Failure> {
    if let Some(path) = &options.settings_file {
        let text = std::fs::read_to_string(path)
            .map_err(|error| Failure::settings(format!("cannot read `{path}`: {error}")))?;
        return Settings::from_toml(&text).map_err(|error| Failure::settings(format!("`{path}`: {error}")));
    }
    let json = options.settings.as_deref().unwrap_or("{}");
    serde_json::from_str(json).map_err(|error| Failure::settings(format!("cannot read settings: {error}")))
}
