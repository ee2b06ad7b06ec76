//! Anthropic's messages.

use super::{Answer, Refused, listed, place};
use crate::failure::Failure;
use crate::fields::{holds_text, withhold, words};
use crate::sse;
use brightline::message::{Part, Role};
use brightline::verdict::{Field, Redaction};
use brightline::{Input, Message};
use serde_json::{Map, Value, json};

pub(super) fn conversation(
    json: &Value,
    context: Option<Map<String, Value>>,
) -> Result<Input<'static>, Failure> {
    super::conversation(json.get("system"), listed(json, "messages")?, context, "messages")
}

/// Fields of the whole that hold no words of the model.
pub(crate) const TOP: [&str; 3] = ["content", "usage", "container"];
/// Blocks whose content nobody here can read; they pass and are reported as not judged.
pub(crate) const OPAQUE: [&str; 3] = ["redacted_thinking", "image", "container_upload"];
/// Added to the index of a block, for its citations.
const CITATIONS: u32 = 1 << 24;

const FORM: Failure = Failure::Unreadable("not in the form of a message");

pub(super) fn answers(json: &mut Value, withheld: &mut Vec<String>) -> Result<Vec<Answer>, Failure> {
    let fields = json.as_object_mut().ok_or(FORM)?;
    withhold(fields, &TOP, "", withheld);
    let content = fields.get_mut("content").and_then(Value::as_array_mut).ok_or(FORM)?;
    let mut parts = Vec::new();
    content.retain_mut(|block| match read(block, u32::try_from(parts.len()).unwrap_or(u32::MAX), withheld) {
        Some(read) => {
            parts.push(read);
            true
        }
        None => false,
    });
    let parts = parts.into_iter().flatten().collect();
    Ok(vec![Answer { message: Message { role: Role::Assistant, parts }, at: 0, choice: 0 }])
}

/// What of a block is judged; `None` where it may not pass.
pub(crate) fn read(block: &mut Value, at: u32, withheld: &mut Vec<String>) -> Option<Vec<Part<'static>>> {
    let kind = block.get("type").and_then(Value::as_str).unwrap_or_default().to_string();
    let text = |block: &Value, key: &str| Some(block.get(key)?.as_str()?.to_string());
    let fields = block.as_object_mut()?;
    let path = format!("content.{kind}");
    match kind.as_str() {
        "text" => {
            withhold(fields, &["text", "citations"], &path, withheld);
            let mut parts = vec![Part::Text { text: text(block, "text")?.into(), at: Some(at) }];
            let cited = block.get("citations").map(words).unwrap_or_default();
            if !cited.is_empty() {
                parts.push(Part::Text { text: cited.into(), at: Some(at + CITATIONS) });
            }
            Some(parts)
        }
        "thinking" => {
            withhold(fields, &["thinking", "signature"], &path, withheld);
            Some(vec![Part::Reasoning { text: text(block, "thinking")?.into(), at: Some(at) }])
        }
        "tool_use" | "server_tool_use" | "mcp_tool_use" => {
            withhold(fields, &["name", "input", "server_name", "caller"], &path, withheld);
            let name = text(block, "name")?.into();
            let arguments = block.get("input").map_or_else(String::new, Value::to_string).into();
            Some(vec![Part::ToolCall { name, arguments, at }])
        }
        kind if kind.ends_with("_tool_result") => {
            Some(vec![Part::ToolResult { text: words(block).into(), at: Some(at) }])
        }
        kind if OPAQUE.contains(&kind) => Some(vec![Part::Unjudged { kind: kind.to_string().into(), at }]),
        _ if !holds_text(block) => Some(Vec::new()),
        _ => {
            withheld.push(path);
            None
        }
    }
}

pub(super) fn redact(json: &mut Value, redaction: &Redaction) -> bool {
    match (redaction.field, redaction.part) {
        (Field::Content, Some(at)) if at >= CITATIONS => {
            let block = json.pointer_mut(&format!("/content/{}", at - CITATIONS));
            block.and_then(Value::as_object_mut).map(|block| block.remove("citations")).is_some()
        }
        // The signature is that of the text as it was.
        (Field::Reasoning, Some(at)) => {
            let block = json.pointer_mut(&format!("/content/{at}")).and_then(Value::as_object_mut);
            block.map(|block| block.remove("signature"));
            place::replace(json, redaction)
        }
        // A result of the provider's own tools has a form of its own, with the text all over it.
        (Field::Content, Some(at))
            if json
                .pointer(&format!("/content/{at}/type"))
                .and_then(Value::as_str)
                .is_some_and(|kind| kind.ends_with("_tool_result")) =>
        {
            false
        }
        _ => place::replace(json, redaction),
    }
}

pub(super) fn refuse(json: &mut Value, text: &str) {
    if let Some(fields) = json.as_object_mut() {
        fields.insert("content".to_string(), json!([{"type": "text", "text": text}]));
        fields.insert("stop_reason".to_string(), "refusal".into());
        fields.insert("stop_sequence".to_string(), Value::Null);
    }
}

fn envelope(refused: &Refused<'_>) -> Value {
    json!({
        "id": format!("msg_{}", refused.exchange.id),
        "type": "message",
        "role": "assistant",
        "model": refused.model,
        "content": [],
        "stop_reason": null,
        "stop_sequence": null,
        "usage": {"input_tokens": 0, "output_tokens": 0},
    })
}

pub(super) fn refusal(refused: &Refused<'_>) -> Value {
    let mut json = envelope(refused);
    refuse(&mut json, refused.text);
    super::extend(&mut json, refused.extension.clone());
    json
}

pub(super) fn refusal_events(refused: &Refused<'_>) -> Vec<u8> {
    let mut end = json!({
        "type": "message_delta",
        "delta": {"stop_reason": "refusal", "stop_sequence": null},
        "usage": {"output_tokens": 0},
    });
    super::extend(&mut end, refused.extension.clone());
    let events = [
        json!({"type": "message_start", "message": envelope(refused)}),
        json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": refused.text}}),
        json!({"type": "content_block_stop", "index": 0}),
        end,
        json!({"type": "message_stop"}),
    ];
    let mut out = Vec::new();
    for event in events {
        sse::write(&mut out, event.get("type").and_then(Value::as_str), &event.to_string());
    }
    out
}
