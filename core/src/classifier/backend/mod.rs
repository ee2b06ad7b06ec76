//! The runtimes that execute the full model.
//!
//! A [`Backend`] runs one graph: `input_ids` and `attention_mask` of `[batch, sequence]` integers in, `logits` of
//! `[batch, labels]` and `embedding` of `[batch, dimensions]` out. It is shared by threads; what a run needs for itself
//! comes from a [`pool`](pool::Pool).

#[cfg(feature = "onnxruntime")]
mod onnxruntime;
mod pool;
mod rten;

use super::error::ScoreError;
use std::fmt::Debug;
use std::time::Instant;

/// Which runtime executes the full model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum BackendKind {
    /// `rten`: Rust, nothing to install.
    #[default]
    Rten,
    /// ONNX Runtime, its library found by `ORT_DYLIB_PATH` or in the places where the system looks for libraries.
    #[cfg(feature = "onnxruntime")]
    OnnxRuntime,
}

impl BackendKind {
    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rten => "rten",
            #[cfg(feature = "onnxruntime")]
            Self::OnnxRuntime => "onnxruntime",
        }
    }

    /// Loads a graph.
    pub(super) fn load(self, graph: Vec<u8>) -> Result<Box<dyn Backend>, LoadError> {
        Ok(match self {
            Self::Rten => Box::new(rten::Rten::load(graph)?),
            #[cfg(feature = "onnxruntime")]
            Self::OnnxRuntime => Box::new(onnxruntime::OnnxRuntime::load(graph)?),
        })
    }
}

/// Why a graph cannot be run.
#[derive(Debug)]
pub(super) enum LoadError {
    /// The runtime itself is not there, or not usable.
    #[cfg_attr(not(feature = "onnxruntime"), expect(dead_code, reason = "`rten` is always there"))]
    Runtime(String),
    /// The graph is not one that it can run, or has other inputs and outputs.
    Graph(String),
}

/// Rows of token ids, padded to one length.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub ids: Vec<i32>,
    pub mask: Vec<i32>,
    pub rows: usize,
    pub columns: usize,
}

impl Batch {
    /// Starts over with rows of so many tokens.
    pub(crate) fn reset(&mut self, columns: usize) {
        self.ids.clear();
        self.mask.clear();
        self.rows = 0;
        self.columns = columns;
    }

    /// Adds a row; what is beyond the length is left out, and callers give none.
    pub(crate) fn push(&mut self, ids: impl Iterator<Item = u32>, pad: u32) {
        let end = self.ids.len() + self.columns;
        self.ids.extend(ids.take(self.columns).map(|id| i32::try_from(id).unwrap_or(i32::MAX)));
        self.mask.resize(self.ids.len(), 1);
        self.ids.resize(end, i32::try_from(pad).unwrap_or(0));
        self.mask.resize(end, 0);
        self.rows += 1;
    }
}

/// What a run gives, row by row.
#[derive(Debug, Default)]
pub(crate) struct Output {
    /// `rows × labels`.
    pub logits: Vec<f32>,
    /// `rows × dimensions`.
    pub embedding: Vec<f32>,
}

/// Why a run gave nothing.
#[derive(Debug)]
pub(crate) enum RunError {
    /// No session came free in time.
    Late,
    /// The runtime refused.
    Failed(String),
}

impl From<RunError> for ScoreError {
    fn from(error: RunError) -> Self {
        match error {
            RunError::Late => Self::Late,
            RunError::Failed(_) => Self::Failed,
        }
    }
}

/// A loaded graph.
pub(crate) trait Backend: Send + Sync + Debug {
    /// Runs a batch. Waits at most until the deadline for its turn; a run that has begun is finished.
    fn run(&self, batch: &Batch, deadline: Option<Instant>) -> Result<Output, RunError>;
}

/// How many runs may be under way: more than cores only makes each of them wait.
fn sessions() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}
