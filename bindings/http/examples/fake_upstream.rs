//! An upstream for tests with real clients: answers by what it is asked, in pieces of a few bytes.
//!
//! `cargo run -p brightline-http --example fake_upstream` prints its address and serves until it is ended.
#![allow(unreachable_pub, unused_crate_dependencies, reason = "shared with the tests")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::print_stdout,
    reason = "part of the tests"
)]

#[path = "../tests/gateway/support/mod.rs"]
mod support;

use serde_json::{Value, json};
use support::script::{self, json_answer, stream};
use support::{Act, Asked, Fake};

#[tokio::main]
async fn main() {
    let fake = Fake::listen("127.0.0.1:0", respond).await;
    println!("{}", fake.url());
    std::future::pending::<()>().await;
}

/// What is asked for decides what comes back: `blocked`, `address`, `tool`, `lever`, or anything else.
fn respond(asked: &Asked) -> Vec<Act> {
    let body = asked.json();
    let request = String::from_utf8_lossy(&asked.body).to_string();
    let says = |word: &str| request.contains(word);
    let text = if says("blocked") {
        "Well, then, see for yourself. The azure lantern is lit."
    } else if says("address") {
        "Write to ada@example.org, or call — 日本 😀."
    } else {
        "All is well — 日本 😀."
    };
    let call = match (says("give me a tool"), says("lever")) {
        (_, true) => Some(("pull_lever", "{\"how\": \"hard\"}")),
        (true, _) => Some(("look", "{\"at\": \"ada@example.org\"}")),
        _ => None,
    };
    let streaming = body["stream"] == true;
    let path = asked.line.split(' ').nth(1).unwrap_or_default();
    match path {
        "/v1/models" => json_answer(&json!({"object": "list", "data": [
            {"id": "m", "object": "model", "created": 1, "owned_by": "fake"}]})),
        "/v1/messages" => {
            let mut blocks = vec![("text", text, "")];
            blocks.extend(call.map(|(name, arguments)| ("tool_use", name, arguments)));
            if streaming {
                stream(&script::messages(&blocks), 5)
            } else {
                json_answer(&whole_message(text, call))
            }
        }
        "/v1/responses" => {
            let mut items = vec![("message", text, "")];
            items.extend(call.map(|(name, arguments)| ("function_call", name, arguments)));
            if streaming {
                stream(&script::responses(&items), 5)
            } else {
                json_answer(&whole_response(text, call))
            }
        }
        _ => {
            let calls: Vec<_> = call.into_iter().collect();
            if streaming {
                stream(&script::chat("", text, &calls), 5)
            } else {
                json_answer(&script::chat_json(text, &calls))
            }
        }
    }
}

fn whole_message(text: &str, call: Option<(&str, &str)>) -> Value {
    let mut blocks = vec![json!({"type": "text", "text": text})];
    blocks.extend(call.map(|(name, arguments)| {
        let input: Value = serde_json::from_str(arguments).unwrap();
        json!({"type": "tool_use", "id": "toolu_1", "name": name, "input": input})
    }));
    script::messages_json(&blocks.into())
}

fn whole_response(text: &str, call: Option<(&str, &str)>) -> Value {
    let part = json!({"type": "output_text", "text": text, "annotations": [], "logprobs": []});
    let mut items = vec![
        json!({"id": "m", "type": "message", "role": "assistant", "status": "completed", "content": [part]}),
    ];
    items.extend(call.map(|(name, arguments)| {
        json!({"id": "f", "type": "function_call", "call_id": "c", "name": name, "arguments": arguments, "status": "completed"})
    }));
    script::responses_json(&items.into())
}
