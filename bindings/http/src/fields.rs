//! Fields that no rule has read: which of them may pass.

use serde_json::{Map, Value};

/// Fields whose strings are names and numbers of the protocol, never words of the model.
const PROTOCOL: [&str; 33] = [
    "id",
    "object",
    "type",
    "model",
    "status",
    "role",
    "index",
    "created",
    "created_at",
    "completed_at",
    "item_id",
    "call_id",
    "response_id",
    "tool_use_id",
    "previous_response_id",
    "container_id",
    "file_id",
    "request_id",
    "finish_reason",
    "native_finish_reason",
    "stop_reason",
    "stop_sequence",
    "incomplete_details",
    "service_tier",
    "system_fingerprint",
    "provider",
    "usage",
    "phase",
    "effort",
    "truncation",
    "obfuscation",
    "expires_at",
    "inference_geo",
];

/// Whether a value holds words: a string that is not under a field of the protocol.
pub(crate) fn holds_text(value: &Value) -> bool {
    match value {
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => items.iter().any(holds_text),
        Value::Object(fields) => {
            fields.iter().any(|(key, value)| !PROTOCOL.contains(&key.as_str()) && holds_text(value))
        }
        _ => false,
    }
}

/// Takes out the fields that are neither known nor free of words, and notes their paths.
pub(crate) fn withhold(fields: &mut Map<String, Value>, known: &[&str], path: &str, out: &mut Vec<String>) {
    fields.retain(|key, value| {
        let passes = known.contains(&key.as_str()) || PROTOCOL.contains(&key.as_str()) || !holds_text(value);
        if !passes {
            // The name of a field is the upstream's, not the model's; a long one is cut all the same.
            let key: String = key.chars().filter(|c| c.is_ascii_graphic()).take(64).collect();
            let path = if path.is_empty() { key } else { format!("{path}.{key}") };
            if !out.contains(&path) && out.len() < MAX_WITHHELD {
                out.push(path);
            }
        }
        passes
    });
}

/// How many fields are listed.
const MAX_WITHHELD: usize = 32;

/// All words of a value, one after the other.
pub(crate) fn words(value: &Value) -> String {
    fn collect(value: &Value, out: &mut String) {
        match value {
            Value::String(text) => {
                if !out.is_empty() {
                    out.push('\n');
                }
                out.push_str(text);
            }
            Value::Array(items) => items.iter().for_each(|item| collect(item, out)),
            Value::Object(fields) => fields
                .iter()
                .filter(|(key, _)| !PROTOCOL.contains(&key.as_str()) && !OPAQUE.contains(&key.as_str()))
                .for_each(|(_, value)| collect(value, out)),
            _ => {}
        }
    }
    let mut out = String::new();
    collect(value, &mut out);
    out
}

/// Fields that hold encoded bytes.
const OPAQUE: [&str; 6] =
    ["encrypted_content", "encrypted_index", "encrypted_stdout", "signature", "data", "b64_json"];

/// A key that some readers take for `known`, though it is written differently: readers that ignore case would read what
/// was not judged.
pub(crate) fn ambiguous_key(value: &Value, path: &str) -> Option<String> {
    match value {
        Value::Array(items) => {
            items.iter().enumerate().find_map(|(at, item)| ambiguous_key(item, &format!("{path}[{at}]")))
        }
        Value::Object(fields) => fields.iter().find_map(|(key, value)| {
            let here = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            if READ.iter().any(|known| known.eq_ignore_ascii_case(key) && known != key) {
                return Some(here);
            }
            // What a tool is given or described by is the host's own JSON.
            let own = matches!(key.as_str(), "arguments" | "tools" | "metadata" | "response_format" | "text")
                || (key == "input" && !path.is_empty());
            if own { None } else { ambiguous_key(value, &here) }
        }),
        _ => None,
    }
}

/// Fields of a request that decide what is judged.
const READ: [&str; 22] = [
    "messages",
    "system",
    "input",
    "instructions",
    "stream",
    "role",
    "content",
    "text",
    "type",
    "tool_calls",
    "function_call",
    "function",
    "name",
    "arguments",
    "thinking",
    "reasoning_content",
    "reasoning",
    "refusal",
    "output",
    "summary",
    "model",
    "prompt",
];

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn protocol_passes_and_words_do_not() {
        assert!(!holds_text(
            &json!({"id": "x", "index": 3, "usage": {"tokens": 1}, "list": [{"type": "a"}]})
        ));
        assert!(holds_text(&json!({"id": "x", "delta": "word"})));
        assert!(holds_text(&json!(["word"])));
        let mut fields = json!({"id": "a", "content": "read", "note": "word", "count": 2});
        let mut out = Vec::new();
        withhold(fields.as_object_mut().unwrap(), &["content"], "delta", &mut out);
        assert_eq!(fields, json!({"id": "a", "content": "read", "count": 2}));
        assert_eq!(out, ["delta.note"]);
    }

    #[test]
    fn keys_in_another_case_are_ambiguous() {
        let key = |value| ambiguous_key(&value, "");
        assert_eq!(
            key(json!({"messages": [{"role": "user", "Content": "x"}]})),
            Some("messages[0].Content".into())
        );
        assert_eq!(key(json!({"MESSAGES": []})), Some("MESSAGES".into()));
        assert_eq!(
            key(json!({"messages": [{"content": [{"type": "tool_use", "input": {"Name": 1}}]}]})),
            None
        );
        assert_eq!(key(json!({"input": [{"Role": "user"}]})), Some("input[0].Role".into()));
    }
}
