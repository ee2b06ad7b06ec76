//! `brightline inspect`: what a document holds.

use crate::args::InspectArgs;
use crate::output::{self, BOLD, DIM, counted, cut, styled};
use crate::{Outcome, Stop};
use brightline::compiler::{ClauseReport, Compiler};
use brightline::diagnostic::{Code, Diagnostic, Severity};
use brightline::span::Source;
use brightline::spec::{self, Label, Section};
use serde::Serialize;
use std::io::Write;
use std::sync::Arc;

#[derive(Serialize)]
struct Inspection {
    document: String,
    headings: usize,
    clauses: Vec<Clause>,
    examples: usize,
    comparisons: usize,
    answers: Answers,
    footnotes: usize,
    diagnostics: Vec<Diagnostic>,
}

#[derive(Default, Serialize)]
struct Answers {
    good: usize,
    bad: usize,
    ok: usize,
}

#[derive(Serialize)]
struct Clause {
    id: String,
    title: String,
    authority: String,
    kind: &'static str,
    line: u32,
    end_line: u32,
    tags: Vec<String>,
    examples: usize,
    footnotes: usize,
    /// How the document itself says the clause is enforced: `full`, `partial`, `none` or `unstated`.
    enforced: &'static str,
    /// By how many rules, and whether one of them needs a model.
    rules: usize,
    needs_model: bool,
}

pub(crate) fn run(args: &InspectArgs) -> Result<Outcome, Stop> {
    let shown = args.document.display().to_string();
    let text = std::fs::read(&args.document)
        .map_err(|error| Stop::Input(format!("cannot read `{shown}`: {error}")))?;
    let text = String::from_utf8(text).map_err(|error| {
        Stop::Input(format!("`{shown}` is not UTF-8 at byte {}", error.utf8_error().valid_up_to()))
    })?;
    let source = Arc::new(Source::new(shown.clone(), text));
    let parsed = spec::parse(&source);
    // A spec without rules is inspected as it is: that nothing says how its clauses are enforced is shown, not reported.
    let compiled = Compiler::new().file(&args.document);
    let quiet = [Code::ClauseNotEnforced, Code::ClauseNeedsModel, Code::ExampleNotJudged];
    let diagnostics: Vec<Diagnostic> =
        compiled.diagnostics.into_iter().filter(|it| !quiet.contains(&it.code)).collect();
    let reports = compiled.report.clauses;
    let document = parsed.document;
    let examples = || document.sections.iter().flat_map(|section| &section.examples);
    let count = |label| {
        let turns = examples().flat_map(|example| &example.turns);
        turns.filter(|turn| turn.judgment.as_ref().is_some_and(|it| it.label == label)).count()
    };
    let mut footnotes: Vec<&str> = document
        .sections
        .iter()
        .flat_map(|section| &section.footnotes)
        .map(|note| note.id.as_str())
        .collect();
    footnotes.sort_unstable();
    footnotes.dedup();
    let report_of = |section: &Section| {
        let id = section.attributes.id.as_ref()?;
        reports.iter().find(|report| report.id == id.value)
    };
    let inspection = Inspection {
        document: shown,
        headings: document.sections.len(),
        clauses: document
            .sections
            .iter()
            .filter_map(|section| Some(clause(section, report_of(section)?)))
            .collect(),
        examples: examples().count(),
        comparisons: examples().map(|example| example.comparisons as usize).sum(),
        answers: Answers { good: count(Label::Good), bad: count(Label::Bad), ok: count(Label::Ok) },
        footnotes: footnotes.len(),
        diagnostics,
    };
    let failed = inspection.diagnostics.iter().any(|it| it.severity() == Severity::Error);
    let mut out = output::stdout();
    if args.json {
        serde_json::to_writer_pretty(&mut out, &inspection).map_err(std::io::Error::from)?;
        writeln!(out)?;
    } else {
        show(&mut out, &inspection)?;
    }
    out.flush()?;
    Ok(if failed { Outcome::Findings } else { Outcome::Fine })
}

fn clause(section: &Section, report: &ClauseReport) -> Clause {
    let tags = section.attributes.get("tags").unwrap_or("");
    let fences = section.fences.iter().filter(|fence| fence.info == "examples");
    let lines = fences.flat_map(|fence| fence.text.lines()).filter(|line| !line.trim().is_empty()).count();
    Clause {
        id: report.id.clone(),
        title: section.title.clone(),
        authority: report.authority.to_string(),
        kind: report.kind.as_str(),
        line: section.line,
        end_line: section.end_line,
        tags: tags.split(',').map(str::trim).filter(|tag| !tag.is_empty()).map(str::to_string).collect(),
        examples: section.examples.len() + lines,
        footnotes: section.footnotes.len(),
        enforced: report.coverage,
        rules: report.rules,
        needs_model: report.needs_model,
    }
}

fn show(out: &mut impl Write, inspection: &Inspection) -> Result<(), Stop> {
    let Inspection { headings, clauses, examples, comparisons, answers, footnotes, .. } = inspection;
    writeln!(out, "{}", styled(BOLD, &inspection.document))?;
    writeln!(
        out,
        "{}, {}, {}",
        counted(*headings, "heading"),
        counted(clauses.len(), "clause"),
        counted(*footnotes, "footnote")
    )?;
    if *examples > 0 {
        let Answers { good, bad, ok } = answers;
        writeln!(
            out,
            "{examples} example blocks with {comparisons} comparisons: {good} GOOD, {bad} BAD, {ok} OK"
        )?;
    }
    writeln!(out)?;
    let width = clauses.iter().map(|clause| clause.id.len()).max().unwrap_or(0);
    writeln!(
        out,
        "{}",
        styled(
            DIM,
            format!(
                "{:>5}  {:width$}  {:9}  {:11}  {:8}  {:>8}  title",
                "line", "id", "authority", "kind", "enforced", "examples"
            )
        )
    )?;
    for clause in clauses {
        let tags =
            if clause.tags.is_empty() { String::new() } else { format!(" [{}]", clause.tags.join(",")) };
        writeln!(
            out,
            "{:>5}  {:width$}  {:9}  {:11}  {:8}  {:>8}  {}{tags}",
            clause.line,
            clause.id,
            clause.authority,
            clause.kind,
            clause.enforced,
            clause.examples,
            cut(&clause.title, 60)
        )?;
    }
    if !inspection.diagnostics.is_empty() {
        writeln!(out)?;
        output::diagnostics(out, &inspection.diagnostics, Severity::Note)?;
    }
    Ok(())
}
