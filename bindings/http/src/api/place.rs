//! Putting redacted text back where it was read.

use brightline::verdict::{Field, Redaction};
use serde_json::{Value, json};

/// Puts a redacted text into a message in the form of any of the APIs; false where it has no place there, or more than one.
pub(super) fn replace(message: &mut Value, redaction: &Redaction) -> bool {
    match (redaction.field, redaction.part) {
        (Field::Content, None) => {
            let mut places = Vec::new();
            if let Some(fields) = message.as_object_mut() {
                for (key, value) in fields.iter_mut() {
                    if matches!(key.as_str(), "content" | "refusal" | "output") && value.is_string() {
                        places.push(value);
                    }
                }
            }
            match places.as_mut_slice() {
                [one] => set(one, &redaction.text),
                _ => false,
            }
        }
        (Field::Content, Some(at)) => {
            block(message, at).is_some_and(|block| in_block(block, &redaction.text))
        }
        (Field::Reasoning, None) => {
            message.get_mut("reasoning_content").is_some_and(|place| set(place, &redaction.text))
        }
        (Field::Reasoning, Some(at)) => block(message, at).is_some_and(|block| {
            let key = if block.get("thinking").is_some() { "thinking" } else { "text" };
            block.get_mut(key).is_some_and(|place| set(place, &redaction.text))
        }),
        (Field::ToolCalls, Some(at)) => arguments(message, at, &redaction.text),
        _ => false,
    }
}

fn set(place: &mut Value, text: &str) -> bool {
    *place = Value::String(text.to_string());
    true
}

fn block(message: &mut Value, at: u32) -> Option<&mut Value> {
    let key = if message.get("output").is_some() { "output" } else { "content" };
    message.get_mut(key)?.get_mut(usize::try_from(at).ok()?)
}

/// A block of text, of a refusal, or of a tool's result.
fn in_block(block: &mut Value, text: &str) -> bool {
    if block.is_string() {
        return set(block, text);
    }
    for key in ["text", "refusal"] {
        if let Some(place) = block.get_mut(key).filter(|place| place.is_string()) {
            return set(place, text);
        }
    }
    match block.get_mut("content") {
        Some(place @ Value::String(_)) => set(place, text),
        // The texts of a result were read as one; what is no text stays.
        Some(Value::Array(blocks)) => {
            blocks.retain(|block| block.get("text").is_none() && !block.is_string());
            blocks.insert(0, json!({"type": "text", "text": text}));
            true
        }
        _ => false,
    }
}

/// The arguments of a tool call: a string that holds JSON, or the JSON itself.
pub(super) fn arguments(message: &mut Value, at: u32, text: &str) -> bool {
    let Ok(at) = usize::try_from(at) else { return false };
    let calls = message.get("tool_calls").and_then(Value::as_array).map(Vec::len);
    let call = match calls {
        Some(len) if at < len => {
            let call = message.get_mut("tool_calls").and_then(|calls| calls.get_mut(at));
            call.and_then(|call| {
                let nested = call.get("function").is_some();
                if nested { call.get_mut("function") } else { Some(call) }
            })
        }
        _ if calls.unwrap_or(0) == at && message.get("function_call").is_some() => {
            message.get_mut("function_call")
        }
        _ => None,
    };
    if let Some(place) = call.and_then(|call| call.get_mut("arguments")) {
        return in_arguments(place, text);
    }
    if let Some(place) = message.get_mut("arguments") {
        return in_arguments(place, text);
    }
    block(message, u32::try_from(at).unwrap_or(u32::MAX))
        .and_then(|block| block.get_mut("input"))
        .is_some_and(|place| in_arguments(place, text))
}

fn in_arguments(place: &mut Value, text: &str) -> bool {
    if place.is_string() {
        return set(place, text);
    }
    match serde_json::from_str(text) {
        Ok(value) => {
            *place = value;
            true
        }
        // A placeholder that leaves no JSON cannot stand in for JSON.
        Err(_) => false,
    }
}
