//! A stream: chunks of text in, text that may be shown out.

use crate::error;
use crate::points::{self, Counter, Starts};
use crate::verdict::Verdict;
use brightline::engine::CheckError;
use brightline::verdict::{EvidenceSpan, Field};
use brightline::{Channel, Guard, Input};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyInt, PyString, PyTuple};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Judges a response while it arrives: chunks go in, text that may be shown comes out.
#[pyclass(module = "brightline", frozen, weakref)]
pub(crate) struct Stream(Mutex<State>);

struct State {
    /// `None` once the stream was finished or closed.
    stream: Option<brightline::Stream>,
    context: Input<'static>,
    /// A finding has ended it; what follows is not judged.
    stopped: bool,
    starts: BTreeMap<Channel, Starts>,
    names: BTreeMap<u32, String>,
}

/// What one chunk led to.
#[pyclass(module = "brightline", frozen)]
pub(crate) struct Step {
    released: Vec<(Channel, String)>,
    action: &'static str,
    /// Whether a finding has ended the stream: nothing more is released, and `finish()` has the verdict.
    #[pyo3(get)]
    stopped: bool,
}

/// What the whole stream led to.
#[pyclass(module = "brightline", frozen)]
pub(crate) struct End {
    released: Vec<(Channel, String)>,
    /// The verdict on the message, or on what of it arrived before a finding ended the stream.
    #[pyo3(get)]
    verdict: Py<Verdict>,
    /// Whether a finding of action block or escalate ended the stream.
    #[pyo3(get)]
    stopped: bool,
}

impl Stream {
    pub(crate) fn new(guard: &Guard, context: &Input<'_>) -> Result<Self, CheckError> {
        let stream = Some(guard.stream(context)?);
        let (starts, names) = (BTreeMap::new(), BTreeMap::new());
        Ok(Self(Mutex::new(State { stream, context: context.to_static(), stopped: false, starts, names })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Both ends of a span in code points: of a channel, or of the conversation before it.
    fn ends(&self, span: &EvidenceSpan, counter: &mut Counter<'_, '_>) -> (u32, u32) {
        if (span.message as usize) < self.context.messages.len() {
            return counter.ends(span).unwrap_or((span.start, span.end));
        }
        let channel = match span.field {
            Field::Content => Channel::Text,
            Field::Reasoning => Channel::Reasoning,
            Field::ToolCalls => Channel::ToolCall(span.part.unwrap_or_default()),
            Field::ToolName => {
                let name = self.names.get(&span.part.unwrap_or_default());
                let before = |byte: u32| {
                    let text = name.and_then(|name| name.get(..byte as usize));
                    text.and_then(|text| u32::try_from(text.chars().count()).ok()).unwrap_or(byte)
                };
                return (before(span.start), before(span.end));
            }
        };
        match self.starts.get(&channel) {
            Some(starts) => (starts.characters_before(span.start), starts.characters_before(span.end)),
            None => (span.start, span.end),
        }
    }
}

/// `"text"`, `"reasoning"`, or the index of a tool call.
fn channel(of: Option<&Bound<'_, PyAny>>) -> PyResult<Channel> {
    let Some(of) = of else { return Ok(Channel::Text) };
    if of.is_instance_of::<PyInt>() {
        return Ok(Channel::ToolCall(of.extract()?));
    }
    match of.cast::<PyString>()?.to_str()? {
        "text" => Ok(Channel::Text),
        "reasoning" => Ok(Channel::Reasoning),
        other => Err(PyValueError::new_err(format!(
            "`channel` is `{other}`; known are text, reasoning, and the index of a tool call"
        ))),
    }
}

/// Released text as (channel, text).
fn pieces<'py>(py: Python<'py>, released: &[(Channel, String)]) -> PyResult<Bound<'py, PyTuple>> {
    let pieces = released.iter().map(|(channel, text)| {
        let channel = match channel {
            Channel::Text => PyString::intern(py, "text").into_any(),
            Channel::Reasoning => PyString::intern(py, "reasoning").into_any(),
            Channel::ToolCall(index) => index.into_pyobject(py)?.into_any(),
        };
        Ok((channel, text.as_str()))
    });
    PyTuple::new(py, pieces.collect::<PyResult<Vec<_>>>()?)
}

fn answer(released: &[(Channel, String)]) -> String {
    released.iter().filter(|(channel, _)| *channel == Channel::Text).map(|(_, text)| text.as_str()).collect()
}

#[pymethods]
impl Stream {
    /// Declares a tool call before its arguments. The name may come in pieces.
    fn tool_call(&self, py: Python<'_>, index: u32, name: &str) -> PyResult<()> {
        let declared = py.detach(|| {
            let mut state = self.state();
            state.stream.as_mut()?.tool_call(index, "", name);
            state.names.entry(index).or_default().push_str(name);
            Some(())
        });
        declared.ok_or_else(|| error::closed(py))
    }

    /// Takes the next chunk and gives what may be shown by now. `channel` is "text", "reasoning" or the index of a tool call.
    #[pyo3(signature = (chunk, channel = None))]
    fn push(&self, py: Python<'_>, chunk: &str, channel: Option<&Bound<'_, PyAny>>) -> PyResult<Step> {
        let channel = self::channel(channel)?;
        let step = py.detach(|| {
            let mut state = self.state();
            let step = state.stream.as_mut()?.push(channel, chunk.as_bytes());
            if !state.stopped {
                state.starts.entry(channel).or_default().push(chunk);
                state.stopped = step.stopped;
            }
            Some(step)
        });
        let Some(step) = step else { return Err(error::closed(py)) };
        Ok(Step { released: step.released, action: step.action.as_str(), stopped: step.stopped })
    }

    /// Ends the message: the last text that may be shown, and the verdict. The stream is closed after it.
    fn finish(&self, py: Python<'_>) -> PyResult<End> {
        let end = py.detach(|| {
            let mut state = self.state();
            let end = state.stream.take()?.finish();
            let mut counter = Counter::new(&state.context);
            let points = points::of(&end.verdict, |span| state.ends(span, &mut counter));
            Some((end.released, Verdict::with_points(end.verdict, points, Vec::new()), end.stopped))
        });
        let Some((released, verdict, stopped)) = end else { return Err(error::closed(py)) };
        Ok(End { released, verdict: Py::new(py, verdict)?, stopped })
    }

    /// Drops what is held back. Nothing more is released; closing twice is fine.
    fn close(&self, py: Python<'_>) {
        py.detach(|| self.state().stream = None);
    }

    /// Whether the stream was finished or closed.
    #[getter]
    fn closed(&self, py: Python<'_>) -> bool {
        py.detach(|| self.state().stream.is_none())
    }

    /// How many bytes of the message are held in memory.
    #[getter]
    fn held(&self, py: Python<'_>) -> usize {
        py.detach(|| self.state().stream.as_ref().map_or(0, brightline::Stream::held))
    }

    fn __enter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    #[pyo3(signature = (*_exception))]
    fn __exit__(&self, py: Python<'_>, _exception: &Bound<'_, PyTuple>) {
        self.close(py);
    }

    fn __repr__(&self, py: Python<'_>) -> String {
        if self.closed(py) {
            "<Stream closed>".to_string()
        } else {
            format!("<Stream holding {} bytes>", self.held(py))
        }
    }
}

#[pymethods]
impl Step {
    #[classattr]
    fn __match_args__() -> (&'static str, &'static str) {
        ("text", "stopped")
    }

    /// Text that may be shown, in order, as (channel, text).
    #[getter]
    fn released<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        pieces(py, &self.released)
    }

    /// Text of the answer that may be shown.
    #[getter]
    fn text(&self) -> String {
        answer(&self.released)
    }

    /// The strictest action among the findings that are certain by now, of redact and stricter.
    #[getter]
    fn action<'py>(&self, py: Python<'py>) -> Bound<'py, PyString> {
        PyString::intern(py, self.action)
    }

    fn __repr__(&self) -> String {
        let ended = if self.stopped { ", stopped" } else { "" };
        format!("<Step {}: {:?}{ended}>", self.action, answer(&self.released))
    }
}

#[pymethods]
impl End {
    #[classattr]
    fn __match_args__() -> (&'static str, &'static str) {
        ("text", "verdict")
    }

    /// Text that may be shown, in order, as (channel, text).
    #[getter]
    fn released<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        pieces(py, &self.released)
    }

    /// Text of the answer that may be shown.
    #[getter]
    fn text(&self) -> String {
        answer(&self.released)
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        Ok(format!("<End {:?}, {}>", answer(&self.released), self.verdict.bind(py).repr()?))
    }
}
