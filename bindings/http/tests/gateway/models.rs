//! A guard with models: what the screen settles and what the full model has to read end in the same verdicts.

use crate::support::script::{self, json_answer};
use crate::support::{Fake, Running, client, quick};
use brightline::wire;
use brightline::{Compiler, Guard, GuardOptions, Models};
use brightline_http::ops::live::Live;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;

const POLICY: &str = r#"
## Weapons {#weapons authority=root}

They hurt.

~~~rule
on      = ["request", "response", "tool_result"]
when    = 'label("weapons_conventional").at_fpr(0.01)'
action  = "block"
message = "Not of weapons."
~~~
"#;

/// Settled by the screen, and read by the full model as well.
const PLAIN: &str = "how can i cook bread";
const HARSH: &str = "tell me how to make a dagger";

fn guard() -> Guard {
    let models =
        Models::load(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../core/src/classifier/testdata"));
    let policy = Compiler::without_files().text("models.md", POLICY).into_policy().unwrap();
    Guard::with(policy, GuardOptions { models: Some(models.unwrap()), ..GuardOptions::default() }).unwrap()
}

async fn gateway(upstream: &str) -> Running {
    Running::with(upstream, quick(), Arc::new(Live::new(guard())), Arc::default()).await
}

fn tiers(verdict: &Value) -> Vec<&str> {
    verdict["scanned"]["tiers"].as_array().unwrap().iter().map(|it| it.as_str().unwrap()).collect()
}

#[tokio::test]
async fn checks_are_those_of_the_library() {
    let (gateway, guard) = (gateway("http://127.0.0.1:9").await, guard());
    for (text, read) in [(PLAIN, vec!["rules", "screen"]), (HARSH, vec!["rules", "screen", "full"])] {
        let record = json!({"request": text});
        let mut verdict = client::post(&gateway, "/v1/check", &record).await.json();
        assert_eq!(tiers(&verdict), read);
        let input = record.to_string();
        let mut wanted =
            serde_json::to_value(guard.check(&wire::parse(input.as_bytes()).unwrap()).unwrap()).unwrap();
        for verdict in [&mut verdict, &mut wanted] {
            verdict["elapsed_us"] = 0.into();
        }
        assert_eq!(verdict, wanted);
    }
}

#[tokio::test]
async fn each_message_and_each_choice_has_its_own_verdict() {
    let choice = |index: u64, text: &str| json!({"index": index, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"});
    let said = json!({"id": "c", "object": "chat.completion", "created": 1, "model": "m",
        "choices": [choice(0, PLAIN), choice(1, HARSH), choice(2, PLAIN), choice(3, HARSH)]});
    let fake = Fake::start(move |_| json_answer(&said)).await;
    let gateway = gateway(&fake.url()).await;
    let ask = async |messages: Value| {
        client::post(&gateway, "/v1/chat/completions", &json!({"model": "m", "messages": messages})).await
    };
    let answer = ask(json!([{"role": "user", "content": PLAIN}])).await.json();
    let texts: Vec<&Value> =
        answer["choices"].as_array().unwrap().iter().map(|it| &it["message"]["content"]).collect();
    assert_eq!(texts, [&json!(PLAIN), &Value::Null, &json!(PLAIN), &Value::Null], "{answer}");
    assert_eq!(answer["choices"][3]["message"]["refusal"], "Not of weapons.");
    // Of two messages that are new, the screen settles the first.
    let call = json!({"role": "assistant", "content": null, "tool_calls": [
        {"id": "1", "type": "function", "function": {"name": "look", "arguments": "{}"}},
        {"id": "2", "type": "function", "function": {"name": "look", "arguments": "{}"}}]});
    let results = |first: &str, second: &str| {
        json!([{"role": "user", "content": PLAIN}, call,
            {"role": "tool", "tool_call_id": "1", "content": first},
            {"role": "tool", "tool_call_id": "2", "content": second}])
    };
    let before = fake.requests().len();
    for messages in [results(PLAIN, HARSH), results(HARSH, PLAIN)] {
        let answer = ask(messages).await;
        assert_eq!(answer.header("x-brightline-action"), Some("block"), "{}", answer.body);
    }
    assert_eq!(fake.requests().len(), before, "nothing of them went out");
    assert_eq!(ask(results(PLAIN, PLAIN)).await.json()["choices"][0]["message"]["content"], PLAIN);
}

#[tokio::test]
async fn streams_stop_at_what_the_models_read() {
    for (text, shown) in [(PLAIN, true), (HARSH, false)] {
        for cut in [1, 7, 1 << 20] {
            let said = script::chat("", text, &[]);
            let fake = Fake::start(move |_| script::stream(&said, cut)).await;
            let gateway = gateway(&fake.url()).await;
            let request =
                json!({"model": "m", "stream": true, "messages": [{"role": "user", "content": PLAIN}]});
            let answer = client::post(&gateway, "/v1/chat/completions", &request).await;
            let said: String = answer
                .events()
                .iter()
                .filter_map(|event| event.pointer("/choices/0/delta/content").and_then(Value::as_str))
                .collect();
            assert_eq!(said == text, shown, "cut every {cut} bytes: {said}");
            assert!(!said.contains("dagger"));
        }
    }
}
