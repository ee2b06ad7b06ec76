//! Many records on all cores: while this thread turns objects into records, the others judge those that are ready.

use crate::guard::judge;
use crate::record::Problem;
use crate::verdict::Verdict;
use brightline::Guard;
use brightline::wire::WireError;
use pyo3::prelude::*;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Mutex, PoisonError};
use std::thread;

/// How many records a thread takes at once.
const TAKE: usize = 16;

/// The most threads of one batch.
const MAX_THREADS: usize = 1024;

pub(crate) type Record = Result<Vec<u8>, WireError>;
pub(crate) type Judged = Result<Verdict, WireError>;

/// The verdicts of records, in their order. The first exception of the records' source ends it.
pub(crate) fn judge_all(
    py: Python<'_>,
    guard: &Guard,
    mut records: impl Iterator<Item = Result<Record, (usize, Problem)>>,
    threads: Option<usize>,
    keep_text: bool,
) -> Result<Vec<Judged>, (usize, Problem)> {
    let cores = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let (to_workers, work) = channel::<(usize, Vec<Record>)>();
    let work = Mutex::new(work);
    let mut done = thread::scope(|scope| {
        let worker = || scope.spawn(|| judge_some(guard, &work, keep_text));
        let workers: Vec<_> = (0..threads.unwrap_or(cores).clamp(1, MAX_THREADS)).map(|_| worker()).collect();
        let mut problem = None;
        for number in 0.. {
            let chunk: Result<Vec<Record>, _> = records.by_ref().take(TAKE).collect();
            match chunk {
                Ok(chunk) if chunk.is_empty() => break,
                // The workers listen until the sender is gone.
                Ok(chunk) => drop(to_workers.send((number, chunk))),
                Err(error) => {
                    problem = Some(error);
                    break;
                }
            }
        }
        drop(to_workers);
        let done: Vec<_> = py.detach(|| workers.into_iter().flat_map(joined).collect());
        problem.map_or(Ok(done), Err)
    })?;
    done.sort_unstable_by_key(|(number, _)| *number);
    Ok(done.into_iter().flat_map(|(_, judged)| judged).collect())
}

/// What a thread made; its panic goes on here, so that no verdict is missing in silence.
fn joined<T>(worker: thread::ScopedJoinHandle<'_, T>) -> T {
    worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// What one thread makes of the chunks it takes, with their numbers.
fn judge_some(
    guard: &Guard,
    work: &Mutex<Receiver<(usize, Vec<Record>)>>,
    keep_text: bool,
) -> Vec<(usize, Vec<Judged>)> {
    let next = || work.lock().unwrap_or_else(PoisonError::into_inner).recv().ok();
    let judged = |record: Record| record.and_then(|json| judge(guard, &json, keep_text));
    std::iter::from_fn(next)
        .map(|(number, records)| (number, records.into_iter().map(judged).collect()))
        .collect()
}
