//! `brightline score`: a log through the guard, on all cores, in order, in bounded memory.

use crate::args::ScoreArgs;
use crate::output::{self, BOLD, DIM, counted, styled};
use crate::{Outcome, Stop, check, log};
use brightline::engine::CheckError;
use brightline::wire::{self, WireError};
use brightline::{Action, Guard, Verdict};
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::time::Instant;

/// How many bytes of lines go to a worker at once.
const BATCH_BYTES: usize = 256 << 10;

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
    let log = log::open(&args.input)?;
    let output: Box<dyn Write + Send> = match &args.output {
        Some(path) => {
            let create = File::create(path);
            Box::new(
                create.map_err(|error| Stop::Input(format!("cannot write `{}`: {error}", path.display())))?,
            )
        }
        None => Box::new(std::io::stdout()),
    };
    let mut output = BufWriter::new(output);
    let threads = log::threads(args.threads);
    let progress = log.progress(args.quiet);
    let started = Instant::now();
    let mut tally = Tally::default();
    let work = |batch: &log::Batch| work(&guard, batch, !args.no_timing);
    log::each(log, threads, BATCH_BYTES, &progress, work, |(out, counted)| {
        output.write_all(&out)?;
        tally.add(counted);
        Ok(())
    })?;
    output.flush()?;
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

/// The verdicts of a batch of lines, and what they came to.
fn work(guard: &Guard, batch: &log::Batch, timing: bool) -> (Vec<u8>, Tally) {
    let mut out = Vec::with_capacity(batch.bytes());
    let mut tally = Tally::default();
    for (line, text) in batch.records() {
        judge(guard, line, text, timing, &mut out, &mut tally);
    }
    (out, tally)
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
