//! The gateway's own endpoints.

use crate::support::script::{answer, json_answer};
use crate::support::{Fake, Running, client, quick};
use serde_json::{Value, json};

async fn alone() -> Running {
    Running::start("http://127.0.0.1:9", quick()).await
}

#[tokio::test]
async fn checks_take_records_and_give_verdicts() {
    let gateway = alone().await;
    let verdict =
        client::post(&gateway, "/v1/check", &json!({"id": "a", "request": "the azure lantern"})).await.json();
    assert_eq!((&verdict["id"], &verdict["action"]), (&json!("a"), &json!("block")));
    assert_eq!(verdict["findings"][0]["evidence"][0]["spans"][0]["start"], 4);
    let wrong = client::post(&gateway, "/v1/check", &json!({"request": 3})).await;
    assert_eq!((wrong.status, &wrong.json()["error"]["param"]), (400, &json!("request")));

    let records =
        json!({"records": [{"id": 1, "text": "fine"}, {"id": "x"}, {"response": "ada@example.org"}]});
    let verdicts = client::post(&gateway, "/v1/check/batch", &records).await.json()["verdicts"].clone();
    assert_eq!(verdicts[0]["action"], "allow");
    assert_eq!((&verdicts[1]["id"], &verdicts[1]["record"]), (&json!("x"), &json!(1)));
    assert!(verdicts[1]["error"]["message"].is_string());
    assert_eq!(verdicts[2]["redacted"], "[email]");
}

#[tokio::test]
async fn moderations_have_the_form_of_openai() {
    let gateway = alone().await;
    let ask = async |input: Value| client::post(&gateway, "/v1/moderations", &json!({"input": input})).await;
    let json = ask(json!(["fine", "the azure lantern"])).await.json();
    assert_eq!(json["results"].as_array().unwrap().len(), 2);
    let names = [
        "harassment",
        "harassment/threatening",
        "hate",
        "hate/threatening",
        "illicit",
        "illicit/violent",
        "self-harm",
        "self-harm/intent",
        "self-harm/instructions",
        "sexual",
        "sexual/minors",
        "violence",
        "violence/graphic",
    ];
    for result in json["results"].as_array().unwrap() {
        for list in ["categories", "category_scores", "category_applied_input_types"] {
            let keys: Vec<&String> = result[list].as_object().unwrap().keys().collect();
            assert_eq!(keys, names, "{list}");
        }
    }
    assert_eq!(json["results"][0]["flagged"], false);
    assert_eq!(json["results"][1]["flagged"], true);
    assert_eq!(json["results"][1]["brightline"]["findings"][0]["clause"], "unsaid");
    let parts = json!([{"type": "text", "text": "the azure lantern"}, {"type": "image_url", "image_url": {"url": "x"}}]);
    let json = ask(parts).await.json();
    assert_eq!(json["results"].as_array().unwrap().len(), 1);
    assert_eq!(json["results"][0]["brightline"]["not_judged"], json!(["image_url"]));
    for wrong in [json!([]), json!(3), json!([{"text": "no type"}])] {
        assert_eq!(ask(wrong).await.status, 400);
    }
}

#[tokio::test]
async fn litellm_gets_one_of_three_actions() {
    let gateway = alone().await;
    let ask = async |texts: Value, kind: &str| {
        let body = json!({"texts": texts, "input_type": kind, "request_data": {}, "litellm_call_id": "1",
            "additional_provider_specific_params": {}, "structured_messages": [], "model": "m"});
        client::post(&gateway, "/beta/litellm_basic_guardrail_api", &body).await.json()
    };
    assert_eq!(ask(json!(["fine"]), "request").await, json!({"action": "NONE"}));
    let blocked = ask(json!(["fine", "the azure lantern"]), "response").await;
    assert_eq!(
        (&blocked["action"], &blocked["blocked_reason"]),
        (&json!("BLOCKED"), &json!("That stays unsaid."))
    );
    let redacted = ask(json!(["fine", "ada@example.org"]), "request").await;
    assert_eq!(redacted["action"], "GUARDRAIL_INTERVENED");
    assert_eq!(redacted["texts"], json!(["fine", "[email]"]));
    let call = json!({"texts": [], "tool_calls": [{"id": "t", "type": "function", "function": {"name": "pull_lever", "arguments": "{}"}}],
        "input_type": "response"});
    let blocked = client::post(&gateway, "/beta/litellm_basic_guardrail_api", &call).await.json();
    assert_eq!(blocked["action"], "BLOCKED");
}

#[tokio::test]
async fn models_pass_and_other_paths_only_where_told() {
    let fake = Fake::start(|_| json_answer(&json!({"object": "list", "data": []}))).await;
    for (pass_through, status) in [(false, 404), (true, 200)] {
        let mut config = quick();
        config.pass_through = pass_through;
        let gateway = Running::start(&fake.url(), config).await;
        assert_eq!(client::get(&gateway, "/v1/models").await.json()["object"], "list");
        assert_eq!(client::get(&gateway, "/v1/models/a/b").await.status, 200);
        assert_eq!(client::post(&gateway, "/v1/models", &json!({})).await.status, 405);
        assert_eq!(client::post(&gateway, "/v1/embeddings", &json!({})).await.status, status);
        assert_eq!(client::post(&gateway, "/v1/messages/count_tokens", &json!({})).await.status, status);
        assert_eq!(
            client::get(&gateway, "/v1/responses/resp_1").await.status,
            404,
            "what was kept is not judged"
        );
        let other = client::get(&gateway, "/v1/moderations").await;
        assert_eq!((other.status, &other.json()["error"]["code"]), (405, &json!("method_not_allowed")));
        assert_eq!(client::get(&gateway, "/health").await.status, 200);
        assert_eq!(client::get(&gateway, "/ready").await.status, 200);
        let metrics = client::get(&gateway, "/metrics").await;
        assert_eq!(metrics.status, 200);
    }
}

#[tokio::test]
async fn an_upstream_that_is_gone_is_told_in_the_form_of_the_api() {
    let gateway = alone().await;
    let body = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]});
    let answer = client::post(&gateway, "/v1/messages", &body).await;
    assert_eq!((answer.status, &answer.json()["error"]["type"]), (502, &json!("api_error")));
    let answer = client::get(&gateway, "/v1/models").await;
    assert_eq!((answer.status, &answer.json()["error"]["code"]), (502, &json!("upstream_unreachable")));
}

#[tokio::test]
async fn html_is_no_answer() {
    let fake = Fake::start(|_| answer(200, "text/html", &[], b"<p>azure lantern</p>")).await;
    let gateway = Running::start(&fake.url(), quick()).await;
    let body = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]});
    let answer = client::post(&gateway, "/v1/chat/completions", &body).await;
    assert_eq!((answer.status, &answer.json()["error"]["code"]), (502, &json!("upstream_unreadable")));
    assert!(!answer.body.contains("azure"));
}
