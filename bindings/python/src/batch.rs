//! Many records on all cores: each thread takes the next few until none are left.

use crate::guard::judge;
use crate::verdict::Verdict;
use brightline::Guard;
use brightline::wire::WireError;
use std::sync::Mutex;
use std::thread;

/// How many records a thread takes at once.
const TAKE: usize = 16;

type Record = Result<Vec<u8>, WireError>;
type Judged = Result<Verdict, WireError>;

/// The verdicts of records, in their order.
pub(crate) fn judge_all(
    guard: &Guard,
    records: Vec<Record>,
    threads: Option<usize>,
    keep_text: bool,
) -> Vec<Judged> {
    let one = |record: Record| record.and_then(|json| judge(guard, &json, keep_text));
    let cores = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let threads = threads.unwrap_or(cores).clamp(1, records.len().div_ceil(TAKE).max(1));
    if threads == 1 {
        return records.into_iter().map(one).collect();
    }
    let mut judged: Vec<Option<Judged>> = Vec::new();
    judged.resize_with(records.len(), || None);
    let mut records = records;
    let work = Mutex::new(records.chunks_mut(TAKE).zip(judged.chunks_mut(TAKE)));
    let next = || work.lock().unwrap_or_else(std::sync::PoisonError::into_inner).next();
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some((records, judged)) = next() {
                    for (record, judged) in records.iter_mut().zip(judged) {
                        *judged = Some(one(std::mem::replace(record, Ok(Vec::new()))));
                    }
                }
            });
        }
    });
    // The scope ends when every chunk was taken and judged.
    judged.into_iter().flatten().collect()
}
