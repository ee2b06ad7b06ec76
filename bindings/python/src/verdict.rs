//! A verdict as a frozen object: the core's own, read field by field, its details built when they are asked for.

use crate::points;
use brightline::Input;
use brightline::verdict::Field;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyString, PyTuple};
use std::hash::{DefaultHasher, Hash, Hasher};

/// The answer to one check: an action, the findings behind it, and everything that limits it.
#[pyclass(module = "brightline", frozen, weakref)]
pub(crate) struct Verdict {
    verdict: brightline::Verdict,
    points: Box<[(u32, u32)]>,
    texts: Vec<Text>,
    details: PyOnceLock<Py<PyAny>>,
}

/// A text that evidence was found in, where the caller asked to keep it.
pub(crate) struct Text {
    message: u32,
    field: Field,
    part: Option<u32>,
    text: String,
}

impl Verdict {
    pub(crate) fn new(verdict: brightline::Verdict, input: &Input<'_>, keep_text: bool) -> Self {
        let mut counter = points::Counter::new(input);
        let points = points::of(&verdict, |span| counter.ends(span).unwrap_or((span.start, span.end)));
        let texts = if keep_text { texts(&verdict, input) } else { Vec::new() };
        Self::with_points(verdict, points, texts)
    }

    pub(crate) fn with_points(
        verdict: brightline::Verdict,
        points: Box<[(u32, u32)]>,
        texts: Vec<Text>,
    ) -> Self {
        Self { verdict, points, texts, details: PyOnceLock::new() }
    }

    fn json(&self) -> String {
        // A verdict holds nothing that JSON has no form for.
        serde_json::to_string(&self.verdict).unwrap_or_default()
    }

    /// What `==` compares: everything but the time it took.
    fn timeless(&self) -> String {
        let mut verdict = self.verdict.clone();
        verdict.elapsed_us = 0;
        serde_json::to_string(&verdict).unwrap_or_default()
    }

    /// A field that `brightline._verdict.Details` holds.
    fn detail<'py>(&self, py: Python<'py>, name: &Bound<'py, PyString>) -> PyResult<Bound<'py, PyAny>> {
        let details = self.details.get_or_try_init(py, || {
            let points = PyTuple::new(py, self.points.iter())?;
            let details = py.import("brightline._verdict")?.getattr("details")?;
            details.call1((self.json(), points)).map(Bound::unbind)
        })?;
        details.bind(py).getattr(name)
    }
}

fn texts(verdict: &brightline::Verdict, input: &Input<'_>) -> Vec<Text> {
    let mut texts: Vec<Text> = Vec::new();
    let evidence = verdict.findings.iter().flat_map(|finding| &finding.evidence);
    for span in evidence.flat_map(|evidence| &evidence.spans) {
        let known = texts
            .iter()
            .any(|text| (text.message, text.field, text.part) == (span.message, span.field, span.part));
        if let Some(text) = points::text_of(input, span).filter(|_| !known) {
            let (message, field, part) = (span.message, span.field, span.part);
            texts.push(Text { message, field, part, text: text.to_string() });
        }
    }
    texts
}

/// A word of the wire form, such as an action.
fn word<'py>(py: Python<'py>, of: &impl serde::Serialize) -> Bound<'py, PyString> {
    let word = serde_json::to_string(of).unwrap_or_default();
    PyString::intern(py, word.trim_matches('"'))
}

#[pymethods]
impl Verdict {
    #[classattr]
    fn __match_args__() -> (&'static str, &'static str) {
        ("action", "findings")
    }

    /// The record's id, where it has one.
    #[getter]
    fn id(&self) -> Option<&str> {
        self.verdict.id.as_deref()
    }

    /// The strictest action of a finding in force: allow < flag < redact < revise < escalate < block.
    #[getter]
    fn action<'py>(&self, py: Python<'py>) -> Bound<'py, PyString> {
        PyString::intern(py, self.verdict.action.as_str())
    }

    /// What the judged message is: request, response, reasoning, tool_call or tool_result.
    #[getter]
    fn surface<'py>(&self, py: Python<'py>) -> Bound<'py, PyString> {
        word(py, &self.verdict.surface)
    }

    /// Whether the message may be passed on as it is: the action is allow or flag.
    #[getter]
    fn passes(&self) -> bool {
        self.verdict.passes()
    }

    /// Text safe to show the user instead of what was blocked.
    #[getter]
    fn message(&self) -> Option<&str> {
        self.verdict.message.as_deref()
    }

    /// The judged text with placeholders for what was redacted: the first of `redactions`.
    #[getter]
    fn redacted(&self) -> Option<&str> {
        self.verdict.redacted()
    }

    /// What the model should change, where the action is revise.
    #[getter]
    fn critique(&self) -> Option<&str> {
        self.verdict.critique.as_deref()
    }

    /// How the message lies outside what the models were measured on: length, language or None.
    #[getter]
    fn unverified(&self) -> Option<&'static str> {
        self.verdict.unverified
    }

    /// Types of the message's parts that are no text and were not judged.
    #[getter]
    fn not_judged<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, &self.verdict.not_judged)
    }

    /// Wall time of the check, in microseconds.
    #[getter]
    fn elapsed_us(&self) -> u64 {
        self.verdict.elapsed_us
    }

    /// Name, version and hash of the policy that was applied.
    #[getter]
    fn policy<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.detail(py, intern!(py, "policy"))
    }

    /// Name, version and hash of the models, where some are loaded.
    #[getter]
    fn model<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.detail(py, intern!(py, "model"))
    }

    /// What was found, strictest first, then by authority and priority.
    #[getter]
    fn findings<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        if self.verdict.findings.is_empty() {
            return Ok(PyTuple::empty(py).into_any());
        }
        self.detail(py, intern!(py, "findings"))
    }

    /// What was found and is not in force, and by whom it was lifted.
    #[getter]
    fn lifted<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.detail(py, intern!(py, "lifted"))
    }

    /// Settings of the request that asked for more than they may and were not followed.
    #[getter]
    fn ignored<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.detail(py, intern!(py, "ignored"))
    }

    /// Probabilities by label: of those that findings rest on, or of all with `Guard(scores=True)`.
    #[getter]
    fn scores<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let scores = PyDict::new(py);
        for (label, score) in &self.verdict.scores {
            scores.set_item(label, score)?;
        }
        Ok(scores)
    }

    /// All redacted texts, piece by piece.
    #[getter]
    fn redactions<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.detail(py, intern!(py, "redactions"))
    }

    /// How much was scanned, and by which tiers.
    #[getter]
    fn scanned<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.detail(py, intern!(py, "scanned"))
    }

    /// What limits the verdict: clauses that could not be decided, and why.
    #[getter]
    fn degraded<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.detail(py, intern!(py, "degraded"))
    }

    /// The texts that evidence was found in, as (message, field, part, text); only with `keep_text=True`.
    #[getter]
    fn texts<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let texts = self.texts.iter().map(|it| (it.message, word(py, &it.field), it.part, it.text.as_str()));
        PyTuple::new(py, texts.collect::<Vec<_>>())
    }

    /// The wire form as JSON: what `brightline score` writes. Offsets in it are bytes of UTF-8.
    fn to_json(&self) -> String {
        self.json()
    }

    /// The wire form as a dict. Offsets in it are bytes of UTF-8.
    fn to_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        py.import("json")?.getattr("loads")?.call1((self.json(),))
    }

    fn __eq__(&self, other: &Self) -> bool {
        self.timeless() == other.timeless()
    }

    fn __hash__(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.timeless().hash(&mut hasher);
        hasher.finish()
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        slf.py().import("brightline._verdict")?.getattr("describe")?.call1((slf,))?.extract()
    }

    fn _repr_html_(slf: &Bound<'_, Self>) -> PyResult<String> {
        slf.py().import("brightline._html")?.getattr("html")?.call1((slf,))?.extract()
    }
}
