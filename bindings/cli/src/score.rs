//! `brightline score`: a log through the guard, on all cores, in order, in bounded memory.
//!
//! ```text
//! reader -> batches of lines -> workers -> verdicts -> writer, which puts batches back in order
//! ```
//! The reader takes a permit for every batch and the writer gives it back, so a slow batch holds up the reader rather than
//! filling memory.

use crate::args::ScoreArgs;
use crate::output::{self, BOLD, DIM, counted, styled};
use crate::{Outcome, Stop, check};
use brightline::engine::CheckError;
use brightline::wire::{self, MAX_RECORD_BYTES, WireError};
use brightline::{Action, Guard, Verdict};
use crossbeam_channel::{Receiver, Sender, bounded};
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, IsTerminal, Read, Write};
use std::path::Path;
use std::time::Instant;

/// How many bytes of lines go to a worker at once.
const BATCH_BYTES: usize = 256 << 10;
/// How many batches may be under way for each worker.
const BATCHES_PER_WORKER: usize = 4;

/// Lines on their way to a worker.
struct Batch {
    number: u64,
    first_line: u64,
    lines: Vec<u8>,
}

/// Their verdicts on the way to the writer.
struct Done {
    number: u64,
    out: Vec<u8>,
    read: usize,
    tally: Tally,
}

/// What the records came to.
#[derive(Default)]
struct Tally {
    records: u64,
    errors: u64,
    bytes: u64,
    degraded: u64,
    actions: BTreeMap<Action, u64>,
    clauses: HashMap<String, u64>,
}

#[derive(Serialize)]
struct ErrorRecord<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    line: u64,
    error: ErrorText<'a>,
}

#[derive(Serialize)]
struct ErrorText<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    path: &'a str,
    message: &'a str,
}

pub(crate) fn run(args: &ScoreArgs) -> Result<Outcome, Stop> {
    let guard = check::guard(&args.policy, args.scores)?;
    let (input, size) = open(&args.input)?;
    let output: Box<dyn Write + Send> = match &args.output {
        Some(path) => {
            let create = File::create(path);
            Box::new(
                create.map_err(|error| Stop::Input(format!("cannot write `{}`: {error}", path.display())))?,
            )
        }
        None => Box::new(std::io::stdout()),
    };
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let threads = args.threads.map_or(cores, usize::from);
    let progress = progress(size, args.quiet);
    let started = Instant::now();
    let timing = !args.no_timing;
    let tally = pipeline(&guard, input, BufWriter::new(output), threads, timing, &progress)?;
    progress.finish_and_clear();
    if !args.quiet {
        summary(&tally, started.elapsed().as_secs_f64(), threads);
        if let Some(line) = check::about_models(&guard) {
            output::notice(&styled(DIM, format!("  {line}")));
        }
    }
    Ok(if tally.errors > 0 {
        Outcome::BadInput
    } else if tally.actions.keys().any(|action| *action > Action::Allow) {
        Outcome::Findings
    } else {
        Outcome::Fine
    })
}

fn open(path: &Path) -> Result<(Box<dyn Read + Send>, Option<u64>), Stop> {
    if path.as_os_str() == "-" {
        return Ok((Box::new(std::io::stdin()), None));
    }
    let fail = |error: std::io::Error| Stop::Input(format!("cannot read `{}`: {error}", path.display()));
    let file = File::open(path).map_err(fail)?;
    let data = file.metadata().map_err(fail)?;
    if data.is_dir() {
        return Err(Stop::Input(format!("cannot read `{}`: it is a directory", path.display())));
    }
    Ok((Box::new(file), data.is_file().then_some(data.len())))
}

fn progress(size: Option<u64>, quiet: bool) -> indicatif::ProgressBar {
    match size {
        Some(size) if !quiet && std::io::stderr().is_terminal() => {
            let bar = indicatif::ProgressBar::new(size);
            let style = indicatif::ProgressStyle::with_template(
                "{bar:40} {bytes}/{total_bytes} {bytes_per_sec} {eta}",
            );
            bar.with_style(style.unwrap_or_else(|_| indicatif::ProgressStyle::default_bar()))
        }
        _ => indicatif::ProgressBar::hidden(),
    }
}

fn pipeline(
    guard: &Guard,
    input: Box<dyn Read + Send>,
    mut output: impl Write,
    threads: usize,
    timing: bool,
    progress: &indicatif::ProgressBar,
) -> Result<Tally, Stop> {
    let (permits_out, permits_in) = bounded::<()>(threads * BATCHES_PER_WORKER);
    for _ in 0..threads * BATCHES_PER_WORKER {
        if permits_out.send(()).is_err() {
            break;
        }
    }
    let (batches_out, batches_in) = bounded::<Batch>(threads * BATCHES_PER_WORKER);
    let (done_out, done_in) = bounded::<Done>(threads * BATCHES_PER_WORKER);
    std::thread::scope(|scope| {
        let reader = scope.spawn(move || read(input, &permits_in, &batches_out));
        for _ in 0..threads {
            let (batches, done) = (batches_in.clone(), done_out.clone());
            scope.spawn(move || work(guard, &batches, &done, timing));
        }
        drop((batches_in, done_out));
        let written = write(&mut output, done_in, permits_out, progress);
        let read = reader.join().unwrap_or_else(|_| Err(std::io::Error::other("the reader stopped")));
        let tally = written?;
        read.map_err(|error| Stop::Input(format!("reading stopped: {error}")))?;
        Ok(tally)
    })
}

/// Cuts the input into batches of whole lines.
fn read(input: Box<dyn Read + Send>, permits: &Receiver<()>, batches: &Sender<Batch>) -> std::io::Result<()> {
    let mut input = BufReader::with_capacity(1 << 20, input);
    let (mut number, mut line) = (0, 1);
    let mut batch = Batch { number, first_line: line, lines: Vec::with_capacity(BATCH_BYTES * 2) };
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
        if (ended && !batch.lines.is_empty()) || batch.lines.len() >= BATCH_BYTES {
            number += 1;
            let next = Batch { number, first_line: line, lines: Vec::with_capacity(BATCH_BYTES * 2) };
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

fn work(guard: &Guard, batches: &Receiver<Batch>, done: &Sender<Done>, timing: bool) {
    for batch in batches {
        let mut out = Vec::with_capacity(batch.lines.len());
        let mut tally = Tally::default();
        let lines = batch.lines.strip_suffix(b"\n").unwrap_or(&batch.lines);
        for (line, text) in (batch.first_line..).zip(lines.split(|byte| *byte == b'\n')) {
            if !text.iter().all(u8::is_ascii_whitespace) {
                judge(guard, line, text, timing, &mut out, &mut tally);
            }
        }
        let result = Done { number: batch.number, out, read: batch.lines.len(), tally };
        if done.send(result).is_err() {
            return;
        }
    }
}

/// Judges one line and writes its verdict, or why there is none.
fn judge(guard: &Guard, line: u64, text: &[u8], timing: bool, out: &mut Vec<u8>, tally: &mut Tally) {
    tally.records += 1;
    tally.bytes += text.len() as u64;
    let (id, error) = match wire::parse(text) {
        Ok(input) => match guard.check(&input) {
            Ok(mut verdict) => {
                if !timing {
                    verdict.elapsed_us = 0;
                }
                tally.count(&verdict);
                // Writing to memory does not fail.
                let _ = serde_json::to_writer(&mut *out, &verdict);
                out.push(b'\n');
                return;
            }
            Err(error) => {
                let path = match &error {
                    CheckError::NoMessages => "messages",
                    CheckError::TargetOutOfRange { .. } => "target",
                    _ => "settings",
                };
                let error = WireError { path: path.to_string(), message: error.to_string() };
                (input.id.map(|id| id.into_owned()), error)
            }
        },
        Err(error) => (wire::id(text), error),
    };
    tally.errors += 1;
    let record = ErrorRecord {
        id: id.as_deref(),
        line,
        error: ErrorText { path: &error.path, message: &error.message },
    };
    let _ = serde_json::to_writer(&mut *out, &record);
    out.push(b'\n');
}

impl Tally {
    fn count(&mut self, verdict: &Verdict) {
        *self.actions.entry(verdict.action).or_default() += 1;
        if !verdict.failures.is_empty() || verdict.undecided().next().is_some() {
            self.degraded += 1;
        }
        for finding in &verdict.findings {
            let Some(clause) = verdict.clause_of(finding) else { continue };
            match self.clauses.get_mut(&clause.id) {
                Some(count) => *count += 1,
                None => {
                    self.clauses.insert(clause.id.clone(), 1);
                }
            }
        }
    }

    fn add(&mut self, other: Self) {
        self.records += other.records;
        self.errors += other.errors;
        self.bytes += other.bytes;
        self.degraded += other.degraded;
        for (action, count) in other.actions {
            *self.actions.entry(action).or_default() += count;
        }
        for (clause, count) in other.clauses {
            *self.clauses.entry(clause).or_default() += count;
        }
    }
}

/// Writes batches in the order of their numbers.
fn write(
    output: &mut impl Write,
    done: Receiver<Done>,
    permits: Sender<()>,
    progress: &indicatif::ProgressBar,
) -> Result<Tally, Stop> {
    let mut total = Tally::default();
    let mut waiting: BTreeMap<u64, Done> = BTreeMap::new();
    let mut next = 0;
    for result in done {
        waiting.insert(result.number, result);
        while let Some(result) = waiting.remove(&next) {
            output.write_all(&result.out)?;
            progress.inc(result.read as u64);
            total.add(result.tally);
            next += 1;
            // The reader may have finished and gone.
            let _ = permits.try_send(());
        }
    }
    output.flush()?;
    Ok(total)
}

fn summary(tally: &Tally, seconds: f64, threads: usize) {
    let Tally { records, errors, bytes, degraded, .. } = tally;
    #[expect(clippy::cast_precision_loss, reason = "shown with one decimal")]
    let (rate, speed) = (*records as f64 / seconds.max(1e-9), *bytes as f64 / 1e6 / seconds.max(1e-9));
    output::notice(&format!(
        "{} in {seconds:.2} s on {threads} threads ({rate:.0} a second, {speed:.1} MB/s)",
        styled(BOLD, format!("{records} records"))
    ));
    let actions: Vec<String> = tally
        .actions
        .iter()
        .rev()
        .map(|(action, count)| format!("{} {count}", styled(output::of(*action), action)))
        .collect();
    output::notice(&format!("  {}", actions.join("   ")));
    let mut clauses: Vec<(&String, &u64)> = tally.clauses.iter().collect();
    clauses.sort_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));
    for (clause, count) in clauses.iter().take(10) {
        output::notice(&format!("  {count:>6}  {clause}"));
    }
    if clauses.len() > 10 {
        output::notice(&styled(DIM, format!("          and {} more clauses", clauses.len() - 10)));
    }
    if *degraded > 0 {
        output::notice(&format!(
            "  {degraded} verdicts are degraded: they list the clauses that could not be decided"
        ));
    }
    if *errors > 0 {
        output::error(&format!(
            "{} could not be judged; the records hold `error` and `line`",
            counted(usize::try_from(*errors).unwrap_or(usize::MAX), "line")
        ));
    }
}
