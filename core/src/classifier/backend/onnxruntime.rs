//! ONNX Runtime through `ort`, its library loaded when the first graph is.

use super::pool::Pool;
use super::{Backend, Batch, LoadError, Output, RunError};
use ort::environment::Environment;
use ort::session::Session;
use ort::session::builder::GraphOptimizationLevel;
use ort::value::TensorRef;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

/// A graph and its sessions. `Session::run` takes `&mut self`, so each thread has one of its own while it runs.
#[derive(Debug)]
pub(super) struct OnnxRuntime {
    sessions: Pool<Session>,
}

impl OnnxRuntime {
    pub(super) fn load(graph: Vec<u8>) -> Result<Self, LoadError> {
        // A library that cannot be loaded must be an error here, not a panic inside `ort`.
        let environment = environment().map_err(LoadError::Runtime)?;
        let graph: Arc<[u8]> = graph.into();
        let make = move || session(&environment, &graph).map_err(|error| error.to_string());
        let first = make().map_err(LoadError::Graph)?;
        for (name, known) in [("input_ids", first.inputs()), ("attention_mask", first.inputs())]
            .into_iter()
            .chain([("logits", first.outputs()), ("embedding", first.outputs())])
        {
            if !known.iter().any(|outlet| outlet.name() == name) {
                return Err(LoadError::Graph(format!("the graph has no `{name}`")));
            }
        }
        Ok(Self { sessions: Pool::new(first, super::sessions(), make) })
    }
}

impl Backend for OnnxRuntime {
    fn run(&self, batch: &Batch, deadline: Option<Instant>) -> Result<Output, RunError> {
        let wide = |data: &[i32]| data.iter().copied().map(i64::from).collect::<Vec<_>>();
        let (ids, mask) = (wide(&batch.ids), wide(&batch.mask));
        let mut lease = self.sessions.take(deadline)?;
        let session = lease.get().ok_or_else(|| RunError::Failed("the session is gone".into()))?;
        run(session, [batch.rows, batch.columns], &ids, &mask)
            .map_err(|error| RunError::Failed(error.to_string()))
    }
}

fn run(session: &mut Session, shape: [usize; 2], ids: &[i64], mask: &[i64]) -> ort::Result<Output> {
    let outputs = session.run(ort::inputs![
        "input_ids" => TensorRef::from_array_view((shape, ids))?,
        "attention_mask" => TensorRef::from_array_view((shape, mask))?,
    ])?;
    let floats = |name: &str| -> ort::Result<Vec<f32>> {
        let value =
            outputs.get(name).ok_or_else(|| ort::Error::new(format!("the graph gave no `{name}`")))?;
        Ok(value.try_extract_tensor::<f32>()?.1.to_vec())
    };
    Ok(Output { logits: floats("logits")?, embedding: floats("embedding")? })
}

/// One session: one thread, which sleeps rather than spins while it waits.
fn session(environment: &Environment, graph: &[u8]) -> ort::Result<Session> {
    Session::builder(environment)?
        .with_optimization_level(GraphOptimizationLevel::Level3)?
        .with_intra_threads(1)?
        .with_intra_op_spinning(false)?
        .with_inter_op_spinning(false)?
        .commit_from_memory(graph)
}

/// The library, loaded once: `ORT_DYLIB_PATH`, or the name the system knows it by.
fn environment() -> Result<Environment, String> {
    static LOADED: OnceLock<Result<Environment, String>> = OnceLock::new();
    LOADED
        .get_or_init(|| {
            let library = std::env::var_os("ORT_DYLIB_PATH")
                .filter(|path| !path.is_empty())
                .unwrap_or_else(|| LIBRARY.into());
            let builder = ort::init_from(library).map_err(|error| error.to_string())?;
            builder.with_name("brightline").with_telemetry(false).build().map_err(|error| error.to_string())
        })
        .clone()
}

#[cfg(target_os = "windows")]
const LIBRARY: &str = "onnxruntime.dll";
#[cfg(target_vendor = "apple")]
const LIBRARY: &str = "libonnxruntime.dylib";
#[cfg(not(any(target_os = "windows", target_vendor = "apple")))]
const LIBRARY: &str = "libonnxruntime.so";
