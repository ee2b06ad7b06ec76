//! The default runtime: `rten`, with weights packed once when the graph is loaded.

use super::pool::Pool;
use super::{Backend, Batch, LoadError, Output, RunError};
use rten::{Model, ModelOptions, NodeId, RunOptions, ThreadPool, Value, ValueOrView};
use rten_tensor::NdTensorView;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

/// A graph and the threads that run it.
///
/// The graph itself is shared; a session is a pool of one thread, so that each run keeps to one core and runs side by
/// side do not wait for one another.
pub(super) struct Rten {
    model: Model,
    ids: NodeId,
    mask: NodeId,
    logits: NodeId,
    embedding: NodeId,
    threads: Pool<Arc<ThreadPool>>,
}

impl Rten {
    pub(super) fn load(graph: Vec<u8>) -> Result<Self, LoadError> {
        let mut options = ModelOptions::with_all_ops();
        options.prepack_weights(true);
        let model = options.load(graph).map_err(|error| LoadError::Graph(error.to_string()))?;
        let node = |name: &str| {
            let missing = |_| LoadError::Graph(format!("the graph has no `{name}`"));
            model.node_id(name).map_err(missing)
        };
        let [ids, mask, logits, embedding] = ["input_ids", "attention_mask", "logits", "embedding"].map(node);
        let session = || Arc::new(ThreadPool::with_num_threads(1));
        let threads = Pool::new(session(), super::sessions(), move || Ok(session()));
        Ok(Self { ids: ids?, mask: mask?, logits: logits?, embedding: embedding?, model, threads })
    }
}

impl Backend for Rten {
    fn run(&self, batch: &Batch, deadline: Option<Instant>) -> Result<Output, RunError> {
        let shape = [batch.rows, batch.columns];
        let view = |data| -> Result<ValueOrView<'_>, RunError> {
            let view = NdTensorView::try_from_data(shape, data)
                .map_err(|error| RunError::Failed(error.to_string()))?;
            Ok(view.into())
        };
        let inputs = vec![(self.ids, view(batch.ids.as_slice())?), (self.mask, view(batch.mask.as_slice())?)];
        let mut lease = self.threads.take(deadline)?;
        let options = RunOptions::default().with_thread_pool(lease.get().cloned());
        let [logits, embedding] = self
            .model
            .run(inputs, &[self.logits, self.embedding], Some(options))
            .map_err(|error| RunError::Failed(error.to_string()))?
            .try_into()
            .map_err(|_| {
                RunError::Failed("the graph gave other outputs than it was asked for".to_string())
            })?;
        Ok(Output { logits: floats(logits)?, embedding: floats(embedding)? })
    }
}

fn floats(value: Value) -> Result<Vec<f32>, RunError> {
    let tensor =
        value.into_tensor::<f32>().ok_or_else(|| RunError::Failed("an output is not of floats".into()))?;
    Ok(tensor.into_data())
}

impl fmt::Debug for Rten {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Rten").field("threads", &self.threads).finish_non_exhaustive()
    }
}
