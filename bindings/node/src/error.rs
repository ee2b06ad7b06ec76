//! Errors on their way to JavaScript: a code, the text, the place.

use brightline::compiler::LoadError;
use brightline::diagnostic::Diagnostic;
use brightline::engine::{CheckError, GuardError};
use brightline::wire::WireError;
use serde::Serialize;

/// What `lib/errors.ts` makes a `BrightlineError` of. It travels as the JSON message of a plain error.
#[derive(Debug, Serialize)]
pub(crate) struct Failure {
    code: &'static str,
    message: String,
    /// The field of a record.
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    /// Which record of a batch.
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<usize>,
    /// Why a policy does not compile.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    diagnostics: Vec<serde_json::Value>,
}

impl Failure {
    pub(crate) fn new(code: &'static str, message: impl ToString) -> Self {
        Self { code, message: message.to_string(), path: None, index: None, diagnostics: Vec::new() }
    }

    pub(crate) fn settings(message: impl ToString) -> Self {
        Self::new("BL_SETTINGS", message)
    }

    pub(crate) fn of_record(self, index: usize) -> Self {
        Self { index: Some(index), ..self }
    }
}

impl From<Failure> for napi::Error {
    fn from(failure: Failure) -> Self {
        // A struct of strings and numbers always has a JSON form.
        Self::from_reason(serde_json::to_string(&failure).unwrap_or(failure.message))
    }
}

impl From<WireError> for Failure {
    fn from(error: WireError) -> Self {
        let path = (!error.path.is_empty()).then(|| error.path.clone());
        Self { path, ..Self::new("BL_INPUT", error) }
    }
}

impl From<CheckError> for Failure {
    fn from(error: CheckError) -> Self {
        let path = match &error {
            CheckError::NoMessages => "messages",
            CheckError::TargetOutOfRange { .. } => "target",
            _ => "settings",
        };
        Self { path: Some(path.to_string()), ..Self::new("BL_INPUT", error) }
    }
}

impl From<LoadError> for Failure {
    fn from(error: LoadError) -> Self {
        let diagnostics = match &error {
            LoadError::Compile(error) => error.diagnostics.iter().map(in_utf16).collect(),
            _ => Vec::new(),
        };
        Self { diagnostics, ..Self::new("BL_POLICY", error) }
    }
}

impl From<GuardError> for Failure {
    fn from(error: GuardError) -> Self {
        let code = match &error {
            GuardError::Settings(_) | GuardError::Constraint { .. } => "BL_SETTINGS",
            GuardError::ModelRequired(_) | GuardError::Models(_) => "BL_MODEL",
            _ => "BL_POLICY",
        };
        Self::new(code, error)
    }
}

/// A diagnostic whose place counts UTF-16 units, as JavaScript slices text.
fn in_utf16(diagnostic: &Diagnostic) -> serde_json::Value {
    let units = |byte: u32| {
        let before = diagnostic.source.text().get(..byte as usize);
        before.map_or(byte as usize, |before| before.encode_utf16().count())
    };
    let mut value = serde_json::to_value(diagnostic).unwrap_or_default();
    if let Some(fields) = value.as_object_mut() {
        fields.insert("start".into(), units(diagnostic.span.start).into());
        fields.insert("end".into(), units(diagnostic.span.end).into());
    }
    value
}
