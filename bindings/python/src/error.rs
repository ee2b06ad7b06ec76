//! Errors of the core as the exceptions of `brightline._errors`.

use brightline::classifier::ModelError;
use brightline::compiler::{CompileError, LoadError};
use brightline::diagnostic::Diagnostic;
use brightline::engine::{CheckError, GuardError};
use brightline::policy::SettingsError;
use brightline::wire::WireError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyModule;

const MODULE: &str = "brightline._errors";

/// An exception of the package, made from its arguments.
fn raise<'py>(py: Python<'py>, class: &'static str, arguments: impl pyo3::call::PyCallArgs<'py>) -> PyErr {
    static ERRORS: PyOnceLock<Py<PyModule>> = PyOnceLock::new();
    let made = ERRORS
        .get_or_try_init(py, || py.import(MODULE).map(Bound::unbind))
        .and_then(|module| module.bind(py).getattr(class)?.call1(arguments));
    match made {
        Ok(error) => PyErr::from_value(error),
        Err(error) => error,
    }
}

/// A record that cannot be judged. `index` is its place in a batch.
pub(crate) fn input(py: Python<'_>, error: &WireError, index: Option<usize>) -> PyErr {
    raise(py, "InputError", (&error.message, &error.path, index))
}

/// Which field a check failed on.
pub(crate) fn check(error: &CheckError) -> WireError {
    let path = match error {
        CheckError::NoMessages => "messages",
        CheckError::TargetOutOfRange { .. } => "target",
        _ => "settings",
    };
    WireError { path: path.to_string(), message: error.to_string() }
}

pub(crate) fn settings(py: Python<'_>, message: impl std::fmt::Display) -> PyErr {
    raise(py, "SettingsError", (message.to_string(),))
}

pub(crate) fn model(py: Python<'_>, message: impl std::fmt::Display) -> PyErr {
    raise(py, "ModelError", (message.to_string(),))
}

pub(crate) fn policy(py: Python<'_>, message: impl std::fmt::Display) -> PyErr {
    raise(py, "PolicyError", (message.to_string(),))
}

pub(crate) fn closed(py: Python<'_>) -> PyErr {
    raise(py, "StreamClosed", ("the stream has ended; start another with `guard.stream(context)`",))
}

/// Why a guard could not be made, before Python is told.
pub(crate) enum BuildError {
    Compile(CompileError),
    Policy(String),
    Settings(String),
    Model(String),
}

impl From<ModelError> for BuildError {
    fn from(error: ModelError) -> Self {
        Self::Model(error.to_string())
    }
}

impl From<LoadError> for BuildError {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::Compile(error) => Self::Compile(error),
            error => Self::Policy(error.to_string()),
        }
    }
}

impl From<SettingsError> for BuildError {
    fn from(error: SettingsError) -> Self {
        Self::Settings(error.to_string())
    }
}

impl From<GuardError> for BuildError {
    fn from(error: GuardError) -> Self {
        match error {
            GuardError::Settings(error) => error.into(),
            error @ GuardError::Constraint { .. } => Self::Settings(error.to_string()),
            error @ (GuardError::ModelRequired(_) | GuardError::Models(_)) => Self::Model(error.to_string()),
            error => Self::Policy(error.to_string()),
        }
    }
}

impl BuildError {
    pub(crate) fn raise(self, py: Python<'_>) -> PyErr {
        match self {
            Self::Compile(error) => raise(py, "PolicyError", (error.to_string(), json(&error.diagnostics))),
            Self::Policy(message) => policy(py, message),
            Self::Settings(message) => settings(py, message),
            Self::Model(message) => model(py, message),
        }
    }
}

fn json(diagnostics: &[Diagnostic]) -> String {
    serde_json::to_string(diagnostics).unwrap_or_else(|_| "[]".to_string())
}
