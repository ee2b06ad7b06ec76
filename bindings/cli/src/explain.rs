//! `brightline explain`: a verdict for a person to read.

use crate::args::ExplainArgs;
use crate::output::{self, BOLD, DIM, EVIDENCE, styled, wrap};
use crate::{Outcome, Stop, check};
use brightline::message::{Message, Part, Role, Surface};
use brightline::verdict::{EvidenceSpan, Field, Finding};
use brightline::{Action, Input, Verdict};
use std::borrow::Cow;
use std::io::{Read, Write};

const WIDTH: usize = 96;

pub(crate) fn run(args: &ExplainArgs) -> Result<Outcome, Stop> {
    let guard = check::guard(&args.policy, args.scores)?;
    let text = if args.text == "-" {
        let mut bytes = Vec::new();
        std::io::stdin().read_to_end(&mut bytes)?;
        String::from_utf8(bytes)
            .map_err(|error| Stop::Input(format!("standard input is not UTF-8: {error}")))?
    } else {
        args.text.clone()
    };
    let surface = Surface::from_word(&args.surface).ok_or_else(|| {
        let known = Surface::ALL.iter().map(|surface| surface.as_str()).collect::<Vec<_>>().join(", ");
        Stop::Input(format!("unknown surface `{}`; known are {known}", args.surface))
    })?;
    let judged = match surface {
        Surface::Request => Message::text(Role::User, text.as_str()),
        Surface::Response => Message::text(Role::Assistant, text.as_str()),
        Surface::ToolResult => Message::text(Role::Tool, text.as_str()),
        Surface::Reasoning => Message {
            role: Role::Assistant,
            parts: vec![Part::Reasoning { text: Cow::Borrowed(&text), at: None }],
        },
        Surface::ToolCall => {
            let (name, arguments) = text.split_once(char::is_whitespace).unwrap_or((&text, ""));
            Message::tool_call(name, arguments.trim())
        }
    };
    let request = args.request.as_deref().map(|request| Message::text(Role::User, request));
    let input = Input {
        messages: request.into_iter().chain(std::iter::once(judged)).collect(),
        tags: args.tags.iter().map(|tag| Cow::Borrowed(tag.as_str())).collect(),
        ..Input::default()
    };
    let verdict = guard.check(&input).map_err(|error| Stop::Input(error.to_string()))?;
    let mut out = output::stdout();
    if args.json {
        serde_json::to_writer_pretty(&mut out, &verdict).map_err(std::io::Error::from)?;
        writeln!(out)?;
    } else {
        show(&mut out, &verdict, &input)?;
    }
    out.flush()?;
    Ok(if verdict.action > Action::Allow { Outcome::Findings } else { Outcome::Fine })
}

fn show(out: &mut impl Write, verdict: &Verdict, input: &Input<'_>) -> Result<(), Stop> {
    let policy = verdict.policy();
    writeln!(
        out,
        "{} {}",
        styled(output::of(verdict.action), verdict.action.as_str().to_uppercase()),
        styled(
            DIM,
            format!(
                "({} under {} {}, {} µs)",
                verdict.surface,
                policy.name(),
                policy.version(),
                verdict.elapsed_us
            )
        )
    )?;
    if verdict.findings.is_empty() {
        writeln!(out, "No clause objects.")?;
    }
    for finding in &verdict.findings {
        show_finding(out, verdict, finding, input)?;
    }
    for lifted in &verdict.lifted {
        if let Some(clause) = verdict.clause_of_lifted(lifted) {
            writeln!(
                out,
                "\n{} \"{}\" matches but is lifted by {}",
                styled(DIM, &clause.id),
                clause.title,
                lifted.by
            )?;
        }
    }
    for problem in &verdict.ignored {
        writeln!(out, "\nignored: {problem}")?;
    }
    for (label, text) in [
        ("Shown to the user", verdict.message.as_deref()),
        ("Redacted", verdict.redacted()),
        ("Critique", verdict.critique.as_deref()),
    ] {
        if let Some(text) = text {
            writeln!(out, "\n{}", styled(BOLD, label))?;
            for line in text.lines().flat_map(|line| wrap(line, WIDTH)) {
                writeln!(out, "  {line}")?;
            }
        }
    }
    if !verdict.scores.is_empty() {
        writeln!(out, "\n{}", styled(BOLD, "Scores"))?;
        let mut scores = verdict.scores.clone();
        scores.sort_by(|a, b| b.1.total_cmp(&a.1));
        for (label, score) in scores {
            writeln!(out, "  {score:.4}  {label}")?;
        }
    }
    if let Some(how) = verdict.unverified {
        writeln!(out, "\nOutside what the models were measured on: {how}")?;
    }
    for failure in &verdict.failures {
        writeln!(out, "\n{} failed: {}", failure.detector, failure.reason)?;
    }
    let undecided: Vec<&str> = verdict.undecided().map(|clause| clause.id.as_str()).collect();
    if !undecided.is_empty() {
        writeln!(
            out,
            "\n{}",
            styled(DIM, format!("Not decided for want of a model ({}):", undecided.len()))
        )?;
        for line in wrap(&undecided.join(", "), WIDTH) {
            writeln!(out, "  {}", styled(DIM, line))?;
        }
    }
    Ok(())
}

fn show_finding(
    out: &mut impl Write,
    verdict: &Verdict,
    finding: &Finding,
    input: &Input<'_>,
) -> Result<(), Stop> {
    let Some(clause) = verdict.clause_of(finding) else { return Ok(()) };
    writeln!(
        out,
        "\n{}  {}",
        styled(output::of(finding.action), finding.action),
        styled(BOLD, &clause.title)
    )?;
    let lines = if clause.source.line == clause.source.end_line {
        format!("line {}", clause.source.line)
    } else {
        format!("lines {} to {}", clause.source.line, clause.source.end_line)
    };
    let edition = clause.source.edition.as_ref().map(|edition| format!(" ({edition})")).unwrap_or_default();
    writeln!(
        out,
        "{}",
        styled(
            DIM,
            format!(
                "{}: {} at authority {}, {}{edition} {lines}",
                clause.id,
                clause.kind.as_str(),
                clause.level,
                clause.source.document
            )
        )
    )?;
    for line in wrap(&clause.rationale, WIDTH - 2) {
        writeln!(out, "  {} {line}", styled(DIM, "│"))?;
    }
    for evidence in &finding.evidence {
        let absent = if evidence.absent { " is missing" } else { "" };
        let score = match (evidence.score, evidence.threshold) {
            (Some(score), Some(threshold)) => format!(" {score} against {threshold}"),
            (Some(score), None) => format!(" {score}"),
            _ => String::new(),
        };
        writeln!(out, "  {}{score}{absent}", evidence.detector)?;
        for span in evidence.spans.iter().take(5) {
            show_span(out, span, input)?;
        }
        if evidence.spans.len() > 5 {
            writeln!(out, "    and {} more places", evidence.spans.len() - 5)?;
        }
    }
    Ok(())
}

/// The line a span stands in, with the span underlined.
fn show_span(out: &mut impl Write, span: &EvidenceSpan, input: &Input<'_>) -> Result<(), Stop> {
    let Some(text) = text_of(span, input) else { return Ok(()) };
    let (start, end) = (span.start as usize, span.end as usize);
    let (Some(before), Some(found), Some(after)) = (text.get(..start), text.get(start..end), text.get(end..))
    else {
        return Ok(());
    };
    let lead: String = tail(before.rsplit('\n').next().unwrap_or(""), 40);
    let rest: String = after.split('\n').next().unwrap_or("").chars().take(40).collect();
    let shown = found.replace(['\n', '\r', '\t'], " ");
    let notes: Vec<String> = [
        (input.messages.len() > 1).then(|| format!("message {}", span.message)),
        span.view.map(|view| format!("{view} view")),
        span.provenance.map(|provenance| format!("{provenance:?}").to_lowercase()),
    ]
    .into_iter()
    .flatten()
    .collect();
    let notes =
        if notes.is_empty() { String::new() } else { styled(DIM, format!("  ({})", notes.join(", "))) };
    writeln!(out, "    {lead}{}{rest}", styled(EVIDENCE.underline(), &shown))?;
    let marks = "^".repeat(shown.chars().count().max(1));
    writeln!(out, "    {}{}{notes}", " ".repeat(lead.chars().count()), styled(EVIDENCE, marks))?;
    Ok(())
}

fn tail(text: &str, width: usize) -> String {
    let skip = text.chars().count().saturating_sub(width);
    text.chars().skip(skip).collect()
}

fn text_of<'a>(span: &EvidenceSpan, input: &'a Input<'_>) -> Option<&'a str> {
    let message = input.messages.get(span.message as usize)?;
    message.parts.iter().find_map(|part| match (part, span.field) {
        (Part::Text { text, at } | Part::ToolResult { text, at }, Field::Content) if *at == span.part => {
            Some(&**text)
        }
        (Part::Reasoning { text, at }, Field::Reasoning) if *at == span.part => Some(&**text),
        (Part::ToolCall { arguments, at, .. }, Field::ToolCalls) if Some(*at) == span.part => {
            Some(&**arguments)
        }
        (Part::ToolCall { name, at, .. }, Field::ToolName) if Some(*at) == span.part => Some(&**name),
        _ => None,
    })
}
