//! `brightline calibrate`: thresholds from a deployer's own benign traffic.

use crate::args::CalibrateArgs;
use crate::log::{self, Batch};
use crate::output::{self, BOLD, DIM, counted, styled};
use crate::{Outcome, Stop, check};
use brightline::classifier::{Kept, MODELS_VARIABLE, Recalibrated, Recalibration, TextScores};
use brightline::message::Surface;
use brightline::{Compiler, Guard, GuardOptions, Models, wire};
use serde::Serialize;
use std::io::Write;
use std::path::Path;

/// How many bytes of lines go to a worker at once: models read every line, so that few make a batch worth its way.
const BATCH_BYTES: usize = 16 << 10;

#[derive(Serialize)]
struct Output<'a> {
    models: Named<'a>,
    fpr: f64,
    records: u64,
    thresholds: &'a [Recalibrated],
    kept: &'a [Kept],
}

#[derive(Serialize)]
struct Named<'a> {
    folder: &'a Path,
    name: &'a str,
    version: &'a str,
    hash: &'a str,
}

pub(crate) fn run(args: &CalibrateArgs) -> Result<Outcome, Stop> {
    is_free(&args.output)?;
    let fail = |error: &dyn std::error::Error| Stop::Input(error.to_string());
    let folder = check::models_folder("default", &args.models).ok_or_else(|| {
        let places = format!("name their folder with `--models`, or in `{MODELS_VARIABLE}`");
        Stop::Input(format!("no models to calibrate: {places}"))
    })?;
    let models = check::load_models(&folder, &args.models)?;
    let mut recalibration = Recalibration::new(&models, args.fpr).map_err(|error| fail(&error))?;
    let guard = guard(models)?;
    let log = log::open(&args.input)?;
    let threads = log::threads(args.threads);
    let progress = log.progress(false);
    let name =
        if args.input.as_os_str() == "-" { "standard input".into() } else { args.input.to_string_lossy() };
    let mut records = 0;
    let work = |batch: &Batch| scores(&guard, batch);
    log::each(log, threads, BATCH_BYTES, &progress, work, |result| {
        let (count, texts) = result.map_err(|problem| Stop::Input(format!("`{name}` {problem}")))?;
        records += count;
        texts.iter().for_each(|(surface, scores)| recalibration.add(*surface, scores));
        Ok(())
    })?;
    progress.finish_and_clear();
    if records == 0 {
        return Err(Stop::Input(format!("`{name}` holds no records")));
    }
    let (thresholds, kept) = recalibration.thresholds();
    for Kept { surface, label, benign, reason } in &kept {
        let of = label.map_or_else(String::new, |label| format!("`{label}` of "));
        let count = usize::try_from(*benign).unwrap_or(usize::MAX);
        output::notice(&format!(
            "{of}`{surface}` keeps its thresholds: {}, {reason}",
            counted(count, "text")
        ));
    }
    if thresholds.is_empty() {
        return Err(Stop::Input("no threshold can be set from this log, and nothing was written".into()));
    }
    let saved = recalibration.save(&folder, &args.output).map_err(|error| fail(&error))?;
    let mut out = output::stdout();
    if args.json {
        let models =
            Named { folder: &args.output, name: saved.name(), version: saved.version(), hash: saved.hash() };
        let output = Output { models, fpr: args.fpr, records, thresholds: &thresholds, kept: &kept };
        serde_json::to_writer_pretty(&mut out, &output).map_err(std::io::Error::from)?;
        writeln!(out)?;
    } else {
        table(&mut out, &thresholds)?;
        let models = styled(BOLD, format!("{} {}", saved.name(), saved.version()));
        writeln!(out, "\n{models} in `{}`, at a rate of {}", args.output.display(), args.fpr)?;
        let hint = "artifacts that were compiled with other models refuse these: compile them again";
        writeln!(out, "{}", styled(DIM, hint))?;
    }
    out.flush()?;
    Ok(Outcome::Fine)
}

/// Whether models can be written here; asked before the log is read, for that may take hours.
fn is_free(path: &Path) -> Result<(), Stop> {
    let taken = |why: String| Stop::Input(format!("cannot write `{}`: {why}", path.display()));
    let mut entries = match std::fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(taken(error.to_string())),
    };
    match entries.next() {
        None => Ok(()),
        Some(_) => Err(taken("it is there and not empty; name a new folder".into())),
    }
}

/// A guard without clauses, which scores every label of every text.
fn guard(models: Models) -> Result<Guard, Stop> {
    let policy = Compiler::without_files().text("calibrate", "").into_policy();
    let policy = policy.map_err(|error| Stop::Input(error.to_string()))?;
    let options = GuardOptions { models: Some(models), scores: true, ..GuardOptions::default() };
    Guard::with(policy, options).map_err(|error| Stop::Input(error.to_string()))
}

/// The records of a batch, counted, and the scores of their texts; or which line cannot be scored, and why.
fn scores(guard: &Guard, batch: &Batch) -> Result<(u64, Vec<(Surface, TextScores)>), String> {
    let (mut records, mut texts) = (0, Vec::new());
    for (line, text) in batch.records() {
        let input = wire::parse(text).map_err(|error| format!("line {line}: {error}"))?;
        for (surface, scores) in guard.scores(&input).map_err(|error| format!("line {line}: {error}"))? {
            texts.push((surface, scores.map_err(|_| format!("line {line}: the models failed"))?));
        }
        records += 1;
    }
    Ok((records, texts))
}

fn table(out: &mut impl Write, thresholds: &[Recalibrated]) -> Result<(), Stop> {
    let width = thresholds.iter().map(|it| it.label.len()).max().unwrap_or(0);
    let head = format!(
        "{:width$}  {:11}  {:>8}  {:>10}  {:>8}  {:>10}  {:>8}",
        "label", "surface", "benign", "threshold", "above", "new", "above"
    );
    writeln!(out, "{}", styled(DIM, head))?;
    for it in thresholds {
        let share = |share: f64| format!("{:.2} %", share * 100.0);
        write!(
            out,
            "{:width$}  {:11}  {:>8}  {:>10.8}  {:>8}  {:>10.8}  {:>8}",
            it.label,
            it.surface.as_str(),
            it.benign,
            it.old_threshold,
            share(it.above_old),
            it.threshold,
            share(it.above)
        )?;
        if !it.moved.is_empty() {
            let rates: Vec<String> = it.moved.iter().map(f64::to_string).collect();
            write!(out, "  {}", styled(DIM, format!("and at {}", rates.join(", "))))?;
        }
        writeln!(out)?;
    }
    Ok(())
}
