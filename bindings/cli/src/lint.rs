//! `brightline lint` and `brightline compile`.

use crate::args::{CompileArgs, LintArgs};
use crate::output::{self, BOLD, DIM, counted, styled};
use crate::{Outcome, Stop, check};
use brightline::classifier::Quality;
use brightline::compiler::{ClauseReport, Compiled, Edit, Liftable, PointReport};
use brightline::diagnostic::{Code, Diagnostic, Severity};
use brightline::policy::Kind;
use brightline::span::Source;
use brightline::{Models, Policy, artifact};
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

#[derive(Serialize)]
struct Output<'a> {
    policy: Option<Named<'a>>,
    errors: usize,
    warnings: usize,
    notes: usize,
    diagnostics: &'a [Diagnostic],
    clauses: Vec<ClauseOutput<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    operating_points: Option<Vec<PointReport>>,
}

#[derive(Serialize)]
struct ClauseOutput<'a> {
    #[serde(flatten)]
    report: &'a ClauseReport,
    /// Who can lift it, by themselves and with a grant.
    lifted_by: &'a [&'static str],
    lifted_with_grant_by: &'a [&'static str],
}

#[derive(Serialize)]
struct Named<'a> {
    name: &'a str,
    version: &'a str,
    hash: &'a str,
}

pub(crate) fn run(args: &LintArgs) -> Result<Outcome, Stop> {
    if check::is_artifact(&args.policy) {
        return Err(Stop::Input(
            "lint reads policy documents; an artifact has been checked when it was compiled".into(),
        ));
    }
    let models = check::models(&args.policy, &args.models)?;
    let mut compiled = check::compile(&args.policy, models.as_ref())?;
    if let Some(path) = &args.against {
        let shown = path.display().to_string();
        let text = std::fs::read_to_string(path)
            .map_err(|error| Stop::Input(format!("cannot read `{shown}`: {error}")))?;
        let published = Arc::new(Source::new(&shown, text));
        let mut against = compiled.against(&published);
        if against.compared == 0 {
            let cited = match against.cited.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>() {
                names if names.is_empty() => "no document".to_string(),
                names => names.join(", "),
            };
            return Err(Stop::Input(format!(
                "nothing to compare: documents are matched by file name, and the clauses of `{}` cite {cited}, not `{shown}`",
                args.policy
            )));
        }
        if args.write {
            apply(&against.edits)?;
            output::notice(&format!(
                "{} brought up to date",
                counted(against.edits.len(), "source reference")
            ));
            compiled = check::compile(&args.policy, models.as_ref())?;
            against = compiled.against(&published);
        }
        compiled.diagnostics.extend(against.diagnostics);
    }
    let count = |severity| compiled.diagnostics.iter().filter(|it| it.severity() == severity).count();
    let (errors, warnings, notes) = (count(Severity::Error), count(Severity::Warning), count(Severity::Note));
    let lifts = compiled.lifts();
    let mut out = output::stdout();
    if args.json {
        let policy = compiled.policy.as_ref();
        let output = Output {
            policy: policy.map(|it| Named { name: it.name(), version: it.version(), hash: it.hash() }),
            errors,
            warnings,
            notes,
            diagnostics: &compiled.diagnostics,
            clauses: compiled
                .report
                .clauses
                .iter()
                .zip(&lifts)
                .map(|(report, lift)| ClauseOutput {
                    report,
                    lifted_by: &lift.by,
                    lifted_with_grant_by: &lift.with_grant,
                })
                .collect(),
            operating_points: policy
                .zip(models.as_ref())
                .map(|(policy, models)| policy.operating_points(models)),
        };
        serde_json::to_writer_pretty(&mut out, &output).map_err(std::io::Error::from)?;
        writeln!(out)?;
    } else {
        let least = if args.verbose { Severity::Note } else { Severity::Warning };
        output::diagnostics(&mut out, &compiled.diagnostics, least)?;
        report(&mut out, &compiled, &lifts, args.verbose)?;
        if let (Some(policy), Some(models)) = (&compiled.policy, &models) {
            thresholds(&mut out, policy, models)?;
            likes(&mut out, &compiled)?;
        }
        writeln!(
            out,
            "{}, {}, {}",
            counted(errors, "error"),
            counted(warnings, "warning"),
            counted(notes, "note")
        )?;
    }
    out.flush()?;
    let bad = errors > 0 || (args.strict && warnings > 0);
    Ok(if bad { Outcome::Findings } else { Outcome::Fine })
}

fn report(out: &mut impl Write, compiled: &Compiled, lifts: &[Liftable], verbose: bool) -> Result<(), Stop> {
    let clauses = &compiled.report.clauses;
    if let Some(policy) = &compiled.policy {
        let hash = policy.hash().get(..12).unwrap_or_default();
        writeln!(out, "{} {} {}", styled(BOLD, policy.name()), policy.version(), styled(DIM, hash))?;
    }
    let words = ["full", "partial", "none", "unstated"];
    let coverage: Vec<String> =
        words.iter().map(|word| format!("{} {word}", compiled.report.count(word))).collect();
    let (hits, misses) =
        clauses.iter().fold((0, 0), |sum, clause| (sum.0 + clause.hits, sum.1 + clause.misses));
    writeln!(out, "{}: {}", counted(clauses.len(), "clause"), coverage.join(", "))?;
    let open = compiled.diagnostics.iter().filter(|it| it.code == Code::ExampleNotJudged).count();
    let open = if open > 0 { format!(", {open} of them not decided without a model") } else { String::new() };
    writeln!(out, "{hits} examples that must hit, {misses} that must not{open}")?;
    let all = || clauses.iter().zip(lifts);
    let hard: Vec<&Liftable> = all().filter(|(clause, _)| clause.kind == Kind::Hard).map(|it| it.1).collect();
    if !hard.is_empty() {
        let lifted: Vec<&str> =
            hard.iter().filter(|lift| !lift.never()).map(|lift| lift.clause.as_str()).collect();
        let tried: usize = hard.iter().map(|lift| lift.tried).sum();
        if lifted.is_empty() {
            writeln!(
                out,
                "no settings lift {} (proved over {tried} combinations)",
                counted(hard.len(), "hard clause")
            )?;
        } else {
            writeln!(out, "settings lift hard clauses: {}", lifted.join(", "))?;
        }
    }
    let models = clauses.iter().filter(|clause| clause.needs_model).count();
    if models > 0 && compiled.policy.as_ref().is_none_or(|policy| policy.data().calibrated.is_none()) {
        writeln!(out, "without a model not judged in full: {}", counted(models, "clause"))?;
    }
    if verbose {
        each(out, all())?;
    } else {
        let mut by: BTreeMap<String, usize> = BTreeMap::new();
        for (clause, lift) in all().filter(|(clause, _)| !matches!(clause.kind, Kind::Hard | Kind::Exception))
        {
            *by.entry(who(clause, lift)).or_default() += 1;
        }
        for (who, count) in by {
            writeln!(out, "{}", styled(DIM, format!("  {:>11}: {who}", counted(count, "clause"))))?;
        }
    }
    Ok(())
}

/// What the models make of the operating points that the policy asks for.
fn thresholds(out: &mut impl Write, policy: &Policy, models: &Models) -> Result<(), Stop> {
    let points = policy.operating_points(models);
    let count = counted(points.len(), "operating point");
    let hash = models.hash().get(..12).unwrap_or_default();
    writeln!(out, "{count} with the models {} {} {}", models.name(), models.version(), styled(DIM, hash))?;
    let width = points.iter().map(|point| point.clause.len()).max().unwrap_or(0);
    for PointReport { clause, label, surface, fpr, threshold } in &points {
        let recall =
            threshold.nearest.recall.map_or_else(|| "unknown".to_string(), |recall| format!("{recall:.2}"));
        let mut notes = String::new();
        if threshold.measured_on != Some(*surface) {
            let on = threshold.measured_on.map_or("all surfaces together", |surface| surface.as_str());
            notes.push_str(&format!(", measured on {on}"));
        }
        #[expect(clippy::cast_precision_loss, reason = "a count of texts")]
        if !threshold.within || threshold.nearest.benign as f64 * fpr < 1.0 {
            notes.push_str(", too few benign texts for this rate");
        }
        writeln!(
            out,
            "  {clause:width$}  {label} on {surface}: {:.4} at {fpr}, recall {recall}, {} benign texts{notes}",
            threshold.value, threshold.nearest.benign
        )?;
    }
    Ok(())
}

/// How what was fitted to the examples of a clause does on examples that it has not seen.
fn likes(out: &mut impl Write, compiled: &Compiled) -> Result<(), Stop> {
    let fitted = || compiled.report.clauses.iter().filter_map(|clause| Some((&clause.id, clause.like?)));
    if fitted().next().is_some() {
        writeln!(out, "{}, each example judged by the others", counted(fitted().count(), "fitted `like`"))?;
    }
    let width = fitted().map(|(id, _)| id.len()).max().unwrap_or(0);
    for (id, Quality { hits, hits_right, misses, misses_right, auroc }) in fitted() {
        writeln!(
            out,
            "  {id:width$}  {hits_right} of {hits} bad and {misses_right} of {misses} good ones right, AUROC {auroc:.2}"
        )?;
    }
    Ok(())
}

fn who(clause: &ClauseReport, liftable: &Liftable) -> String {
    match (clause.kind, liftable.never()) {
        (Kind::Exception, _) => "lifts findings of others".to_string(),
        (_, true) => "nobody can lift it".to_string(),
        _ if liftable.with_grant.is_empty() => format!("lifted by {}", liftable.by.join(", ")),
        _ if liftable.by.is_empty() => format!("with a grant lifted by {}", liftable.with_grant.join(", ")),
        _ => format!(
            "lifted by {}; with a grant by {}",
            liftable.by.join(", "),
            liftable.with_grant.join(", ")
        ),
    }
}

fn each<'a>(
    out: &mut impl Write,
    clauses: impl Iterator<Item = (&'a ClauseReport, &'a Liftable)> + Clone,
) -> Result<(), Stop> {
    let width = clauses.clone().map(|(clause, _)| clause.id.len()).max().unwrap_or(0);
    for (clause, lift) in clauses {
        let model = if clause.needs_model { ", needs a model" } else { "" };
        writeln!(
            out,
            "  {:width$}  {:9}  {:11}  {}{model}; {}",
            clause.id,
            clause.authority.as_str(),
            clause.kind.as_str(),
            clause.coverage,
            who(clause, lift)
        )?;
        if let Some(reason) = &clause.reason {
            writeln!(out, "{}", styled(DIM, format!("  {:width$}  {reason}", "")))?;
        }
    }
    Ok(())
}

/// Writes edits to the documents they are for, the last one first so that places stay right.
fn apply(edits: &[Edit]) -> Result<(), Stop> {
    let mut by_document: BTreeMap<&str, Vec<&Edit>> = BTreeMap::new();
    for edit in edits {
        by_document.entry(edit.document.name()).or_default().push(edit);
    }
    for (name, mut edits) in by_document {
        if !Path::new(name).is_file() {
            return Err(Stop::Input(format!("cannot write `{name}`: name the policy by its path")));
        }
        edits.sort_by_key(|edit| std::cmp::Reverse(edit.span.start));
        let mut text = edits.first().map(|edit| edit.document.text().to_string()).unwrap_or_default();
        for edit in edits {
            text.replace_range(edit.span.range(), &edit.text);
        }
        std::fs::write(name, text).map_err(|error| Stop::Input(format!("cannot write `{name}`: {error}")))?;
    }
    Ok(())
}

pub(crate) fn compile(args: &CompileArgs) -> Result<Outcome, Stop> {
    if check::is_artifact(&args.policy) {
        return Err(Stop::Input(format!("`{}` is compiled already", args.policy)));
    }
    let models = check::models(&args.policy, &args.models)?;
    let policy = check::policy(&args.policy, models.as_ref())?;
    let bytes = artifact::encode(&policy);
    let shown = args.output.display();
    std::fs::write(&args.output, &bytes)
        .map_err(|error| Stop::Input(format!("cannot write `{shown}`: {error}")))?;
    output::notice(&format!(
        "{shown}: {} {}, {} clauses, {} bytes, hash {}",
        policy.name(),
        policy.version(),
        policy.clauses().len(),
        bytes.len(),
        policy.hash()
    ));
    Ok(Outcome::Fine)
}
