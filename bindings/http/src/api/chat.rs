//! OpenAI's chat completions.

use super::{Answer, Refused, listed, place};
use crate::failure::Failure;
use crate::fields::{withhold, words};
use crate::json::Json;
use crate::sse;
use brightline::message::Part;
use brightline::verdict::{Field, Redaction};
use brightline::{Input, Message, wire};
use serde_json::{Map, Value, json};

pub(super) fn conversation(
    json: &Value,
    context: Option<Map<String, Value>>,
) -> Result<Input<'static>, Failure> {
    super::conversation(None, listed(json, "messages")?, context, "messages")
}

/// Fields of a message, and of a delta, that are read.
pub(crate) const MESSAGE: [&str; 8] = [
    "role",
    "content",
    "refusal",
    "reasoning_content",
    "reasoning",
    "tool_calls",
    "function_call",
    "annotations",
];
/// Fields of the whole that hold no words of the model.
pub(crate) const TOP: [&str; 4] = ["choices", "usage", "prompt_filter_results", "timings"];

/// Indexes for texts that stand beside the content.
const REASONING: u32 = u32::MAX;
const ANNOTATIONS: u32 = u32::MAX - 1;
const TRANSCRIPT: u32 = u32::MAX - 2;

const FORM: Failure = Failure::Unreadable("not in the form of a chat completion");

pub(super) fn answers(json: &mut Value, withheld: &mut Vec<String>) -> Result<Vec<Answer>, Failure> {
    let fields = json.as_object_mut().ok_or(FORM)?;
    withhold(fields, &TOP, "", withheld);
    let choices = fields.get_mut("choices").and_then(Value::as_array_mut).ok_or(FORM)?;
    let mut answers = Vec::new();
    for (at, choice) in choices.iter_mut().enumerate() {
        let choice = choice.as_object_mut().ok_or(FORM)?;
        withhold(choice, &["message", "logprobs", "content_filter_results"], "choices", withheld);
        let index = choice.get("index").and_then(Value::as_u64).unwrap_or(at as u64);
        let message = choice.get_mut("message").and_then(Value::as_object_mut).ok_or(FORM)?;
        let known: Vec<&str> = MESSAGE.into_iter().chain(["audio"]).collect();
        withhold(message, &known, "choices.message", withheld);
        answers.push(Answer {
            message: read(message)?,
            at,
            choice: u32::try_from(index).unwrap_or(u32::MAX),
        });
    }
    Ok(answers)
}

fn read(message: &mut Map<String, Value>) -> Result<Message<'static>, Failure> {
    let mut record = Map::new();
    record.insert("role".to_string(), "assistant".into());
    for key in ["content", "refusal", "reasoning_content", "tool_calls", "function_call"] {
        if let Some(value) = message.get(key) {
            record.insert(key.to_string(), value.clone());
        }
    }
    let bytes = serde_json::to_vec(&json!({"messages": [record]})).unwrap_or_default();
    let mut read = wire::parse(&bytes).map_err(|_| FORM)?.to_static().messages.pop().ok_or(FORM)?;
    let mut beside = |text: String, part: &dyn Fn(String) -> Part<'static>| {
        if !text.is_empty() {
            read.parts.push(part(text));
        }
    };
    let text = |at| move |text: String| Part::Text { text: text.into(), at: Some(at) };
    beside(message.get("reasoning").map(words).unwrap_or_default(), &|text| Part::Reasoning {
        text: text.into(),
        at: Some(REASONING),
    });
    beside(message.get("annotations").map(words).unwrap_or_default(), &text(ANNOTATIONS));
    if let Some(audio) = message.get("audio").filter(|audio| !audio.is_null()) {
        beside(audio.get("transcript").map(words).unwrap_or_default(), &text(TRANSCRIPT));
        read.parts.push(Part::Unjudged { kind: "audio".into(), at: TRANSCRIPT });
    }
    Ok(read)
}

pub(super) fn redact(json: &mut Value, at: usize, redaction: &Redaction) -> bool {
    let Some(choice) = json.pointer_mut(&format!("/choices/{at}")).and_then(Value::as_object_mut) else {
        return false;
    };
    // They repeat the text token by token.
    choice.remove("logprobs");
    let Some(message) = choice.get_mut("message") else { return false };
    match (redaction.field, redaction.part) {
        (Field::Content, Some(ANNOTATIONS)) => {
            message.as_object_mut().map(|message| message.remove("annotations")).is_some()
        }
        // What is spoken cannot be redacted.
        (Field::Content, Some(TRANSCRIPT)) => false,
        (Field::Reasoning, Some(REASONING)) if message.get("reasoning").is_some_and(Value::is_string) => {
            message
                .as_object_mut()
                .map(|message| message.insert("reasoning".to_string(), redaction.text.clone().into()));
            true
        }
        _ => place::replace(message, redaction),
    }
}

pub(super) fn refuse(json: &mut Value, at: usize, text: &str) {
    if let Some(choice) = json.pointer_mut(&format!("/choices/{at}")) {
        let index = choice.get("index").cloned().unwrap_or_else(|| at.into());
        *choice = refused_choice(&index, text);
    }
}

fn refused_choice(index: &Value, text: &str) -> Value {
    json!({
        "index": index,
        "message": {"role": "assistant", "content": null, "refusal": text},
        "logprobs": null,
        "finish_reason": "content_filter",
    })
}

pub(super) fn refusal(refused: &Refused<'_>) -> Value {
    let mut json = json!({
        "id": format!("chatcmpl-{}", refused.exchange.id),
        "object": "chat.completion",
        "created": refused.exchange.now(),
        "model": refused.model,
        "choices": [refused_choice(&0.into(), refused.text)],
        "usage": {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0},
    });
    super::extend(&mut json, refused.extension.clone());
    json
}

pub(super) fn refusal_events(refused: &Refused<'_>) -> Vec<u8> {
    let chunk = |choices: Value| {
        json!({
            "id": format!("chatcmpl-{}", refused.exchange.id),
            "object": "chat.completion.chunk",
            "created": refused.exchange.now(),
            "model": refused.model,
            "choices": choices,
        })
    };
    let delta = json!({"role": "assistant", "content": null, "refusal": refused.text});
    let mut last = chunk(json!([{"index": 0, "delta": {}, "finish_reason": "content_filter"}]));
    super::extend(&mut last, refused.extension.clone());
    let mut chunks = vec![chunk(json!([{"index": 0, "delta": delta, "finish_reason": null}])), last];
    if refused.usage {
        let mut usage = chunk(json!([]));
        usage.put("usage", json!({"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}));
        chunks.push(usage);
    }
    let mut out = Vec::new();
    for chunk in chunks {
        sse::write(&mut out, None, &chunk.to_string());
    }
    sse::write(&mut out, None, "[DONE]");
    out
}
