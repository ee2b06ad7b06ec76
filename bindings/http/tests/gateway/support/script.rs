//! What the fake upstream says: answers of each API, whole and in events, and the nasty cuts.

use super::Act;
use serde_json::{Value, json};

/// A JSON answer.
pub fn json_answer(body: &Value) -> Vec<Act> {
    answer(200, "application/json", &[], body.to_string().as_bytes())
}

pub fn answer(status: u16, kind: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<Act> {
    let mut head =
        format!("HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n", body.len());
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    vec![Act::Raw(head.into_bytes()), Act::Raw(body.to_vec())]
}

/// The head of a stream of events, sent in chunks.
pub fn stream_head() -> Act {
    Act::Raw(
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nx-request-id: up-1\r\ntransfer-encoding: chunked\r\n\r\n"
            .to_vec(),
    )
}

pub fn chunk(bytes: &[u8]) -> Act {
    let mut out = format!("{:x}\r\n", bytes.len()).into_bytes();
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
    Act::Raw(out)
}

pub fn stream_end() -> Act {
    Act::Raw(b"0\r\n\r\n".to_vec())
}

/// A whole stream, cut every `cut` bytes.
pub fn stream(text: &str, cut: usize) -> Vec<Act> {
    let mut acts = vec![stream_head()];
    acts.extend(text.as_bytes().chunks(cut.max(1)).map(chunk));
    acts.push(stream_end());
    acts
}

/// A stream that dies after `at` bytes of its body.
pub fn dies(text: &str, at: usize) -> Vec<Act> {
    let mut acts = vec![stream_head()];
    if at > 0 {
        acts.push(chunk(&text.as_bytes()[..at.min(text.len())]));
    }
    acts.push(Act::Die);
    acts
}

/// A stream that says no more after `at` bytes of its body.
pub fn stalls(text: &str, at: usize) -> Vec<Act> {
    let mut acts = dies(text, at);
    acts.pop();
    acts.push(Act::Stall);
    acts
}

fn events(all: &[Value], named: bool, done: bool) -> String {
    let mut out = String::new();
    for event in all {
        if named {
            out.push_str(&format!("event: {}\n", event["type"].as_str().unwrap()));
        }
        out.push_str(&format!("data: {event}\n\n"));
    }
    if done {
        out.push_str("data: [DONE]\n\n");
    }
    out
}

/// A text in pieces of `n` characters.
pub fn pieces(text: &str, n: usize) -> Vec<String> {
    let chars: Vec<char> = text.chars().collect();
    chars.chunks(n).map(|piece| piece.iter().collect()).collect()
}

pub fn chat_chunk(index: u64, delta: Value, reason: Option<&str>) -> Value {
    json!({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m",
        "system_fingerprint": "fp", "choices": [{"index": index, "delta": delta, "logprobs": null, "finish_reason": reason}]})
}

pub fn chat_usage() -> Value {
    json!({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [],
        "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}})
}

pub fn chat_events(chunks: &[Value]) -> String {
    events(chunks, false, true)
}

/// A chat answer of one choice: reasoning, text, then tool calls.
pub fn chat(reasoning: &str, text: &str, calls: &[(&str, &str)]) -> String {
    let mut all = vec![chat_chunk(0, json!({"role": "assistant", "content": ""}), None)];
    for piece in pieces(reasoning, 3) {
        all.push(chat_chunk(0, json!({"reasoning_content": piece}), None));
    }
    for piece in pieces(text, 3) {
        all.push(chat_chunk(0, json!({"content": piece}), None));
    }
    for (index, (name, arguments)) in calls.iter().enumerate() {
        let head = json!({"index": index, "id": format!("call_{index}"), "type": "function",
            "function": {"name": name, "arguments": ""}});
        all.push(chat_chunk(0, json!({"tool_calls": [head]}), None));
        for piece in pieces(arguments, 3) {
            all.push(chat_chunk(
                0,
                json!({"tool_calls": [{"index": index, "function": {"arguments": piece}}]}),
                None,
            ));
        }
    }
    let reason = if calls.is_empty() { "stop" } else { "tool_calls" };
    all.push(chat_chunk(0, json!({}), Some(reason)));
    all.push(chat_usage());
    chat_events(&all)
}

pub fn chat_json(text: &str, calls: &[(&str, &str)]) -> Value {
    let calls: Vec<Value> = calls
        .iter()
        .map(|(name, arguments)| json!({"id": "call_0", "type": "function", "function": {"name": name, "arguments": arguments}}))
        .collect();
    let mut message = json!({"role": "assistant", "content": text});
    if !calls.is_empty() {
        message["tool_calls"] = calls.into();
    }
    json!({"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m",
        "choices": [{"index": 0, "message": message, "logprobs": null, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}})
}

/// An answer of Anthropic's API: blocks of `(type, text or name, arguments)`.
pub fn messages(blocks: &[(&str, &str, &str)]) -> String {
    let mut all = vec![
        json!({"type": "message_start", "message": {"id": "msg_1", "type": "message",
        "role": "assistant", "model": "m", "content": [], "stop_reason": null, "stop_sequence": null,
        "usage": {"input_tokens": 3, "output_tokens": 1}}}),
        json!({"type": "ping"}),
    ];
    for (index, (kind, text, arguments)) in blocks.iter().enumerate() {
        let (start, delta, field, text) = match *kind {
            "thinking" => (
                json!({"type": "thinking", "thinking": "", "signature": ""}),
                "thinking_delta",
                "thinking",
                text,
            ),
            "tool_use" => (
                json!({"type": "tool_use", "id": format!("toolu_{index}"), "name": text, "input": {}}),
                "input_json_delta",
                "partial_json",
                arguments,
            ),
            _ => (json!({"type": "text", "text": ""}), "text_delta", "text", text),
        };
        all.push(json!({"type": "content_block_start", "index": index, "content_block": start}));
        for piece in pieces(text, 3) {
            all.push(json!({"type": "content_block_delta", "index": index, "delta": {"type": delta, field: piece}}));
        }
        if *kind == "thinking" {
            all.push(json!({"type": "content_block_delta", "index": index,
                "delta": {"type": "signature_delta", "signature": "c2ln"}}));
        }
        all.push(json!({"type": "content_block_stop", "index": index}));
    }
    let reason = if blocks.iter().any(|it| it.0 == "tool_use") { "tool_use" } else { "end_turn" };
    all.push(json!({"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": null},
        "usage": {"output_tokens": 9}}));
    all.push(json!({"type": "message_stop"}));
    events(&all, true, false)
}

pub fn messages_json(blocks: &Value) -> Value {
    json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": blocks,
        "stop_reason": "end_turn", "stop_sequence": null, "usage": {"input_tokens": 3, "output_tokens": 4}})
}

/// An answer of the Responses API: items of `(type, text or name, arguments)`.
pub fn responses(items: &[(&str, &str, &str)]) -> String {
    let response = |status: &str, output: &[Value]| {
        json!({"id": "resp_1", "object": "response", "created_at": 1, "status": status, "model": "m",
            "output": output, "parallel_tool_calls": true, "tool_choice": "auto", "tools": [], "metadata": {},
            "error": null, "incomplete_details": null, "instructions": null, "temperature": 1.0, "top_p": 1.0,
            "usage": {"input_tokens": 3, "input_tokens_details": {"cached_tokens": 0}, "output_tokens": 4,
                "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 7}})
    };
    let mut all = vec![
        json!({"type": "response.created", "response": response("in_progress", &[])}),
        json!({"type": "response.in_progress", "response": response("in_progress", &[])}),
    ];
    let mut output = Vec::new();
    for (at, (kind, text, arguments)) in items.iter().enumerate() {
        let id = format!("item_{at}");
        let of = |kind: &str, more: Value| {
            let mut event = json!({"type": kind, "item_id": id, "output_index": at});
            event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            event
        };
        let item = match *kind {
            "function_call" => {
                let item = |arguments: &str, status: &str| {
                    json!({"id": id, "type": "function_call", "status": status,
                    "call_id": format!("call_{at}"), "name": text, "arguments": arguments})
                };
                all.push(json!({"type": "response.output_item.added", "output_index": at, "item": item("", "in_progress")}));
                for piece in pieces(arguments, 3) {
                    all.push(of(
                        "response.function_call_arguments.delta",
                        json!({"delta": piece, "obfuscation": "xy"}),
                    ));
                }
                all.push(of(
                    "response.function_call_arguments.done",
                    json!({"arguments": arguments, "name": text}),
                ));
                item(arguments, "completed")
            }
            "reasoning" => {
                all.push(json!({"type": "response.output_item.added", "output_index": at,
                    "item": {"id": id, "type": "reasoning", "summary": []}}));
                all.push(of(
                    "response.reasoning_summary_part.added",
                    json!({"summary_index": 0, "part": {"type": "summary_text", "text": ""}}),
                ));
                for piece in pieces(text, 3) {
                    all.push(of(
                        "response.reasoning_summary_text.delta",
                        json!({"summary_index": 0, "delta": piece}),
                    ));
                }
                all.push(of(
                    "response.reasoning_summary_text.done",
                    json!({"summary_index": 0, "text": text}),
                ));
                all.push(of(
                    "response.reasoning_summary_part.done",
                    json!({"summary_index": 0, "part": {"type": "summary_text", "text": text}}),
                ));
                json!({"id": id, "type": "reasoning", "summary": [{"type": "summary_text", "text": text}]})
            }
            _ => {
                let part = |text: &str| json!({"type": "output_text", "text": text, "annotations": [], "logprobs": []});
                let item = |content: &[Value], status: &str| {
                    json!({"id": id, "type": "message", "role": "assistant",
                    "status": status, "content": content})
                };
                all.push(json!({"type": "response.output_item.added", "output_index": at, "item": item(&[], "in_progress")}));
                all.push(of("response.content_part.added", json!({"content_index": 0, "part": part("")})));
                for piece in pieces(text, 3) {
                    all.push(of(
                        "response.output_text.delta",
                        json!({"content_index": 0, "delta": piece, "logprobs": [], "obfuscation": "abc"}),
                    ));
                }
                all.push(of(
                    "response.output_text.done",
                    json!({"content_index": 0, "text": text, "logprobs": []}),
                ));
                all.push(of("response.content_part.done", json!({"content_index": 0, "part": part(text)})));
                item(&[part(text)], "completed")
            }
        };
        all.push(json!({"type": "response.output_item.done", "output_index": at, "item": item}));
        output.push(item);
    }
    all.push(json!({"type": "response.completed", "response": response("completed", &output)}));
    for (number, event) in all.iter_mut().enumerate() {
        event["sequence_number"] = number.into();
    }
    events(&all, true, false)
}

pub fn responses_json(output: &Value) -> Value {
    json!({"id": "resp_1", "object": "response", "created_at": 1, "status": "completed", "model": "m",
        "output": output, "parallel_tool_calls": true, "tool_choice": "auto", "tools": [], "metadata": {},
        "error": null, "incomplete_details": null, "instructions": null,
        "usage": {"input_tokens": 3, "input_tokens_details": {"cached_tokens": 0}, "output_tokens": 4,
            "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 7}})
}
