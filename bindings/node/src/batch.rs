//! Many records on all cores: while the thread of JavaScript turns objects into records, others judge those that are ready.

use crate::error::Failure;
use crate::guard::NativeGuard;
use crate::judged::{judge_with, places};
use brightline::{Guard, Input, Verdict};
use napi::bindgen_prelude::{AsyncTask, Buffer, Function, Uint32Array};
use napi::{Env, Task};
use napi_derive::napi;
use serde_json::value::RawValue;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

/// The most threads of one batch.
const MAX_THREADS: usize = 1024;

/// Records on their way to the threads, in numbered portions.
type Work = Arc<Mutex<Receiver<(usize, String)>>>;

/// The verdicts of a portion, or the record in it that cannot be judged and why.
type Judged = Result<Packed, (usize, Failure)>;

#[napi]
impl NativeGuard {
    /// Judges records on so many threads, or one for each core. `next` gives lists of them, as JSON, until there are none. The first record that cannot be judged fails the whole batch.
    #[napi]
    pub fn check_batch(
        &self,
        next: Function<'_, (), Option<String>>,
        threads: Option<u32>,
    ) -> napi::Result<AsyncTask<Batch>> {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let threads = threads.map_or(cores, |threads| threads as usize).clamp(1, MAX_THREADS);
        let (to_workers, work) = channel();
        let work: Work = Arc::new(Mutex::new(work));
        let mut workers = Vec::new();
        let mut portions = 0;
        loop {
            match next.call(()) {
                Ok(Some(records)) => {
                    if workers.len() < threads {
                        let (guard, work) = (self.0.clone(), Arc::clone(&work));
                        workers.push(thread::spawn(move || judge_some(&guard, &work)));
                    }
                    // The workers listen until the sender is gone.
                    let _ = to_workers.send((portions, records));
                    portions += 1;
                }
                Ok(None) => return Ok(AsyncTask::new(Batch { workers, portions })),
                Err(error) => {
                    drop(to_workers);
                    lock(&work).try_iter().for_each(drop);
                    return Err(error);
                }
            }
        }
    }
}

fn lock(work: &Work) -> MutexGuard<'_, Receiver<(usize, String)>> {
    work.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What one thread makes of the portions it takes, with their numbers.
fn judge_some(guard: &Guard, work: &Work) -> Vec<(usize, Judged)> {
    let next = || lock(work).recv().ok();
    std::iter::from_fn(next).map(|(number, records)| (number, Packed::judge(guard, &records))).collect()
}

/// Verdicts of a portion, one after the other, so that the thread of JavaScript has little to do for each.
#[napi(object, object_from_js = false)]
pub struct Portion {
    /// Their wire forms.
    pub wire: Buffer,
    /// The places in them, as in `Placed`.
    pub units: Uint32Array,
    /// For each verdict, where it ends in `wire`, and where in `units`.
    pub ends: Uint32Array,
}

/// Records that are being judged.
pub struct Batch {
    workers: Vec<JoinHandle<Vec<(usize, Judged)>>>,
    portions: usize,
}

impl Task for Batch {
    type Output = Vec<Packed>;
    type JsValue = Vec<Portion>;

    fn compute(&mut self) -> napi::Result<Vec<Packed>> {
        let mut done = Vec::with_capacity(self.portions);
        for worker in self.workers.drain(..) {
            // A thread that panicked leaves its portions out, which the count below notices.
            done.extend(worker.join().unwrap_or_default());
        }
        if done.len() < self.portions {
            return Err(Failure::new("BL_INTERNAL", "a thread of the batch failed").into());
        }
        done.sort_unstable_by_key(|(number, _)| *number);
        let mut packed: Vec<Packed> = Vec::with_capacity(done.len());
        for (_, judged) in done {
            packed.push(judged.map_err(|(at, failure)| {
                failure.of_record(at + packed.iter().map(|before| before.ends.len() / 2).sum::<usize>())
            })?);
        }
        Ok(packed)
    }

    fn resolve(&mut self, _: Env, packed: Vec<Packed>) -> napi::Result<Vec<Portion>> {
        let portion =
            |it: Packed| Portion { wire: it.wire.into(), units: it.units.into(), ends: it.ends.into() };
        Ok(packed.into_iter().map(portion).collect())
    }
}

/// A portion before it is JavaScript's.
#[derive(Default)]
pub struct Packed {
    wire: Vec<u8>,
    units: Vec<u32>,
    ends: Vec<u32>,
}

impl Packed {
    fn judge(guard: &Guard, records: &str) -> Judged {
        let records: Vec<&RawValue> =
            serde_json::from_str(records).map_err(|error| (0, Failure::new("BL_INPUT", error)))?;
        let mut packed = Self::default();
        for (at, record) in records.into_iter().enumerate() {
            let put = |verdict: &Verdict, input: &Input<'_>| {
                // Writing to memory does not fail.
                let _ = serde_json::to_writer(&mut packed.wire, verdict);
                places(verdict, input, &mut packed.units);
                for length in [packed.wire.len(), packed.units.len()] {
                    packed.ends.push(u32::try_from(length).unwrap_or(u32::MAX));
                }
            };
            judge_with(guard, record.get(), put).map_err(|failure| (at, failure))?;
        }
        Ok(packed)
    }
}
