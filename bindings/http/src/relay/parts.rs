//! The texts of a response: which events carry them, and the parts and items that repeat them.

use crate::json::Json;
use serde_json::{Value, json};

/// What a text is.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Content,
    Reasoning,
    Summary,
    Call,
}

/// The events that carry text: type without its ending, field of the whole text at the end, what it is.
pub(super) const TEXTS: [(&str, &str, Kind); 8] = [
    ("response.output_text", "text", Kind::Content),
    ("response.refusal", "refusal", Kind::Content),
    ("response.reasoning_text", "text", Kind::Reasoning),
    ("response.reasoning_summary_text", "text", Kind::Summary),
    ("response.function_call_arguments", "arguments", Kind::Call),
    ("response.custom_tool_call_input", "input", Kind::Call),
    ("response.mcp_call_arguments", "arguments", Kind::Call),
    ("response.code_interpreter_call_code", "code", Kind::Call),
];

pub(super) fn text_event(kind: &str) -> Option<(&'static str, &'static str, Kind, bool)> {
    let (stem, ending) = kind.rsplit_once('.')?;
    let (stem, field, what) = TEXTS.into_iter().find(|(known, ..)| *known == stem)?;
    match ending {
        "delta" => Some((stem, field, what, false)),
        "done" => Some((stem, field, what, true)),
        _ => None,
    }
}

pub(super) fn index(json: &Value, key: &str) -> u64 {
    json.get(key).and_then(Value::as_u64).unwrap_or(0)
}

pub(super) fn string(json: &Value, key: &str) -> String {
    json.get(key).and_then(Value::as_str).unwrap_or_default().to_string()
}

/// Puts a text where an item holds what a tool is called with.
pub(super) fn set_call(item: &mut Value, text: &str) {
    for key in ["arguments", "input", "code"] {
        if let Some(place) = item.get_mut(key).filter(|place| place.is_string()) {
            *place = text.into();
        }
    }
}

pub(super) fn repeat_part(event: &mut Value, text: String, annotations: Vec<Value>) {
    if let Some(part) = event.get_mut("part") {
        *part = part_of(part.kind(), text, annotations);
    }
}

/// A part as it was told, whatever else the upstream says of it.
pub(super) fn part_of(kind: &str, text: String, annotations: Vec<Value>) -> Value {
    match kind {
        "refusal" => json!({"type": kind, "refusal": text}),
        "output_text" => json!({"type": kind, "text": text, "annotations": annotations, "logprobs": []}),
        "summary_text" => json!({"type": kind, "text": text}),
        _ => json!({"type": "reasoning_text", "text": text}),
    }
}
