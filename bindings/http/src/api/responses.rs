//! OpenAI's responses.

use super::{Answer, Refused, place};
use crate::failure::Failure;
use crate::fields::{holds_text, withhold, words};
use crate::json::Json;
use crate::sse;
use brightline::message::{Part, Role};
use brightline::verdict::{Field, Redaction};
use brightline::{Input, Message};
use serde_json::{Map, Value, json};

/// Reads `input`: a text, or items. Each item becomes one message, so that places lead back.
pub(super) fn conversation(
    json: &mut Value,
    context: Option<Map<String, Value>>,
) -> Result<Input<'static>, Failure> {
    let messages = match json.get("input") {
        Some(Value::String(text)) => json!([{"role": "user", "content": text}]),
        Some(Value::Array(items)) if !items.is_empty() => Value::Array(items.iter().map(message).collect()),
        Some(Value::Array(_)) => return Err(Failure::invalid("input", "empty: there is nothing to judge")),
        Some(_) => return Err(Failure::invalid("input", "expected a string or a list")),
        None => return Err(Failure::invalid("input", "missing")),
    };
    super::conversation(json.get("instructions"), &messages, context, "input")
}

/// An item of the input as a message in the wire form.
fn message(item: &Value) -> Value {
    let field = |name: &str| item.get(name).cloned().unwrap_or_default();
    let kind = item.get("type").and_then(Value::as_str).unwrap_or_default();
    match kind {
        "" | "message" => json!({"role": field("role"), "content": field("content")}),
        "reasoning" => json!({"role": "assistant", "content": [{"type": "reasoning", "text": words(item)}]}),
        "function_call" | "mcp_call" => {
            let call = json!({"name": field("name"), "arguments": field("arguments")});
            json!({"role": "assistant", "tool_calls": [call]})
        }
        "custom_tool_call" => {
            json!({"role": "assistant", "tool_calls": [{"name": field("name"), "arguments": field("input")}]})
        }
        _ if kind.ends_with("_output") && (item.at("output").is_string() || item.at("output").is_array()) => {
            json!({"role": "tool", "content": field("output")})
        }
        _ if kind.ends_with("_output") => json!({"role": "tool", "content": words(item)}),
        _ if kind.ends_with("_call") => {
            json!({"role": "assistant", "tool_calls": [{"name": kind, "arguments": item}]})
        }
        "item_reference" => json!({"role": "user", "content": [{"type": kind}]}),
        // What is not known is judged as words of the user.
        _ => json!({"role": "user", "content": words(item)}),
    }
}

/// Fields of the whole that hold no words of the model: they repeat the request, or count.
pub(crate) const TOP: [&str; 20] = [
    "output",
    "usage",
    "instructions",
    "tools",
    "tool_choice",
    "text",
    "reasoning",
    "metadata",
    "error",
    "user",
    "prompt",
    "conversation",
    "billing",
    "safety_identifier",
    "prompt_cache_key",
    "prompt_cache_retention",
    "include",
    "moderation",
    "background",
    "store",
];

/// A place in the output: item number `at / ITEM`, and in it the content, the content of reasoning, or annotations.
const ITEM: u32 = 1 << 12;
const CONTENT: u32 = 1 << 10;
const ANNOTATIONS: u32 = 1 << 11;

const FORM: Failure = Failure::Unreadable("not in the form of a response");

pub(super) fn answers(json: &mut Value, withheld: &mut Vec<String>) -> Result<Vec<Answer>, Failure> {
    let fields = json.as_object_mut().ok_or(FORM)?;
    withhold(fields, &TOP, "", withheld);
    let output = fields.get_mut("output").and_then(Value::as_array_mut).ok_or(FORM)?;
    let mut items = Vec::new();
    output.retain_mut(|item| match read(item, u32::try_from(items.len()).unwrap_or(u32::MAX), withheld) {
        Some(parts) => {
            items.push(parts);
            true
        }
        None => false,
    });
    let parts = items.into_iter().flatten().collect();
    Ok(vec![Answer { message: Message { role: Role::Assistant, parts }, at: 0, choice: 0 }])
}

/// What of an item is judged; `None` where it may not pass.
pub(crate) fn read(item: &mut Value, index: u32, withheld: &mut Vec<String>) -> Option<Vec<Part<'static>>> {
    let kind = item.get("type").and_then(Value::as_str).unwrap_or_default().to_string();
    let base = index.saturating_mul(ITEM);
    let text =
        |item: &Value, key: &str| item.get(key).and_then(Value::as_str).unwrap_or_default().to_string();
    let path = format!("output.{kind}");
    let mut parts = Vec::new();
    match kind.as_str() {
        "message" => {
            withhold(item.as_object_mut()?, &["content"], &path, withheld);
            let blocks = item.get_mut("content")?.as_array_mut()?;
            for (at, block) in (base..base + CONTENT).zip(blocks.iter_mut()) {
                let known = ["text", "refusal", "annotations", "logprobs"];
                withhold(block.as_object_mut()?, &known, &path, withheld);
                let key = if block.get("refusal").is_some() { "refusal" } else { "text" };
                parts.push(Part::Text { text: text(block, key).into(), at: Some(at) });
                let annotations = block.get("annotations").map(words).unwrap_or_default();
                if !annotations.is_empty() {
                    parts.push(Part::Text { text: annotations.into(), at: Some(at + ANNOTATIONS) });
                }
            }
        }
        "reasoning" => {
            withhold(item.as_object_mut()?, &["summary", "content", "encrypted_content"], &path, withheld);
            for (key, from) in [("summary", base), ("content", base + CONTENT)] {
                let blocks = item.get(key).and_then(Value::as_array);
                for (at, block) in (from..from + CONTENT).zip(blocks.into_iter().flatten()) {
                    parts.push(Part::Reasoning { text: text(block, "text").into(), at: Some(at) });
                }
            }
        }
        "function_call" | "custom_tool_call" => {
            let key = if kind == "function_call" { "arguments" } else { "input" };
            withhold(item.as_object_mut()?, &["name", "namespace", key], &path, withheld);
            let (name, arguments) = (text(item, "name").into(), text(item, key).into());
            parts.push(Part::ToolCall { name, arguments, at: base });
        }
        "mcp_call" => {
            let (name, arguments) = (text(item, "name").into(), text(item, "arguments").into());
            parts.push(Part::ToolCall { name, arguments, at: base });
            parts.push(Part::ToolResult {
                text: item.get("output").map(words).unwrap_or_default().into(),
                at: Some(base),
            });
        }
        "image_generation_call" => {
            withhold(
                item.as_object_mut()?,
                &["result", "revised_prompt", "action", "size", "quality", "background", "output_format"],
                &path,
                withheld,
            );
            parts.push(Part::Unjudged { kind: kind.into(), at: base });
            parts.push(Part::Text { text: text(item, "revised_prompt").into(), at: Some(base) });
        }
        "compaction" => parts.push(Part::Unjudged { kind: kind.into(), at: base }),
        _ if kind.ends_with("_call") => {
            let arguments = item.to_string().into();
            parts.push(Part::ToolCall { name: kind.into(), arguments, at: base });
        }
        _ if !holds_text(item) => {}
        _ => {
            withheld.push(path);
            return None;
        }
    }
    Some(parts)
}

pub(crate) fn redact(json: &mut Value, redaction: &Redaction) -> bool {
    let Some(at) = redaction.part else { return false };
    let (item, inside) = (at / ITEM, at % ITEM);
    let Some(item) = json.pointer_mut(&format!("/output/{item}")) else { return false };
    let put = |place: Option<&mut Value>| {
        place.filter(|place| place.is_string()).is_some_and(|place| {
            *place = redaction.text.clone().into();
            true
        })
    };
    match redaction.field {
        Field::Content if inside >= ANNOTATIONS => {
            let block = item.pointer_mut(&format!("/content/{}", inside - ANNOTATIONS));
            block.is_some_and(|block| {
                block.put("annotations", json!([]));
                true
            })
        }
        Field::Content if item.kind() == "message" => {
            let Some(block) = item.pointer_mut(&format!("/content/{inside}")) else { return false };
            if let Some(fields) = block.as_object_mut() {
                fields.remove("logprobs");
            }
            let key = if block.get("refusal").is_some() { "refusal" } else { "text" };
            put(block.get_mut(key))
        }
        Field::Content if item.kind() == "image_generation_call" => put(item.get_mut("revised_prompt")),
        Field::Reasoning if inside >= CONTENT => {
            put(item.pointer_mut(&format!("/content/{}/text", inside - CONTENT)))
        }
        Field::Reasoning => put(item.pointer_mut(&format!("/summary/{inside}/text"))),
        Field::ToolCalls if item.kind() == "custom_tool_call" => put(item.get_mut("input")),
        Field::ToolCalls if item.kind() == "function_call" || item.kind() == "mcp_call" => {
            place::arguments(item, 0, &redaction.text)
        }
        _ => false,
    }
}

pub(super) fn refuse(json: &mut Value, text: &str) {
    let id = json.get("id").and_then(Value::as_str).unwrap_or_default().to_string();
    if let Some(fields) = json.as_object_mut() {
        fields.insert("status".to_string(), "completed".into());
        fields.insert("incomplete_details".to_string(), Value::Null);
        fields.insert("output".to_string(), json!([refused_item(&id, text)]));
    }
}

/// The message that refuses.
pub(crate) fn refused_item(id: &str, text: &str) -> Value {
    json!({
        "id": format!("msg_{}", id.trim_start_matches("resp_")),
        "type": "message",
        "role": "assistant",
        "status": "completed",
        "content": [{"type": "refusal", "refusal": text}],
    })
}

fn envelope(refused: &Refused<'_>) -> Value {
    json!({
        "id": format!("resp_{}", refused.exchange.id),
        "object": "response",
        "created_at": refused.exchange.now(),
        "status": "in_progress",
        "error": null,
        "incomplete_details": null,
        "instructions": null,
        "metadata": {},
        "model": refused.model,
        "output": [],
        "parallel_tool_calls": true,
        "temperature": null,
        "tool_choice": "auto",
        "tools": [],
        "top_p": null,
        "usage": null,
    })
}

fn usage() -> Value {
    json!({
        "input_tokens": 0,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": 0,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 0,
    })
}

pub(super) fn refusal(refused: &Refused<'_>) -> Value {
    let mut json = envelope(refused);
    refuse(&mut json, refused.text);
    json.put("usage", usage());
    super::extend(&mut json, refused.extension.clone());
    json
}

pub(super) fn refusal_events(refused: &Refused<'_>) -> Vec<u8> {
    let begun = envelope(refused);
    let mut events = vec![
        json!({"type": "response.created", "response": begun}),
        json!({"type": "response.in_progress", "response": begun}),
    ];
    events.extend(refused_item_events(&refused_item(&refused.exchange.id, refused.text), 0, refused.text));
    events.push(json!({"type": "response.completed", "response": refusal(refused)}));
    let mut out = Vec::new();
    for (number, mut event) in events.into_iter().enumerate() {
        event.put("sequence_number", number);
        sse::write(&mut out, event.get("type").and_then(Value::as_str), &event.to_string());
    }
    out
}

/// The events that tell of the message that refuses.
pub(crate) fn refused_item_events(item: &Value, index: u64, text: &str) -> Vec<Value> {
    let id = item.at("id");
    let mut begun = item.clone();
    begun.put("status", "in_progress");
    begun.put("content", json!([]));
    let part = |kind: &str, key: &str, value: Value| {
        let mut event = json!({"type": kind, "item_id": id, "output_index": index, "content_index": 0});
        event.put(key, value);
        event
    };
    vec![
        json!({"type": "response.output_item.added", "output_index": index, "item": begun}),
        part("response.content_part.added", "part", json!({"type": "refusal", "refusal": ""})),
        part("response.refusal.delta", "delta", text.into()),
        part("response.refusal.done", "refusal", text.into()),
        part("response.content_part.done", "part", json!({"type": "refusal", "refusal": text})),
        json!({"type": "response.output_item.done", "output_index": index, "item": item}),
    ]
}
