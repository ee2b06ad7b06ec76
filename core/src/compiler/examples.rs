//! The short form of examples, and what becomes of them: the rules of their clause judge them.

use super::clauses::Draft;
use crate::diagnostic::{Code, Diagnostic};
use crate::engine::Guard;
use crate::engine::text::FieldText;
use crate::message::{Input, Message, Role, Surface};
use crate::policy::{Coverage, Truth};
use crate::span::{Source, Span};
use crate::spec::{Label, Section};
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

/// One line of an `examples` fence.
#[derive(Clone, Debug)]
pub(super) struct Example {
    pub clause: usize,
    pub hit: bool,
    pub tags: Vec<String>,
    pub request: Option<String>,
    pub surface: Surface,
    pub text: String,
    pub source: Arc<Source>,
    pub span: Span,
}

/// Reads the lines of a fence.
pub(super) fn read(
    text: &str,
    at: Span,
    source: &Arc<Source>,
    clause: usize,
    out: &mut Vec<Example>,
    diagnostics: &mut Vec<Diagnostic>,
) {
    let mut offset = at.start as usize;
    for line in text.split_inclusive('\n') {
        let span = Span::new(offset, offset + line.trim_end().len());
        offset += line.len();
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        match parse(line) {
            Ok((hit, tags, request, surface, text)) => {
                out.push(Example {
                    clause,
                    hit,
                    tags,
                    request,
                    surface,
                    text,
                    source: Arc::clone(source),
                    span,
                });
            }
            Err(message) => diagnostics.push(
                Diagnostic::new(Code::ExamplesInvalid, source, span, message)
                    .help("`hits: request: text` or `misses [tag]: request: text => response: text`"),
            ),
        }
    }
}

type Parsed = (bool, Vec<String>, Option<String>, Surface, String);

fn parse(line: &str) -> Result<Parsed, String> {
    let (head, rest) =
        line.split_once(':').ok_or_else(|| "an example begins with `hits:` or `misses:`".to_string())?;
    let (word, tags) = match head.split_once('[') {
        Some((word, tags)) => {
            let tags = tags.trim_end().strip_suffix(']').ok_or_else(|| "`[` is not closed".to_string())?;
            (
                word.trim(),
                tags.split(',').map(|tag| tag.trim().to_string()).filter(|tag| !tag.is_empty()).collect(),
            )
        }
        None => (head.trim(), Vec::new()),
    };
    let hit = match word {
        "hits" => true,
        "misses" => false,
        other => return Err(format!("`{other}` is neither `hits` nor `misses`")),
    };
    let (first, last) = match rest.split_once(" => ") {
        Some((first, last)) => (Some(first), last),
        None => (None, rest),
    };
    let piece = |text: &str| -> Result<(Surface, String), String> {
        let (surface, text) =
            text.split_once(':').ok_or_else(|| format!("`{}` names no surface", text.trim()))?;
        let surface = Surface::from_word(surface.trim())
            .ok_or_else(|| format!("unknown surface `{}`", surface.trim()))?;
        // Tool calls hold JSON, whose escapes are its own.
        let text = text.trim();
        let text = if surface == Surface::ToolCall { text.to_string() } else { text.replace("\\n", "\n") };
        Ok((surface, text))
    };
    let request = match first.map(piece).transpose()? {
        None => None,
        Some((Surface::Request, text)) => Some(text),
        Some((other, _)) => return Err(format!("before `=>` stands the request, not `{other}`")),
    };
    let (surface, text) = piece(last)?;
    if text.is_empty() {
        return Err("the example has no text".to_string());
    }
    if surface == Surface::ToolCall && tool_call(&text).is_none() {
        return Err("a tool call is its name and its JSON arguments: `shell {\"cmd\": \"ls\"}`".to_string());
    }
    Ok((hit, tags, request, surface, text))
}

/// Splits `name {json}`.
fn tool_call(text: &str) -> Option<(&str, &str)> {
    let (name, arguments) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let arguments = arguments.trim();
    let valid = arguments.is_empty() || serde_json::from_str::<serde::de::IgnoredAny>(arguments).is_ok();
    (valid && !name.starts_with('{')).then_some((name, arguments))
}

impl Example {
    /// The text that detectors see: of a tool call its name and its arguments, escapes resolved.
    pub(super) fn judged_text(&self) -> String {
        match tool_call(&self.text).filter(|_| self.surface == Surface::ToolCall) {
            Some((name, arguments)) => {
                let mut field = FieldText::default();
                field.push(name, None);
                field.push_json(arguments, Some(0));
                field.as_str().to_string()
            }
            None => self.text.clone(),
        }
    }

    /// The example as something to judge.
    pub(super) fn input(&self) -> Input<'_> {
        let request = self.request.as_deref().map(|text| Message::text(Role::User, text));
        let judged = match self.surface {
            Surface::Request => Message::text(Role::User, self.text.as_str()),
            Surface::Response => Message::text(Role::Assistant, self.text.as_str()),
            Surface::Reasoning => {
                let part = crate::message::Part::Reasoning { text: Cow::Borrowed(&self.text), at: None };
                Message { role: Role::Assistant, parts: vec![part] }
            }
            Surface::ToolCall => {
                let (name, arguments) = tool_call(&self.text).unwrap_or((&self.text, ""));
                Message::tool_call(name, arguments)
            }
            Surface::ToolResult => Message::text(Role::Tool, self.text.as_str()),
        };
        Input {
            messages: request.into_iter().chain(std::iter::once(judged)).collect(),
            tags: self.tags.iter().map(|tag| Cow::Borrowed(tag.as_str())).collect(),
            ..Input::default()
        }
    }
}

/// Reports the same text among the hits and the misses of a clause.
pub(super) fn contradictions(examples: &[Example], diagnostics: &mut Vec<Diagnostic>) {
    let mut seen: HashMap<_, &Example> = HashMap::new();
    for example in examples {
        let key = (example.clause, &example.tags, &example.request, example.surface, &example.text);
        if let Some(other) = seen.insert(key, example).filter(|other| other.hit != example.hit) {
            let line = other.source.line_of(other.span.start as usize);
            let message = "this example stands among the hits and among the misses".to_string();
            diagnostics.push(
                Diagnostic::new(Code::ExamplesContradict, &example.source, example.span, message)
                    .help(format!("the other one is on line {line}")),
            );
        }
    }
}

/// Lets the rules judge their own examples, with models where patterns alone do not decide.
pub(super) fn judge(
    (guard, with_models): (&Guard, Option<&Guard>),
    examples: &[Example],
    clauses: &[Draft],
    diagnostics: &mut Vec<Diagnostic>,
) {
    for example in examples {
        let clause = clauses.get(example.clause).map_or("", |clause| clause.id.as_str());
        let mut truth = guard.probe(&example.input(), example.clause);
        let by_models = with_models.filter(|_| truth == Truth::Unknown);
        if let Some(guard) = by_models {
            truth = guard.probe(&example.input(), example.clause);
        }
        let (code, message, help) = match (truth, example.hit) {
            (Truth::True, true) | (Truth::False, false) => continue,
            (Truth::True | Truth::False, hit) if by_models.is_some() => {
                let what = if hit {
                    "miss this example, which must hit"
                } else {
                    "hit this example, which must not"
                };
                let message = format!("with the models, the rules of `{clause}` {what}");
                let help = "models are sometimes wrong: add a pattern, or move the threshold";
                (Code::ExampleMissedByModels, message, help)
            }
            (Truth::Unknown, _) => {
                let message = "this example needs a model to be judged".to_string();
                (Code::ExampleNotJudged, message, "it is judged once a model is loaded")
            }
            (Truth::False, true) => {
                let message = format!("the rules of `{clause}` miss this example, which must hit");
                (Code::ExampleMisjudged, message, "widen the patterns or the surfaces, or drop the example")
            }
            (Truth::True, false) => {
                let message = format!("the rules of `{clause}` hit this example, which must not");
                (Code::ExampleMisjudged, message, "narrow the condition, or add it to `unless`")
            }
        };
        diagnostics.push(Diagnostic::new(code, &example.source, example.span, message).help(help));
    }
}

/// Checks the good answers of the Model Spec's own form against the rules of the clause they stand under.
pub(super) fn judge_good_answers(
    guard: &Guard,
    section: &Section,
    source: &Arc<Source>,
    clause: usize,
    coverage: &Coverage,
    diagnostics: &mut Vec<Diagnostic>,
) {
    if matches!(coverage, Coverage::None(_) | Coverage::Unstated) {
        return;
    }
    for turn in section.examples.iter().flat_map(|example| &example.turns) {
        let good = turn.judgment.as_ref().is_some_and(|judgment| judgment.label == Label::Good);
        if good {
            let input = Input {
                messages: vec![Message::text(Role::Assistant, turn.text.as_str())],
                ..Input::default()
            };
            if guard.probe(&input, clause) == Truth::True {
                let message = "the rules of the clause hit an answer marked GOOD".to_string();
                diagnostics.push(
                    Diagnostic::new(Code::ExampleMisjudged, source, turn.span, message)
                        .help("narrow the condition, or add it to `unless`"),
                );
            }
        }
    }
}
