//! Event streams, whatever way they are cut.

use crate::support::script::{self, chat_chunk, chat_events};
use crate::support::{Fake, Running, client, quick};
use serde_json::{Value, json};

const CUTS: [usize; 6] = [1, 2, 3, 7, 64, 1 << 20];

/// One request for each cut of the upstream's answer; the answers must be the same.
async fn every_cut(path: &str, body: Value, text: String) -> client::Answer {
    let mut first: Option<client::Answer> = None;
    for cut in CUTS {
        let said = text.clone();
        let fake = Fake::start(move |_| script::stream(&said, cut)).await;
        let gateway = Running::start(&fake.url(), quick()).await;
        let answer = client::post(&gateway, path, &body).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert!(answer.whole);
        gateway.idle().await;
        if let Some(first) = &first {
            let joined = |answer: &client::Answer| concatenated(&answer.events());
            assert_eq!(joined(first), joined(&answer), "cut every {cut} bytes");
        }
        first.get_or_insert(answer);
    }
    first.unwrap()
}

/// Deltas joined by their place: how the text is cut into events may differ, what it says may not.
fn concatenated(events: &[Value]) -> Vec<(String, String)> {
    let mut out: Vec<(String, String)> = Vec::new();
    fn walk(value: &Value, path: &str, out: &mut Vec<(String, String)>) {
        match value {
            Value::String(text) => match out.iter_mut().find(|(known, _)| known == path) {
                Some((_, known)) if path.contains("delta") => known.push_str(text),
                _ => out.push((path.to_string(), text.clone())),
            },
            Value::Array(items) => items.iter().for_each(|item| walk(item, &format!("{path}[]"), out)),
            Value::Object(fields) => {
                fields.iter().for_each(|(key, value)| walk(value, &format!("{path}.{key}"), out));
            }
            _ => {}
        }
    }
    for event in events {
        let deltas = event.pointer("/choices/0/delta").or(event.get("delta"));
        let base = event["index"].to_string() + &event["output_index"].to_string();
        if let Some(delta) = deltas {
            walk(delta, &format!("delta{base}"), &mut out);
        }
        if let Some(response) = event.get("response") {
            walk(&response["output"], event["type"].as_str().unwrap(), &mut out);
        }
    }
    out.retain(|(path, _)| !path.ends_with(".type") && !path.ends_with(".id"));
    out.sort();
    out
}

fn chat_request() -> Value {
    json!({"model": "m", "stream": true, "messages": [{"role": "user", "content": "hello"}]})
}

fn messages_request() -> Value {
    json!({"model": "m", "stream": true, "max_tokens": 9, "messages": [{"role": "user", "content": "hello"}]})
}

fn responses_request() -> Value {
    json!({"model": "m", "stream": true, "input": "hello"})
}

#[tokio::test]
async fn chat_passes_what_is_fine() {
    let text =
        script::chat("I think. ", "Grüße — 日本 😀, all is well.", &[("look", "{\"at\": \"the sky\"}")]);
    let answer = every_cut("/v1/chat/completions", chat_request(), text).await;
    assert_eq!(answer.joined("/choices/0/delta/content"), "Grüße — 日本 😀, all is well.");
    assert_eq!(answer.joined("/choices/0/delta/reasoning_content"), "I think. ");
    assert_eq!(answer.joined("/choices/0/delta/tool_calls/0/function/arguments"), "{\"at\": \"the sky\"}");
    assert_eq!(answer.joined("/choices/0/delta/tool_calls/0/function/name"), "look");
    assert_eq!(answer.joined("/choices/0/delta/tool_calls/0/id"), "call_0");
    assert_eq!(answer.joined("/choices/0/finish_reason"), "tool_calls");
    assert_eq!(answer.events().last().unwrap()["usage"]["total_tokens"], 7);
    assert!(answer.body.ends_with("data: [DONE]\n\n"));
    assert_eq!(answer.header("x-brightline-action"), Some("allow"));
    assert_eq!(answer.header("x-request-id"), Some("up-1"));
}

#[tokio::test]
async fn chat_stops_before_what_is_blocked() {
    let text = script::chat("", "Well, then. The azure lantern is lit.", &[]);
    let answer = every_cut("/v1/chat/completions", chat_request(), text).await;
    assert!(!answer.body.to_lowercase().contains("azure"), "{}", answer.body);
    assert_eq!(answer.joined("/choices/0/delta/refusal"), "That stays unsaid.");
    assert_eq!(answer.joined("/choices/0/finish_reason"), "content_filter");
    let last = answer.events().pop().unwrap();
    assert_eq!(last["brightline"]["response"][0]["findings"][0]["clause"], "unsaid");
    assert!(answer.body.ends_with("data: [DONE]\n\n"));
}

#[tokio::test]
async fn chat_redacts_in_place() {
    let text = script::chat(
        "Ask bob@example.org.",
        "Write to ada@example.org or to no one.",
        &[("send", "{\"to\": \"eve@example.org\", \"n\": 1}")],
    );
    let answer = every_cut("/v1/chat/completions", chat_request(), text).await;
    assert!(!answer.body.contains("example.org"), "{}", answer.body);
    assert_eq!(answer.joined("/choices/0/delta/content"), "Write to [email] or to no one.");
    assert_eq!(answer.joined("/choices/0/delta/reasoning_content"), "Ask [email].");
    assert_eq!(
        answer.joined("/choices/0/delta/tool_calls/0/function/arguments"),
        "{\"to\": \"[email]\", \"n\": 1}"
    );
}

#[tokio::test]
async fn nothing_of_a_blocked_tool_call_is_shown() {
    for (name, arguments) in
        [("pull_lever", "{}"), ("say", "{\"text\": \"azure lantern\"}"), ("pull_lever", "")]
    {
        let text = script::chat("", "Let me see.", &[("look", "{}"), (name, arguments)]);
        let answer = every_cut("/v1/chat/completions", chat_request(), text).await;
        assert!(!answer.body.contains("\"call_1\""), "{}", answer.body);
        assert!(!answer.body.contains("azure"), "{}", answer.body);
        assert_eq!(answer.joined("/choices/0/finish_reason"), "content_filter");

        let text = script::messages(&[("text", "Let me see.", ""), ("tool_use", name, arguments)]);
        let answer = every_cut("/v1/messages", messages_request(), text).await;
        assert!(!answer.body.contains("tool_use") && !answer.body.contains("azure"), "{}", answer.body);
        assert_eq!(answer.joined("/delta/stop_reason"), "refusal");

        let text = script::responses(&[("message", "Let me see.", ""), ("function_call", name, arguments)]);
        let answer = every_cut("/v1/responses", responses_request(), text).await;
        assert!(!answer.body.contains("function_call") && !answer.body.contains("azure"), "{}", answer.body);
        assert_eq!(answer.events().pop().unwrap()["type"], "response.completed");
    }
}

#[tokio::test]
async fn each_choice_is_judged_by_itself() {
    let mut all = Vec::new();
    for piece in ["The az", "ure lan", "tern is lit."] {
        all.push(chat_chunk(0, json!({"content": "Fine. "}), None));
        all.push(chat_chunk(1, json!({"content": piece}), None));
    }
    all.push(chat_chunk(1, json!({}), Some("stop")));
    all.push(chat_chunk(0, json!({}), Some("stop")));
    let mut request = chat_request();
    request["n"] = 2.into();
    let answer = every_cut("/v1/chat/completions", request, chat_events(&all)).await;
    let of = |index: u64, place: &str| -> String {
        let events = answer.events();
        let of = events.iter().filter(|event| event.pointer("/choices/0/index") == Some(&index.into()));
        of.filter_map(|event| event.pointer(place)?.as_str().map(str::to_string)).collect()
    };
    assert_eq!(of(0, "/choices/0/delta/content"), "Fine. Fine. Fine. ");
    assert_eq!(of(0, "/choices/0/finish_reason"), "stop");
    assert_eq!(of(1, "/choices/0/delta/refusal"), "That stays unsaid.");
    assert_eq!(of(1, "/choices/0/finish_reason"), "content_filter");
    assert!(!answer.body.contains("azure") && !answer.body.contains("tern"), "{}", answer.body);
}

#[tokio::test]
async fn words_in_fields_nobody_reads_are_withheld() {
    let all =
        [chat_chunk(0, json!({"role": "assistant", "content": "Fine.", "aside": "azure lantern"}), None), {
            let mut chunk = chat_chunk(0, json!({}), Some("stop"));
            chunk["choices"][0]["logprobs"] = json!({"content": [{"token": "azure lantern"}]});
            chunk["note"] = "azure lantern".into();
            chunk
        }];
    let answer = every_cut("/v1/chat/completions", chat_request(), chat_events(&all)).await;
    assert!(!answer.body.contains("azure"), "{}", answer.body);
    assert_eq!(answer.joined("/choices/0/delta/content"), "Fine.");
    let withheld = answer.events().pop().unwrap()["brightline"]["withheld"].clone();
    assert_eq!(withheld, json!(["choices.delta.aside", "note"]));

    let text = script::messages(&[("text", "Fine.", "")])
        .replace("event: message_delta", "event: new_thing\ndata: {\"type\":\"new_thing\",\"words\":\"azure lantern\"}\n\nevent: message_delta");
    let answer = every_cut("/v1/messages", messages_request(), text).await;
    assert!(!answer.body.contains("azure"), "{}", answer.body);
    assert_eq!(answer.joined("/delta/text"), "Fine.");
}

#[tokio::test]
async fn messages_keep_their_blocks() {
    let text = script::messages(&[
        ("thinking", "Who asks?", ""),
        ("text", "It is ", ""),
        ("text", "a lamp 😀.", ""),
        ("tool_use", "look", "{\"at\": \"it\"}"),
        ("tool_use", "now", ""),
    ]);
    let answer = every_cut("/v1/messages", messages_request(), text).await;
    let events = answer.events();
    let starts: Vec<_> = events.iter().filter(|event| event["type"] == "content_block_start").collect();
    let stops: Vec<_> = events.iter().filter(|event| event["type"] == "content_block_stop").collect();
    assert_eq!(starts.iter().map(|it| it["index"].as_u64().unwrap()).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
    assert_eq!(stops.iter().map(|it| it["index"].as_u64().unwrap()).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
    assert_eq!(starts[3]["content_block"]["name"], "look");
    assert_eq!(answer.joined("/delta/thinking"), "Who asks?");
    assert_eq!(answer.joined("/delta/text"), "It is a lamp 😀.");
    assert_eq!(answer.joined("/delta/partial_json"), "{\"at\": \"it\"}");
    assert_eq!(answer.joined("/delta/signature"), "c2ln");
    assert_eq!(answer.joined("/delta/stop_reason"), "tool_use");
    assert_eq!(events.last().unwrap()["type"], "message_stop");
}

#[tokio::test]
async fn messages_stop_with_a_refusal() {
    let text = script::messages(&[("text", "Well. The azure", ""), ("text", "lantern is lit.", "")]);
    let answer = every_cut("/v1/messages", messages_request(), text).await;
    assert!(!answer.body.contains("lantern is"), "found across two blocks: {}", answer.body);
    assert_eq!(answer.joined("/delta/stop_reason"), "refusal");
    assert!(answer.joined("/delta/text").ends_with("That stays unsaid."));
    assert_eq!(answer.events().pop().unwrap()["type"], "message_stop");

    let text = script::messages(&[("thinking", "the azure lantern", ""), ("text", "Hello.", "")]);
    let answer = every_cut("/v1/messages", messages_request(), text).await;
    assert!(!answer.body.contains("azure") && !answer.body.contains("c2ln"), "{}", answer.body);
}

#[tokio::test]
async fn messages_redact_in_place() {
    let text = script::messages(&[
        ("thinking", "bob@example.org asks", ""),
        ("text", "Write to ada@example.org, ", ""),
        ("text", "or call.", ""),
        ("tool_use", "send", "{\"to\": \"eve@example.org\"}"),
    ]);
    let answer = every_cut("/v1/messages", messages_request(), text).await;
    assert!(!answer.body.contains("example.org"), "{}", answer.body);
    assert_eq!(answer.joined("/delta/thinking"), "[email] asks");
    assert_eq!(answer.joined("/delta/text"), "Write to [email], or call.");
    assert_eq!(answer.joined("/delta/partial_json"), "{\"to\": \"[email]\"}");
    assert_eq!(answer.joined("/delta/signature"), "", "the signature is that of another text");
}

#[tokio::test]
async fn responses_repeat_what_was_shown() {
    let text = script::responses(&[
        ("reasoning", "Ask bob@example.org.", ""),
        ("message", "Write to ada@example.org 😀.", ""),
        ("function_call", "send", "{\"to\": \"eve@example.org\"}"),
    ]);
    let answer = every_cut("/v1/responses", responses_request(), text).await;
    assert!(!answer.body.contains("example.org"), "{}", answer.body);
    let events = answer.events();
    let of = |kind: &str| events.iter().filter(|it| it["type"] == kind).cloned().collect::<Vec<_>>();
    let deltas =
        |kind: &str| of(kind).iter().map(|it| it["delta"].as_str().unwrap().to_string()).collect::<String>();
    assert_eq!(deltas("response.output_text.delta"), "Write to [email] 😀.");
    assert_eq!(deltas("response.reasoning_summary_text.delta"), "Ask [email].");
    assert_eq!(deltas("response.function_call_arguments.delta"), "{\"to\": \"[email]\"}");
    assert_eq!(of("response.output_text.done")[0]["text"], "Write to [email] 😀.");
    assert_eq!(of("response.content_part.done")[0]["part"]["text"], "Write to [email] 😀.");
    assert_eq!(of("response.reasoning_summary_text.done")[0]["text"], "Ask [email].");
    assert_eq!(of("response.function_call_arguments.done")[0]["arguments"], "{\"to\": \"[email]\"}");
    let output = &of("response.completed")[0]["response"]["output"];
    assert_eq!(output[0]["summary"][0]["text"], "Ask [email].");
    assert_eq!(output[1]["content"][0]["text"], "Write to [email] 😀.");
    assert_eq!(output[2]["arguments"], "{\"to\": \"[email]\"}");
    assert_eq!(of("response.completed")[0]["response"]["usage"]["total_tokens"], 7);
    let numbers: Vec<u64> = events.iter().map(|it| it["sequence_number"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (0..numbers.len() as u64).collect::<Vec<_>>());
}

#[tokio::test]
async fn responses_stop_with_a_refusal() {
    let text = script::responses(&[("message", "Well, then. The azure lantern is lit.", "")]);
    let answer = every_cut("/v1/responses", responses_request(), text).await;
    assert!(!answer.body.contains("azure"), "{}", answer.body);
    let last = answer.events().pop().unwrap();
    assert_eq!(last["type"], "response.completed");
    let output = last["response"]["output"].as_array().unwrap();
    assert_eq!(
        output.last().unwrap()["content"][0],
        json!({"type": "refusal", "refusal": "That stays unsaid."})
    );
    assert_eq!(last["response"]["brightline"]["response"][0]["action"], "block");
}

#[tokio::test]
async fn blocks_that_interleave_are_no_answer() {
    let begin = |index: u64| {
        json!({"type": "content_block_start", "index": index,
            "content_block": {"type": "tool_use", "id": format!("t{index}"), "name": "look", "input": {}}})
    };
    let more = |index: u64| {
        json!({"type": "content_block_delta", "index": index,
            "delta": {"type": "input_json_delta", "partial_json": "{\"at\": \"it\"}"}})
    };
    let whole = script::messages(&[("text", "Well.", "")]);
    let start = whole.split("event: content_block_start").next().unwrap();
    let told: String = [begin(0), begin(1), more(1), more(0)]
        .iter()
        .map(|event| format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap()))
        .collect();
    let answer = every_cut("/v1/messages", messages_request(), format!("{start}{told}")).await;
    assert_eq!(answer.events().pop().unwrap()["type"], "error", "{}", answer.body);
}
