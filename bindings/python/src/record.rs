//! Python objects → **JSON** of one record, for `wire::parse` to read.
//!
//! Text stands in it as `json.dumps(record, ensure_ascii=False)` would write it, so that spans in the arguments of a tool
//! call that were given as a dict mean the same as in a log that Python wrote.

use brightline::wire::WireError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple};

/// How deep lists and objects may lie in one another; JSON readers stop there as well, and a list may hold itself.
const MAX_DEPTH: usize = 100;

/// What a caller may say about a record beside its messages.
#[derive(Default)]
pub(crate) struct Fields<'a, 'py>(pub [(&'static str, Option<&'a Bound<'py, PyAny>>); 6]);

/// What cannot be written.
pub(crate) enum Problem {
    /// A value that is no JSON, and where it stands.
    Value(WireError),
    /// An exception of code that was called.
    Raised(PyErr),
}

impl Problem {
    fn value(message: impl Into<String>) -> Self {
        Self::Value(WireError { path: String::new(), message: message.into() })
    }

    /// The same problem, seen from one level above.
    fn inside(self, place: impl FnOnce() -> String) -> Self {
        match self {
            Self::Value(WireError { path, message }) => {
                let (place, dot) = (place(), if path.is_empty() || path.starts_with('[') { "" } else { "." });
                Self::Value(WireError { path: format!("{place}{dot}{path}"), message })
            }
            raised @ Self::Raised(_) => raised,
        }
    }

    pub(crate) fn raise(self, py: Python<'_>, index: Option<usize>) -> PyErr {
        match self {
            Self::Value(error) => crate::error::input(py, &error, index),
            Self::Raised(error) => error,
        }
    }
}

impl From<PyErr> for Problem {
    fn from(error: PyErr) -> Self {
        Self::Raised(error)
    }
}

/// A text, a list of messages or a record, with the fields beside it, as one JSON object.
pub(crate) fn json(input: &Bound<'_, PyAny>, fields: &Fields<'_, '_>) -> Result<Vec<u8>, Problem> {
    let mut out = Vec::with_capacity(256);
    out.push(b'{');
    if input.is_instance_of::<PyString>() {
        out.extend_from_slice(b"\"request\": ");
        value(&mut out, input, 0)?;
    } else if input.is_instance_of::<PyList>() || input.is_instance_of::<PyTuple>() {
        out.extend_from_slice(b"\"messages\": ");
        value(&mut out, input, 0).map_err(|problem| problem.inside(|| "messages".to_string()))?;
    } else if let Ok(record) = input.cast::<PyDict>() {
        entries(&mut out, record, 0)?;
    } else if let Some(dumped) = dumped(input)? {
        entries(&mut out, dumped.cast::<PyDict>().map_err(PyErr::from)?, 0)?;
    } else {
        let message = format!("expected a string, a list of messages or a dict, got `{}`", kind(input));
        return Err(Problem::value(message));
    }
    for (name, field) in fields.0.iter().filter_map(|(name, field)| Some((name, (*field)?))) {
        if out.len() > 1 {
            out.extend_from_slice(b", ");
        }
        string(&mut out, name);
        out.extend_from_slice(b": ");
        value(&mut out, field, 0).map_err(|problem| problem.inside(|| (*name).to_string()))?;
    }
    out.push(b'}');
    Ok(out)
}

/// Any value as JSON.
pub(crate) fn value(out: &mut Vec<u8>, of: &Bound<'_, PyAny>, depth: usize) -> Result<(), Problem> {
    if depth > MAX_DEPTH {
        return Err(Problem::value(format!("lists and dicts lie more than {MAX_DEPTH} deep in one another")));
    }
    if let Ok(text) = of.cast::<PyString>() {
        let text = text
            .to_str()
            .map_err(|_| Problem::value("the text holds half a surrogate pair, which is no character"))?;
        string(out, text);
    } else if of.is_none() {
        out.extend_from_slice(b"null");
    } else if let Ok(dict) = of.cast::<PyDict>() {
        out.push(b'{');
        entries(out, dict, depth)?;
        out.push(b'}');
    } else if let Ok(list) = of.cast::<PyList>() {
        sequence(out, list.iter(), depth)?;
    } else if let Ok(tuple) = of.cast::<PyTuple>() {
        sequence(out, tuple.iter(), depth)?;
    } else if let Ok(truth) = of.cast::<PyBool>() {
        out.extend_from_slice(if truth.is_true() { b"true" } else { b"false" });
    } else if of.is_instance_of::<PyInt>() || of.is_instance_of::<PyFloat>() {
        let digits = of.repr()?;
        let digits = digits.to_str()?;
        if !digits.ends_with(|last: char| last.is_ascii_digit()) {
            return Err(Problem::value(format!("`{digits}` is no finite number")));
        }
        out.extend_from_slice(digits.as_bytes());
    } else if let Some(dumped) = dumped(of)? {
        value(out, &dumped, depth + 1)?;
    } else {
        return Err(Problem::value(format!("a value of type `{}` cannot be read as JSON", kind(of))));
    }
    Ok(())
}

fn sequence<'py>(
    out: &mut Vec<u8>,
    items: impl Iterator<Item = Bound<'py, PyAny>>,
    depth: usize,
) -> Result<(), Problem> {
    out.push(b'[');
    for (at, item) in items.enumerate() {
        if at > 0 {
            out.extend_from_slice(b", ");
        }
        value(out, &item, depth + 1).map_err(|problem| problem.inside(|| format!("[{at}]")))?;
    }
    out.push(b']');
    Ok(())
}

fn entries(out: &mut Vec<u8>, dict: &Bound<'_, PyDict>, depth: usize) -> Result<(), Problem> {
    for (at, (key, item)) in dict.iter().enumerate() {
        if at > 0 {
            out.extend_from_slice(b", ");
        }
        let Ok(name) = key.cast::<PyString>() else {
            return Err(Problem::value(format!("a key of type `{}`; keys are strings", kind(&key))));
        };
        let name = name.to_str().map_err(|_| Problem::value("a key holds half a surrogate pair"))?;
        string(out, name);
        out.extend_from_slice(b": ");
        value(out, &item, depth + 1).map_err(|problem| problem.inside(|| name.to_string()))?;
    }
    Ok(())
}

fn string(out: &mut Vec<u8>, text: &str) {
    // Writing a string to memory does not fail.
    let _ = serde_json::to_writer(out, text);
}

/// What a model of the SDKs (`pydantic`) holds, as plain values.
fn dumped<'py>(of: &Bound<'py, PyAny>) -> Result<Option<Bound<'py, PyAny>>, Problem> {
    let py = of.py();
    let Some(dump) = of.getattr_opt(intern!(py, "model_dump"))? else { return Ok(None) };
    let options = PyDict::new(py);
    options.set_item("mode", "json")?;
    options.set_item("exclude_none", true)?;
    Ok(Some(dump.call((), Some(&options))?))
}

fn kind(of: &Bound<'_, PyAny>) -> String {
    of.get_type().name().map_or_else(|_| "object".to_string(), |name| name.to_string())
}
