//! The guard: arguments in, verdicts out, the interpreter free to run other threads meanwhile.

use crate::batch;
use crate::error::{self, BuildError};
use crate::record::{self, Fields, Problem};
use crate::stream::Stream;
use crate::verdict::Verdict;
use brightline::classifier::BackendKind;
use brightline::compiler::SHIPPED;
use brightline::wire::{self, WireError};
use brightline::{GuardOptions, Input, Models, Policy, Settings};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyDict, PyString};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

/// A policy under a deployment's settings, ready to judge; shared by threads.
#[pyclass(module = "brightline._brightline", frozen, subclass, weakref)]
pub(crate) struct Guard {
    guard: brightline::Guard,
    keep_text: bool,
}

/// Judges one record; what cannot be judged is an error that names the field.
pub(crate) fn judge(guard: &brightline::Guard, json: &[u8], keep_text: bool) -> Result<Verdict, WireError> {
    let input = wire::parse(json)?;
    let verdict = guard.check(&input).map_err(|error| error::check(&error))?;
    Ok(Verdict::new(verdict, &input, keep_text))
}

#[pymethods]
impl Guard {
    #[new]
    #[pyo3(signature = (policy = PathBuf::from("default"), *, settings = None, models = None, backend = "rten",
        deadline_ms = None, scores = false, require_models = false, keep_text = false))]
    #[expect(clippy::too_many_arguments, reason = "they are keywords in Python")]
    fn new(
        py: Python<'_>,
        policy: PathBuf,
        settings: Option<&Bound<'_, PyAny>>,
        models: Option<&Bound<'_, PyAny>>,
        backend: &str,
        deadline_ms: Option<f64>,
        scores: bool,
        require_models: bool,
        keep_text: bool,
    ) -> PyResult<Self> {
        let settings = deployment(py, settings)?;
        let models = Wanted::new(py, models, backend)?;
        let deadline = deadline_ms.map(|milliseconds| {
            Duration::try_from_secs_f64(milliseconds / 1e3).map_err(|_| {
                PyValueError::new_err(format!("`deadline_ms` is {milliseconds}; it must not be negative"))
            })
        });
        let deadline = deadline.transpose()?;
        let built = py.detach(|| {
            let models = models.load(&policy)?;
            if scores && models.is_none() {
                return Err(BuildError::Model(
                    "`scores=True` needs models: name their folder with `models`".into(),
                ));
            }
            let policy = load(&policy, models.as_ref())?;
            let options = GuardOptions { settings, require_models, models, deadline, scores };
            Ok(brightline::Guard::with(policy, options)?)
        });
        Ok(Self { guard: built.map_err(|error| error.raise(py))?, keep_text })
    }

    /// Judges one message: the last of a conversation, unless `target` names another.
    #[pyo3(signature = (input, /, *, id = None, system = None, target = None, settings = None, tags = None, signals = None))]
    #[expect(clippy::too_many_arguments, reason = "they are keywords in Python")]
    fn check(
        &self,
        py: Python<'_>,
        input: &Bound<'_, PyAny>,
        id: Option<&Bound<'_, PyAny>>,
        system: Option<&Bound<'_, PyAny>>,
        target: Option<&Bound<'_, PyAny>>,
        settings: Option<&Bound<'_, PyAny>>,
        tags: Option<&Bound<'_, PyAny>>,
        signals: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Verdict> {
        let fields = Fields([
            ("id", id),
            ("system", system),
            ("target", target),
            ("settings", settings),
            ("tags", tags),
            ("signals", signals),
        ]);
        let json = record::json(input, &fields).map_err(|problem| problem.raise(py, None))?;
        py.detach(|| judge(&self.guard, &json, self.keep_text))
            .map_err(|error| error::input(py, &error, None))
    }

    /// Judges one record of JSON: a line of a log.
    #[pyo3(signature = (record, /))]
    fn check_json(&self, py: Python<'_>, record: &Bound<'_, PyAny>) -> PyResult<Verdict> {
        let json = if let Ok(bytes) = record.cast::<PyBytes>() {
            bytes.as_bytes()
        } else {
            record.cast::<PyString>()?.to_str()?.as_bytes()
        };
        py.detach(|| judge(&self.guard, json, self.keep_text)).map_err(|error| error::input(py, &error, None))
    }

    /// Judges many records on all cores.
    #[pyo3(signature = (inputs, /, *, threads = None, return_errors = false))]
    fn check_batch<'py>(
        &self,
        py: Python<'py>,
        inputs: &Bound<'py, PyAny>,
        threads: Option<usize>,
        return_errors: bool,
    ) -> PyResult<Vec<Bound<'py, PyAny>>> {
        let records = inputs.try_iter()?.enumerate().map(|(index, input)| {
            let json =
                input.map_err(Problem::Raised).and_then(|input| record::json(&input, &Fields::default()));
            match json {
                Ok(json) => Ok(Ok(json)),
                Err(Problem::Value(error)) if return_errors => Ok(Err(error)),
                Err(problem) => Err((index, problem)),
            }
        });
        let judged = batch::judge_all(py, &self.guard, records, threads, self.keep_text)
            .map_err(|(index, problem)| problem.raise(py, Some(index)))?;
        let mut out = Vec::with_capacity(judged.len());
        for (index, result) in judged.into_iter().enumerate() {
            out.push(match result {
                Ok(verdict) => Bound::new(py, verdict)?.into_any(),
                Err(error) if return_errors => {
                    error::input(py, &error, Some(index)).into_value(py).into_bound(py).into_any()
                }
                Err(error) => return Err(error::input(py, &error, Some(index))),
            });
        }
        Ok(out)
    }

    /// Judges a response while it arrives. `context` is the conversation so far.
    #[pyo3(signature = (context = None, *, system = None, settings = None, tags = None, signals = None))]
    fn stream(
        &self,
        py: Python<'_>,
        context: Option<&Bound<'_, PyAny>>,
        system: Option<&Bound<'_, PyAny>>,
        settings: Option<&Bound<'_, PyAny>>,
        tags: Option<&Bound<'_, PyAny>>,
        signals: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Stream> {
        let fields = [("system", system), ("settings", settings), ("tags", tags), ("signals", signals)];
        let Some(context) = context.filter(|context| !context.is_none()) else {
            if let Some((name, _)) = fields.iter().find(|(_, field)| field.is_some()) {
                let message = format!("`{name}` is given without a context it belongs to");
                return Err(error::input(py, &WireError { path: "context".into(), message }, None));
            }
            return Stream::new(&self.guard, &Input::default())
                .map_err(|error| error::input(py, &error::check(&error), None));
        };
        let [system, settings, tags, signals] = fields;
        let fields = Fields([("id", None), system, ("target", None), settings, tags, signals]);
        let json = record::json(context, &fields).map_err(|problem| problem.raise(py, None))?;
        let opened = py.detach(|| {
            let input = wire::parse(&json)?;
            Stream::new(&self.guard, &input).map_err(|error| error::check(&error))
        });
        opened.map_err(|error| error::input(py, &error, None))
    }

    /// Name, version and hash of the policy.
    #[getter]
    fn policy<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let policy = self.guard.policy();
        let class = py.import("brightline._verdict")?.getattr("PolicyName")?;
        class.call1((policy.name(), policy.version(), policy.hash()))
    }

    /// Name, version and hash of the models, where some are loaded.
    #[getter]
    fn model<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let Some(models) = self.guard.models() else { return Ok(None) };
        let class = py.import("brightline._verdict")?.getattr("ModelName")?;
        class.call1((models.name(), models.version(), models.hash())).map(Some)
    }

    fn __repr__(&self) -> String {
        let policy = self.guard.policy();
        let clauses = policy.clauses().len();
        let models = self.guard.models().map_or("no models".to_string(), |models| {
            format!("models {} {} on {}", models.name(), models.version(), models.backend().as_str())
        });
        format!("<Guard {} {}: {clauses} clauses, {models}>", policy.name(), policy.version())
    }
}

/// The policy that is named: shipped, a document or an artifact.
fn load(name: &Path, models: Option<&Models>) -> Result<Policy, BuildError> {
    let shown = name.to_string_lossy();
    if !SHIPPED.contains(&&*shown) && !name.exists() {
        let known = SHIPPED.join(", ");
        return Err(BuildError::Policy(format!("cannot find the policy `{shown}`; shipped are {known}")));
    }
    Ok(Policy::load_for(&shown, models)?)
}

/// Settings of a deployment: a dict, or the path of a TOML file.
fn deployment(py: Python<'_>, settings: Option<&Bound<'_, PyAny>>) -> PyResult<Settings> {
    let Some(settings) = settings else { return Ok(Settings::default()) };
    if let Ok(table) = settings.cast::<PyDict>() {
        let mut json = Vec::new();
        record::value(&mut json, table, 0).map_err(|problem| match problem {
            Problem::Value(error) => error::settings(py, error),
            Problem::Raised(error) => error,
        })?;
        return serde_json::from_slice(&json)
            .map_err(|error| error::settings(py, format!("cannot read settings: {error}")));
    }
    let path: PathBuf = settings.extract()?;
    let shown = path.display();
    let text = std::fs::read_to_string(&path)
        .map_err(|error| error::settings(py, format!("cannot read `{shown}`: {error}")))?;
    Settings::from_toml(&text).map_err(|error| error::settings(py, format!("`{shown}`: {error}")))
}

/// The models that travel in the package, once some guard has loaded them.
static BUNDLED: Mutex<Option<(BackendKind, Models)>> = Mutex::new(None);

/// Which models a guard is to have.
struct Wanted {
    /// None at all.
    none: bool,
    named: Option<PathBuf>,
    package: Option<PathBuf>,
    backend: BackendKind,
}

impl Wanted {
    fn new(py: Python<'_>, models: Option<&Bound<'_, PyAny>>, backend: &str) -> PyResult<Self> {
        let backend = match backend {
            "rten" => BackendKind::default(),
            #[cfg(feature = "onnxruntime")]
            "onnxruntime" => {
                py.import("brightline._onnxruntime")?.getattr("locate")?.call0()?;
                BackendKind::OnnxRuntime
            }
            other => {
                let message = format!("`backend` is `{other}`; known are rten and onnxruntime");
                return Err(PyValueError::new_err(message));
            }
        };
        let file = py
            .import("brightline._brightline")?
            .getattr("__file__")
            .and_then(|file| file.extract::<PathBuf>());
        let package = file.ok().and_then(|file| file.parent().map(Path::to_path_buf));
        let models = models.filter(|models| !models.is_none());
        let truth = models.and_then(|models| models.cast::<PyBool>().ok()).map(|truth| truth.is_true());
        let named = match (models, truth) {
            (Some(models), None) => Some(models.extract()?),
            _ => None,
        };
        Ok(Self { none: truth == Some(false), named, package, backend })
    }

    /// The folder that is named, else the one in `BRIGHTLINE_MODELS`, beside the policy, or in the package.
    fn load(self, policy: &Path) -> Result<Option<Models>, BuildError> {
        if self.none {
            return Ok(None);
        }
        let beside = policy.parent().filter(|parent| !parent.as_os_str().is_empty());
        let places = beside.into_iter().chain(self.package.as_deref());
        let Some(folder) = Models::find(self.named.as_deref(), places) else { return Ok(None) };
        if self.package.is_none_or(|package| folder != package.join("models")) {
            return Ok(Some(Models::load_with(folder, self.backend)?));
        }
        let mut bundled = BUNDLED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some((_, models)) = bundled.as_ref().filter(|(backend, _)| *backend == self.backend) {
            return Ok(Some(models.clone()));
        }
        let models = Models::load_with(folder, self.backend)?;
        *bundled = Some((self.backend, models.clone()));
        Ok(Some(models))
    }
}
