//! Many records on all cores.

use crate::error::Failure;
use crate::guard::NativeGuard;
use crate::judged::{Judged, judge};
use brightline::Guard;
use napi::bindgen_prelude::AsyncTask;
use napi::{Env, Task};
use napi_derive::napi;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// How many records a thread takes at once: enough that taking costs nothing, few enough that threads end together.
const PORTION: usize = 32;

#[napi]
impl NativeGuard {
    /// Judges records, one a line, on so many threads, or one for each core. The first record that cannot be judged fails
    /// the whole batch.
    #[napi]
    pub fn check_batch(&self, records: String, threads: Option<u32>) -> AsyncTask<Batch> {
        AsyncTask::new(Batch { guard: self.0.clone(), records, threads })
    }
}

/// Records to be judged on all cores.
pub struct Batch {
    guard: Guard,
    records: String,
    threads: Option<u32>,
}

impl Task for Batch {
    type Output = Vec<Judged>;
    type JsValue = Vec<Judged>;

    fn compute(&mut self) -> napi::Result<Vec<Judged>> {
        let records: Vec<&str> = self.records.lines().collect();
        let portions: Vec<&[&str]> = records.chunks(PORTION).collect();
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let threads = self.threads.map_or(cores, |threads| threads as usize).clamp(1, portions.len().max(1));
        let next = AtomicUsize::new(0);
        let work = || {
            let mut done = Vec::new();
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let Some(portion) = portions.get(at) else { return done };
                done.push((at, portion.iter().map(|record| judge(&self.guard, record)).collect::<Vec<_>>()));
            }
        };
        let mut done = thread::scope(|scope| {
            let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
            let mut done = work();
            for other in others {
                // A thread that panicked leaves its portions out, which the count below notices.
                done.extend(other.join().unwrap_or_default());
            }
            done
        });
        done.sort_unstable_by_key(|(at, _)| *at);
        if done.len() < portions.len() {
            return Err(Failure::new("BL_INTERNAL", "a thread of the batch failed").into());
        }
        let judged = done.into_iter().flat_map(|(_, judged)| judged).enumerate();
        Ok(judged
            .map(|(index, judged)| judged.map_err(|failure| failure.of_record(index)))
            .collect::<Result<_, _>>()?)
    }

    fn resolve(&mut self, _: Env, judged: Vec<Judged>) -> napi::Result<Vec<Judged>> {
        Ok(judged)
    }
}
