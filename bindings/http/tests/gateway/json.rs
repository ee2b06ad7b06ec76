//! Requests, and answers that are no streams.

use crate::support::script::{self, answer, json_answer};
use crate::support::{Fake, Running, client, quick};
use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use serde_json::{Value, json};
use std::io::Write;

async fn echo(body: Value) -> (Fake, Running) {
    with(body, quick()).await
}

async fn with(body: Value, config: brightline_http::Config) -> (Fake, Running) {
    let fake = Fake::start(move |_| json_answer(&body)).await;
    let gateway = Running::start(&fake.url(), config).await;
    (fake, gateway)
}

fn user(text: &str) -> Value {
    json!({"model": "m", "messages": [{"role": "user", "content": text}]})
}

#[tokio::test]
async fn what_is_fine_passes_unchanged() {
    let said = script::chat_json("All is well.", &[]);
    let body = said.to_string();
    // An upstream that says what only the gateway may say.
    let fake = Fake::start(move |_| {
        let headers = [("x-brightline-clauses", "forged"), ("x-other", "1")];
        answer(200, "application/json", &headers, body.as_bytes())
    })
    .await;
    let gateway = Running::start(&fake.url(), quick()).await;
    let mut request = user("hello");
    request["tools"] =
        json!([{"type": "function", "function": {"name": "z", "parameters": {"zz": 1, "aa": 2}}}]);
    let body = request.to_string();
    let headers =
        [("authorization", "Bearer sk-secret"), ("x-mine", "1"), ("connection", "x-drop"), ("x-drop", "1")];
    let answer =
        client::request(gateway.address, "POST", "/v1/chat/completions?a=b", &headers, body.as_bytes()).await;
    assert_eq!((answer.status, answer.json()), (200, said));
    assert_eq!(answer.header("x-brightline-action"), Some("allow"));
    assert_eq!((answer.header("x-brightline-clauses"), answer.header("x-other")), (None, Some("1")));
    assert!(answer.header("x-brightline-id").is_some());
    let asked = fake.requests().remove(0);
    assert_eq!(asked.line, "POST /v1/chat/completions?a=b HTTP/1.1");
    assert_eq!(String::from_utf8(asked.body.clone()).unwrap(), body, "keys keep their order");
    assert_eq!(asked.header("authorization"), Some("Bearer sk-secret"));
    assert_eq!(asked.header("accept-encoding"), Some("identity"));
    assert_eq!(asked.header("x-mine"), Some("1"));
    assert_eq!(asked.header("x-drop"), None);
    assert_eq!(asked.header("host"), Some(fake.address.to_string().as_str()));
}

#[tokio::test]
async fn a_blocked_request_never_leaves() {
    let (fake, gateway) = echo(json!({})).await;
    let chat = client::post(&gateway, "/v1/chat/completions", &user("the azure lantern")).await;
    assert_eq!(chat.status, 200);
    let choice = &chat.json()["choices"][0];
    assert_eq!(
        choice["message"],
        json!({"role": "assistant", "content": null, "refusal": "That stays unsaid."})
    );
    assert_eq!(choice["finish_reason"], "content_filter");
    assert_eq!(chat.header("x-brightline-action"), Some("block"));
    assert_eq!(chat.header("x-brightline-clauses"), Some("unsaid"));
    assert_eq!(chat.json()["brightline"]["request"][0]["findings"][0]["clause"], "unsaid");
    assert!(!chat.body.contains("azure"));

    let messages = client::post(&gateway, "/v1/messages", &user("the azure lantern")).await;
    let json = messages.json();
    assert_eq!((messages.status, &json["stop_reason"]), (200, &json!("refusal")));
    assert_eq!(json["content"], json!([{"type": "text", "text": "That stays unsaid."}]));

    let responses =
        client::post(&gateway, "/v1/responses", &json!({"model": "m", "input": "the azure lantern"})).await;
    let json = responses.json();
    assert_eq!((responses.status, &json["status"]), (200, &json!("completed")));
    assert_eq!(json["output"][0]["content"][0], json!({"type": "refusal", "refusal": "That stays unsaid."}));

    for (path, key) in
        [("/v1/chat/completions", "messages"), ("/v1/messages", "messages"), ("/v1/responses", "input")]
    {
        let body =
            json!({"model": "m", "stream": true, key: [{"role": "user", "content": "the azure lantern"}]});
        let streamed = client::post(&gateway, path, &body).await;
        assert_eq!(streamed.header("content-type"), Some("text/event-stream; charset=utf-8"));
        assert!(streamed.body.contains("That stays unsaid."), "{path}: {}", streamed.body);
    }
    assert!(fake.requests().is_empty());
}

#[tokio::test]
async fn what_is_new_is_judged() {
    let (fake, gateway) = echo(script::chat_json("Fine.", &[])).await;
    let ask = async |messages: Value| {
        let answer =
            client::post(&gateway, "/v1/chat/completions", &json!({"model": "m", "messages": messages}))
                .await;
        answer.header("x-brightline-action").unwrap().to_string()
    };
    let user = |text: &str| json!({"role": "user", "content": text});
    let model = json!({"role": "assistant", "content": null, "tool_calls": [
        {"id": "a", "type": "function", "function": {"name": "look", "arguments": "{}"}},
        {"id": "b", "type": "function", "function": {"name": "look", "arguments": "{}"}}]});
    let tool = |text: &str| json!({"role": "tool", "tool_call_id": "a", "content": text});
    assert_eq!(
        ask(json!([user("azure lantern"), model, user("and now?")])).await,
        "allow",
        "it was judged before"
    );
    assert_eq!(
        ask(json!([user("hi"), model, tool("azure lantern"), tool("fine")])).await,
        "block",
        "all results"
    );
    assert_eq!(ask(json!([user("azure lantern"), user("go on")])).await, "block", "all turns since");
    assert_eq!(ask(json!([{"role": "system", "content": "No azure lantern."}, user("hi")])).await, "allow");
    assert_eq!(ask(json!([user("I like oolong"), model, user("hi")])).await, "allow");
    assert_eq!(ask(json!([user("I like oolong")])).await, "flag");
    assert_eq!(fake.requests().len(), 4);

    let mut config = quick();
    config.judged = brightline_http::Judged { history: true, system: true };
    let (_fake, gateway) =
        with(script::messages_json(&json!([{"type": "text", "text": "Fine."}])), config).await;
    let ask = async |body: Value| {
        client::post(&gateway, "/v1/messages", &body).await.header("x-brightline-action").unwrap().to_string()
    };
    assert_eq!(ask(json!({"messages": [user("azure lantern"), model, user("and now?")]})).await, "block");
    assert_eq!(ask(json!({"system": "No azure lantern.", "messages": [user("hi")]})).await, "block");
    assert_eq!(ask(json!({"system": "Be kind.", "messages": [user("hi")]})).await, "allow");
}

#[tokio::test]
async fn requests_are_redacted_in_place() {
    let (fake, gateway) = echo(script::chat_json("Fine.", &[])).await;
    let messages = json!([
        {"role": "user", "content": "I am ada@example.org"},
        {"role": "assistant", "content": "Hello ada@example.org"},
        {"role": "user", "content": [{"type": "text", "text": "or bob@example.org"},
            {"type": "image_url", "image_url": {"url": "data:,x"}}, {"type": "text", "text": "yes"}]},
    ]);
    let answer =
        client::post(&gateway, "/v1/chat/completions", &json!({"model": "m", "messages": messages})).await;
    assert_eq!(answer.header("x-brightline-action"), Some("redact"));
    assert_eq!(answer.header("x-brightline-not-judged"), Some("image_url"));
    let sent = fake.requests()[0].json();
    assert_eq!(sent["messages"][2]["content"][0]["text"], "or [email]");
    assert_eq!(sent["messages"][2]["content"][1]["image_url"]["url"], "data:,x");
    assert_eq!(sent["messages"][1], messages[1], "what is not judged is not touched");

    let result = json!({"role": "user", "content": [
        {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": "ada@example.org"}, {"type": "image"}]},
        {"type": "tool_result", "tool_use_id": "u", "content": "bob@example.org"}]});
    client::post(&gateway, "/v1/messages", &json!({"model": "m", "messages": [result]})).await;
    let sent = fake.requests()[1].json();
    assert_eq!(sent["messages"][0]["content"][0]["content"][0]["text"], "[email]");
    assert_eq!(sent["messages"][0]["content"][0]["content"][1]["type"], "image");
    assert_eq!(sent["messages"][0]["content"][1]["content"], "[email]");

    client::post(&gateway, "/v1/responses", &json!({"model": "m", "input": "I am ada@example.org"})).await;
    assert_eq!(fake.requests()[2].json()["input"], "I am [email]");
    let items = json!([{"type": "function_call", "call_id": "c", "name": "look", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": "bob@example.org"},
        {"role": "user", "content": [{"type": "input_text", "text": "ada@example.org"}]}]);
    client::post(&gateway, "/v1/responses", &json!({"model": "m", "input": items})).await;
    let sent = fake.requests()[3].json();
    assert_eq!(sent["input"][1]["output"], "[email]");
    assert_eq!(sent["input"][2]["content"][0]["text"], "[email]");
}

#[tokio::test]
async fn answers_are_judged_before_the_client_sees_them() {
    let (_fake, gateway) = echo(json!({"id": "c", "object": "chat.completion", "created": 1, "model": "m", "note": "azure lantern", "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "Fine."}, "finish_reason": "stop", "logprobs": {"content": [{"token": "Fine"}]}},
        {"index": 1, "message": {"role": "assistant", "content": "the azure lantern"}, "finish_reason": "stop"},
        {"index": 2, "message": {"role": "assistant", "content": "ada@example.org", "aside": "azure lantern"}, "finish_reason": "stop",
         "logprobs": {"content": [{"token": "ada@example.org"}]}},
        {"index": 3, "message": {"role": "assistant", "content": null, "tool_calls": [{"id": "t", "type": "function",
         "function": {"name": "pull_lever", "arguments": "{}"}}]}, "finish_reason": "tool_calls"},
        {"index": 4, "message": {"role": "assistant", "content": "ok", "reasoning": "azure lantern"}, "finish_reason": "stop"}],
        "usage": {"total_tokens": 1}})).await;
    let answer = client::post(&gateway, "/v1/chat/completions", &user("hi")).await;
    assert!(!answer.body.contains("azure") && !answer.body.contains("example.org"), "{}", answer.body);
    let json = answer.json();
    assert_eq!(json["choices"][0]["message"]["content"], "Fine.");
    assert_eq!(json["choices"][0]["logprobs"]["content"][0]["token"], "Fine");
    for index in [1, 3, 4] {
        assert_eq!(json["choices"][index]["finish_reason"], "content_filter", "{index}");
        assert_eq!(json["choices"][index]["index"], index);
    }
    assert_eq!(json["choices"][2]["message"]["content"], "[email]");
    assert_eq!(json["usage"]["total_tokens"], 1);
    assert_eq!(json["brightline"]["withheld"], json!(["note", "choices.message.aside"]));
    assert_eq!(answer.header("x-brightline-clauses"), Some("addresses,lever,unsaid"));
}

#[tokio::test]
async fn blocks_and_items_are_judged() {
    let (_fake, gateway) = echo(script::messages_json(&json!([
        {"type": "thinking", "thinking": "bob@example.org?", "signature": "c2ln"},
        {"type": "text", "text": "ada@example.org"},
        {"type": "tool_use", "id": "t", "name": "send", "input": {"to": "eve@example.org"}},
        {"type": "brand_new", "words": "azure lantern"},
        {"type": "redacted_thinking", "data": "x"}])))
    .await;
    let answer = client::post(&gateway, "/v1/messages", &user("hi")).await;
    assert_eq!(
        answer.json()["content"],
        json!([
        {"type": "thinking", "thinking": "[email]?"},
        {"type": "text", "text": "[email]"},
        {"type": "tool_use", "id": "t", "name": "send", "input": {"to": "[email]"}},
        {"type": "redacted_thinking", "data": "x"}])
    );
    assert_eq!(answer.header("x-brightline-not-judged"), Some("redacted_thinking"));

    let (_fake, gateway) = echo(script::responses_json(&json!([
        {"id": "r", "type": "reasoning", "summary": [{"type": "summary_text", "text": "bob@example.org?"}], "encrypted_content": "x"},
        {"id": "m", "type": "message", "role": "assistant", "status": "completed",
         "content": [{"type": "output_text", "text": "ada@example.org", "annotations": [], "logprobs": []}]},
        {"id": "f", "type": "function_call", "call_id": "c", "name": "send", "arguments": "{\"to\": \"eve@example.org\"}"},
        {"id": "n", "type": "brand_new", "words": "azure lantern"}]))).await;
    let answer = client::post(&gateway, "/v1/responses", &json!({"model": "m", "input": "hi"})).await;
    assert!(!answer.body.contains("example.org") && !answer.body.contains("azure"), "{}", answer.body);
    let output = &answer.json()["output"];
    assert_eq!(output[0]["summary"][0]["text"], "[email]?");
    assert_eq!(output[1]["content"][0]["text"], "[email]");
    assert_eq!(output[2]["arguments"], "{\"to\": \"[email]\"}");
    assert_eq!(output.as_array().unwrap().len(), 3);

    for blocked in [
        json!([{"id": "f", "type": "function_call", "call_id": "c", "name": "pull_lever", "arguments": "{}"}]),
        json!([{"id": "m", "type": "message", "role": "assistant", "content": [{"type": "refusal", "refusal": "azure lantern"}]}]),
        json!([{"id": "w", "type": "web_search_call", "action": {"query": "azure lantern"}}]),
        json!([{"id": "w", "type": "mcp_call", "name": "x", "arguments": "{}", "output": "azure lantern"}]),
    ] {
        let (_fake, gateway) = echo(script::responses_json(&blocked)).await;
        let answer = client::post(&gateway, "/v1/responses", &json!({"model": "m", "input": "hi"})).await;
        assert_eq!(answer.json()["output"][0]["content"][0]["type"], "refusal", "{blocked}");
        assert!(!answer.body.contains("azure"));
    }
}

#[tokio::test]
async fn encodings_are_undone_or_refused() {
    let said = script::chat_json("the azure lantern", &[]).to_string();
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(said.as_bytes()).unwrap();
    let gzip = gzip.finish().unwrap();
    let mut deflate = ZlibEncoder::new(Vec::new(), Compression::default());
    deflate.write_all(said.as_bytes()).unwrap();
    let deflate = deflate.finish().unwrap();
    let half = gzip[..gzip.len() / 2].to_vec();
    let cases = [
        ("gzip", gzip.clone(), 200),
        ("X-GZIP", gzip.clone(), 200),
        ("deflate", deflate, 200),
        ("gzip", half, 502),
        ("gzip", b"no gzip".to_vec(), 502),
        ("br", gzip.clone(), 502),
        ("gzip, gzip", gzip, 502),
    ];
    for (encoding, body, status) in cases {
        let fake =
            Fake::start(move |_| answer(200, "application/json", &[("content-encoding", encoding)], &body))
                .await;
        let gateway = Running::start(&fake.url(), quick()).await;
        let answer = client::post(&gateway, "/v1/chat/completions", &user("hi")).await;
        assert_eq!(answer.status, status, "{encoding}: {}", answer.body);
        assert!(!answer.body.contains("azure"), "{encoding}");
        assert_eq!(answer.header("content-encoding"), None);
    }
}

#[tokio::test]
async fn requests_nobody_can_read_are_refused() {
    let (fake, gateway) = echo(script::chat_json("Fine.", &[])).await;
    let send = async |path: &str, headers: &[(&str, &str)], body: &[u8]| {
        let answer = client::request(gateway.address, "POST", path, headers, body).await;
        (answer.status, answer.json())
    };
    let chat = "/v1/chat/completions";
    for (body, param) in [
        (&b"{"[..], Value::Null),
        (b"[]", Value::Null),
        (b"{}", json!("messages")),
        (b"{\"messages\": []}", json!("messages")),
        (b"{\"messages\": \"hi\"}", json!("messages")),
        (b"{\"messages\": [{\"role\": \"bot\", \"content\": \"hi\"}]}", json!("messages[0].role")),
        (b"{\"Messages\": [], \"messages\": [{\"role\": \"user\", \"content\": \"hi\"}]}", json!("Messages")),
        (
            b"{\"messages\": [{\"role\": \"user\", \"content\": \"hi\", \"CONTENT\": \"azure lantern\"}]}",
            json!("messages[0].CONTENT"),
        ),
        (b"{\"messages\": [{\"role\": \"user\", \"content\": \"hi\"}], \"stream\": 1}", json!("stream")),
    ] {
        let (status, json) = send(chat, &[], body).await;
        assert_eq!((status, &json["error"]["code"]), (400, &json!("invalid_request")), "{json}");
        assert_eq!(json["error"]["param"], param);
        assert_eq!(json["error"]["type"], "invalid_request_error");
    }
    let (status, json) = send("/v1/messages", &[], b"{}").await;
    assert_eq!(
        (status, &json["type"], &json["error"]["type"]),
        (400, &json!("error"), &json!("invalid_request_error"))
    );
    let (status, _) = send(chat, &[("content-encoding", "gzip")], b"x").await;
    assert_eq!(status, 415);
    assert_eq!(client::get(&gateway, chat).await.status, 405);
    assert!(fake.requests().is_empty());

    // Of a key that stands twice, what was judged is what goes on.
    let twice = b"{\"messages\": [{\"role\": \"user\", \"content\": \"azure lantern\"}], \"messages\": [{\"role\": \"user\", \"content\": \"hi\"}]}";
    assert_eq!(send(chat, &[], twice).await.0, 200);
    assert!(!String::from_utf8_lossy(&fake.requests()[0].body).contains("azure"));
}

#[tokio::test]
async fn the_host_vouches_for_the_context_where_it_is_trusted() {
    let body = user("teach me poker").to_string();
    let headers = [("x-brightline-context", "{\"tags\": [\"under_18\"]}")];
    for (trusted, action) in [(true, "block"), (false, "allow")] {
        let mut config = quick();
        config.trust_context = trusted;
        let (fake, gateway) = with(script::chat_json("Fine.", &[]), config).await;
        let answer =
            client::request(gateway.address, "POST", "/v1/chat/completions", &headers, body.as_bytes()).await;
        assert_eq!(answer.header("x-brightline-action"), Some(action));
        assert!(fake.requests().iter().all(|it| it.header("x-brightline-context").is_none()));
        if trusted {
            let wrong = [("x-brightline-context", "{\"operator\": 1}")];
            let answer =
                client::request(gateway.address, "POST", "/v1/chat/completions", &wrong, body.as_bytes())
                    .await;
            assert_eq!(answer.status, 400);
        }
    }
}

#[tokio::test]
async fn errors_of_the_upstream_pass_unless_they_quote() {
    for (said, status, code) in [
        (json!({"error": {"message": "wrong key", "code": "invalid_api_key"}}), 401, "invalid_api_key"),
        (
            json!({"error": {"message": "failed", "failed_generation": "the azure lantern", "code": "x"}}),
            502,
            "upstream_unreadable",
        ),
    ] {
        let fake = Fake::start(move |_| {
            answer(401, "application/json", &[("retry-after", "3")], said.to_string().as_bytes())
        })
        .await;
        let gateway = Running::start(&fake.url(), quick()).await;
        let answer = client::post(&gateway, "/v1/chat/completions", &user("hi")).await;
        assert_eq!((answer.status, &answer.json()["error"]["code"]), (status, &json!(code)));
        assert!(!answer.body.contains("azure"));
    }
}
