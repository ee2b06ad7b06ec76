//! A log, line by line: on all cores, in order, in bounded memory.
//!
//! ```text
//! reader -> batches of lines -> workers -> results -> taker, which gets them in the order of the lines
//! ```
//! The reader takes a permit for every batch and the taker gives it back, so a slow batch holds up the reader rather than
//! filling memory.

use crate::Stop;
use brightline::wire::MAX_RECORD_BYTES;
use crossbeam_channel::{Receiver, Sender, bounded};
use indicatif::{ProgressBar, ProgressStyle};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, IsTerminal, Read};
use std::path::Path;

/// How many batches may be under way for each worker.
const BATCHES_PER_WORKER: usize = 4;

/// A log to be read, and its size in bytes where that is known.
pub(crate) struct Log {
    input: Box<dyn Read + Send>,
    size: Option<u64>,
}

/// Opens a log; `-` is standard input.
pub(crate) fn open(path: &Path) -> Result<Log, Stop> {
    if path.as_os_str() == "-" {
        return Ok(Log { input: Box::new(std::io::stdin()), size: None });
    }
    let fail = |error: std::io::Error| Stop::Input(format!("cannot read `{}`: {error}", path.display()));
    let file = File::open(path).map_err(fail)?;
    let data = file.metadata().map_err(fail)?;
    if data.is_dir() {
        return Err(Stop::Input(format!("cannot read `{}`: it is a directory", path.display())));
    }
    Ok(Log { input: Box::new(file), size: data.is_file().then_some(data.len()) })
}

impl Log {
    /// A bar in bytes of the log, hidden where it would not be seen.
    pub(crate) fn progress(&self, quiet: bool) -> ProgressBar {
        match self.size {
            Some(size) if !quiet && std::io::stderr().is_terminal() => {
                let style =
                    ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes} {bytes_per_sec} {eta}");
                ProgressBar::new(size).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
            }
            _ => ProgressBar::hidden(),
        }
    }
}

/// How many threads to use: as many as asked for, else one for each core.
pub(crate) fn threads(asked: Option<u16>) -> usize {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    asked.map_or(cores, usize::from)
}

/// Lines on their way to a worker.
pub(crate) struct Batch {
    number: u64,
    first_line: u64,
    lines: Vec<u8>,
}

impl Batch {
    pub(crate) fn bytes(&self) -> usize {
        self.lines.len()
    }

    /// The lines that are not blank, each with its number, which counts from 1.
    pub(crate) fn records(&self) -> impl Iterator<Item = (u64, &[u8])> {
        let lines = self.lines.strip_suffix(b"\n").unwrap_or(&self.lines);
        let numbered = (self.first_line..).zip(lines.split(|byte| *byte == b'\n'));
        numbered.filter(|(_, text)| !text.iter().all(u8::is_ascii_whitespace))
    }
}

/// What a worker made of a batch.
struct Done<T> {
    number: u64,
    read: usize,
    result: T,
}

/// Lets `threads` workers loose on a log, `batch_bytes` of lines at a time, and gives what they make of each batch to `take`,
/// in the order of the lines. An error of `take` ends it.
pub(crate) fn each<T: Send>(
    log: Log,
    threads: usize,
    batch_bytes: usize,
    progress: &ProgressBar,
    work: impl Fn(&Batch) -> T + Sync,
    take: impl FnMut(T) -> Result<(), Stop>,
) -> Result<(), Stop> {
    let (permits_out, permits_in) = bounded::<()>(threads * BATCHES_PER_WORKER);
    for _ in 0..threads * BATCHES_PER_WORKER {
        if permits_out.send(()).is_err() {
            break;
        }
    }
    let (batches_out, batches_in) = bounded::<Batch>(threads * BATCHES_PER_WORKER);
    let (done_out, done_in) = bounded::<Done<T>>(threads * BATCHES_PER_WORKER);
    std::thread::scope(|scope| {
        let reader = scope.spawn(move || read(log.input, batch_bytes, &permits_in, &batches_out));
        for _ in 0..threads {
            let (batches, done, work) = (batches_in.clone(), done_out.clone(), &work);
            scope.spawn(move || {
                for batch in batches {
                    let Batch { number, ref lines, .. } = batch;
                    if done.send(Done { number, read: lines.len(), result: work(&batch) }).is_err() {
                        return;
                    }
                }
            });
        }
        drop((batches_in, done_out));
        let taken = in_order(done_in, permits_out, progress, take);
        let read = reader.join().unwrap_or_else(|_| Err(std::io::Error::other("the reader stopped")));
        taken?;
        read.map_err(|error| Stop::Input(format!("reading stopped: {error}")))
    })
}

/// Takes results in the order of their numbers.
fn in_order<T>(
    done: Receiver<Done<T>>,
    permits: Sender<()>,
    progress: &ProgressBar,
    mut take: impl FnMut(T) -> Result<(), Stop>,
) -> Result<(), Stop> {
    let mut waiting: BTreeMap<u64, Done<T>> = BTreeMap::new();
    let mut next = 0;
    for result in done {
        waiting.insert(result.number, result);
        while let Some(Done { result, read, .. }) = waiting.remove(&next) {
            take(result)?;
            progress.inc(read as u64);
            next += 1;
            // The reader may have finished and gone.
            let _ = permits.try_send(());
        }
    }
    Ok(())
}

/// Cuts the input into batches of whole lines.
fn read(
    input: Box<dyn Read + Send>,
    batch_bytes: usize,
    permits: &Receiver<()>,
    batches: &Sender<Batch>,
) -> std::io::Result<()> {
    let mut input = BufReader::with_capacity(1 << 20, input);
    let (mut number, mut line) = (0, 1);
    let mut batch = Batch { number, first_line: line, lines: Vec::with_capacity(batch_bytes * 2) };
    loop {
        let before = batch.lines.len();
        // A line that is too long is cut just past the limit, so that the worker reports it; the rest is skipped.
        let limit = MAX_RECORD_BYTES as u64 + 2;
        let read = input.by_ref().take(limit).read_until(b'\n', &mut batch.lines)?;
        if read as u64 == limit && batch.lines.last() != Some(&b'\n') {
            skip_line(&mut input)?;
            batch.lines.push(b'\n');
        }
        let ended = batch.lines.len() == before;
        if !ended {
            line += 1;
            if batch.lines.last() != Some(&b'\n') {
                batch.lines.push(b'\n');
            }
        }
        if (ended && !batch.lines.is_empty()) || batch.lines.len() >= batch_bytes {
            number += 1;
            let next = Batch { number, first_line: line, lines: Vec::with_capacity(batch_bytes * 2) };
            let full = std::mem::replace(&mut batch, next);
            if permits.recv().is_err() || batches.send(full).is_err() {
                return Ok(());
            }
        }
        if ended {
            return Ok(());
        }
    }
}

fn skip_line(input: &mut impl BufRead) -> std::io::Result<()> {
    loop {
        let buffer = input.fill_buf()?;
        if buffer.is_empty() {
            return Ok(());
        }
        match buffer.iter().position(|byte| *byte == b'\n') {
            Some(at) => {
                input.consume(at + 1);
                return Ok(());
            }
            None => {
                let len = buffer.len();
                input.consume(len);
            }
        }
    }
}
