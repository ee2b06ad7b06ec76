//! Operations behind the endpoints: what clients get while policies flip, logs fail and a shadow policy judges along.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    reason = "a test fails by panicking"
)]

mod support;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::routing::post;
use brightline_http::ops::audit::{Audit, AuditOptions, Chain, verify};
use brightline_http::ops::live::{Live, Source};
use brightline_http::ops::metrics::Metrics;
use brightline_http::ops::shadow::{Shadow, ShadowOptions};
use brightline_http::ops::telemetry::logs::{LogFormat, LogWriter};
use brightline_http::ops::{Observer, Role};
use brightline_http::{Config, Gateway, GuardLayer, Upstream};
use http::{HeaderMap, Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use support::{CANARY, document, eventually, live, number};
use tower::{Layer, ServiceExt};
use tracing::level_filters::LevelFilter;

const CLAUSES: &[(&str, &str, &str)] = &[("recipe", "sauce", "block"), ("ann", "Ann", "redact")];

/// An upstream that says what the last message asks it to say, whole or as a stream.
async fn upstream(asked: Arc<AtomicUsize>) -> String {
    let answer = move |body: Bytes| async move {
        asked.fetch_add(1, Ordering::SeqCst);
        let request: Value = serde_json::from_slice(&body).unwrap();
        let text = request["messages"].as_array().unwrap().last().unwrap()["content"].as_str().unwrap();
        let text = text.replace("say: ", "");
        let chunk = |delta: Value, finish: Value| {
            let choice = json!({"index": 0, "delta": delta, "finish_reason": finish});
            let event =
                json!({"id": "c", "object": "chat.completion.chunk", "model": "m", "choices": [choice]});
            format!("data: {event}\n\n")
        };
        let (kind, body) = if request["stream"] == true {
            let pieces = text.split_inclusive(' ').map(|piece| chunk(json!({"content": piece}), Value::Null));
            let events: String =
                pieces.chain([chunk(json!({}), json!("stop")), "data: [DONE]\n\n".into()]).collect();
            ("text/event-stream", events)
        } else {
            let message = json!({"role": "assistant", "content": text});
            let choice = json!({"index": 0, "message": message, "finish_reason": "stop"});
            (
                "application/json",
                json!({"id": "c", "object": "chat.completion", "choices": [choice]}).to_string(),
            )
        };
        ([(header::CONTENT_TYPE, kind)], body)
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().route("/v1/chat/completions", post(answer));
    tokio::spawn(async move {
        let service = hyper_util::service::TowerToHyperService::new(router);
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let io = hyper_util::rt::TokioIo::new(stream);
            let service = service.clone();
            tokio::spawn(async move {
                let _ = hyper::server::conn::http1::Builder::new().serve_connection(io, service).await;
            });
        }
    });
    format!("http://{address}")
}

fn router(live: &Arc<Live>, observer: Observer, upstream: &str) -> Router {
    let config = Config::default();
    let upstream = Upstream::new(upstream, &config).unwrap();
    Gateway::new(live.clone(), Arc::new(observer), upstream, config).router()
}

async fn ask(router: &Router, path: &str, body: Value) -> (StatusCode, String) {
    let request = Request::post(path)
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::AUTHORIZATION, format!("Bearer {CANARY}"))
        .body(Body::from(body.to_string()))
        .unwrap();
    let response: Response<Body> = router.clone().oneshot(request).await.unwrap();
    let (status, body) = (response.status(), response.into_body().collect().await.unwrap().to_bytes());
    (status, String::from_utf8(body.to_vec()).unwrap())
}

fn chat(text: &str, stream: bool) -> Value {
    json!({"model": "m", "stream": stream, "messages": [{"role": "user", "content": text}]})
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

#[test]
fn thousands_of_requests_see_one_policy_each_while_policies_flip() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("policy.md");
    let policies = ["first", "second"].map(|name| {
        let (tea, cake) = (format!("{name}_tea"), format!("{name}_cake"));
        document(name, &[(&tea, "darjeeling", "flag"), (&cake, "sachertorte", "block")])
    });
    fs::write(&path, &policies[0]).unwrap();
    let metrics = Arc::new(Metrics::new());
    let source = Source::new(path.to_str().unwrap());
    let live = Arc::new(Live::open(source, Role::Live, Duration::from_millis(5), metrics.clone()).unwrap());
    let router = router(&live, Observer::new(metrics), "http://127.0.0.1:9");
    let (stop, judged) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
    let runtime = runtime();
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let (router, stop, judged) = (router.clone(), stop.clone(), judged.clone());
            runtime.spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let record = json!({"request": "darjeeling with sachertorte"});
                    let (status, body) = ask(&router, "/v1/check", record).await;
                    assert_eq!(status, StatusCode::OK, "{body}");
                    let verdict: Value = serde_json::from_str(&body).unwrap();
                    let name = verdict["policy"]["name"].as_str().unwrap();
                    let clauses: Vec<&str> = verdict["findings"]
                        .as_array()
                        .unwrap()
                        .iter()
                        .map(|it| it["clause"].as_str().unwrap())
                        .collect();
                    assert_eq!(clauses, [format!("{name}_cake"), format!("{name}_tea")]);
                    judged.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    for flip in 1..=20 {
        fs::write(path.with_extension("next"), &policies[flip % 2]).unwrap();
        fs::rename(path.with_extension("next"), &path).unwrap();
        eventually("the policy is exchanged", || live.guard().generation >= flip as u64);
    }
    eventually("thousands were judged", || judged.load(Ordering::Relaxed) > 3_000);
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        runtime.block_on(client).unwrap();
    }
}

#[test]
fn a_shadow_policy_never_changes_an_answer() {
    runtime().block_on(async {
        let upstream = upstream(Arc::default()).await;
        let metrics = Arc::new(Metrics::new());
        let strict = &[("tea", "tea", "block"), ("recipe", "sauce", "flag")];
        let shadow =
            Shadow::start(live("strict", strict), ShadowOptions::default(), metrics.clone()).unwrap();
        let alone = router(&live("house", CLAUSES), Observer::new(Arc::default()), &upstream);
        let beside =
            router(&live("house", CLAUSES), Observer::new(metrics.clone()).with_shadow(shadow), &upstream);
        for text in [
            "say: tea",
            "say: tea with Ann",
            "say: the sauce",
            "the sauce",
            "say: tea for Ann and tea for me",
        ] {
            for stream in [false, true] {
                let expected = ask(&alone, "/v1/chat/completions", chat(text, stream)).await;
                let given = ask(&beside, "/v1/chat/completions", chat(text, stream)).await;
                assert_eq!(without_ids(&given.1), without_ids(&expected.1), "{text}");
                assert_eq!(given.0, expected.0);
            }
        }
        let changed = || number(&metrics.encode(), "shadow_actions_total{live=\"allow\",shadow=\"block\"}");
        // Whole answers and streams alike.
        eventually("the shadow policy disagreed", || changed() >= 2.0);
        let numbers = metrics.encode();
        for nothing in
            ["shadow_shed_total{reason=\"not_kept\"}", "streams_open", "held_bytes", "exchanges_open"]
        {
            assert!(number(&numbers, nothing) < 0.5, "{nothing}\n{numbers}");
        }
    });
}

/// An answer without what is new each time: ids, times and durations.
fn without_ids(body: &str) -> String {
    let mut out = body.to_string();
    for key in ["\"id\":\"", "\"elapsed_us\":", "\"created\":"] {
        let mut rest = std::mem::take(&mut out);
        while let Some(at) = rest.find(key) {
            let end = rest[at + key.len()..].find(['"', ',', '}']).unwrap() + at + key.len();
            out.push_str(&rest[..at]);
            rest = rest[end..].to_string();
        }
        out.push_str(&rest);
    }
    out
}

/// What judges nothing still answers "allow": a surface that is forgotten shows here and nowhere else.
#[test]
fn every_endpoint_tells_of_every_surface() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    let audit = Audit::open(AuditOptions::new(&path)).unwrap();
    let observer = Arc::new(Observer::default().with_audit(audit.clone()));
    let layer = GuardLayer::with(live("house", CLAUSES), observer.clone(), Config::default());
    let question = json!([{"role": "user", "content": "tea?"}]);
    let text = |kind: &str| json!([{"type": kind, "text": "tea"}]);
    let call = json!({"id": "t", "type": "function", "function": {"name": "brew", "arguments": "{}"}});
    let message =
        json!({"role": "assistant", "content": "tea", "reasoning_content": "so", "tool_calls": [call]});
    let exchanges = [
        (
            "/v1/chat/completions",
            json!({"messages": question}),
            json!({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}),
        ),
        (
            "/v1/messages",
            json!({"messages": question, "max_tokens": 9}),
            json!({"type": "message", "role": "assistant", "content": text("text")}),
        ),
        (
            "/v1/responses",
            json!({"input": "tea?"}),
            json!({"output": [{"type": "message", "role": "assistant", "content": text("output_text")}]}),
        ),
    ];
    runtime().block_on(async {
        for (endpoint, request, answer) in exchanges.clone() {
            let service = tower::service_fn(move |_: Request<Body>| {
                let body = Body::from(answer.to_string());
                let answer =
                    Response::builder().header(header::CONTENT_TYPE, "application/json").body(body).unwrap();
                async { Ok::<_, std::convert::Infallible>(answer) }
            });
            let request = Request::post(endpoint).body(Body::from(request.to_string())).unwrap();
            let answer = layer.layer(service).oneshot(request).await.unwrap();
            assert_eq!(answer.status(), StatusCode::OK, "{endpoint}");
            answer.into_body().collect().await.unwrap();
        }
        let router = Gateway::new(
            live("house", CLAUSES),
            observer.clone(),
            Upstream::new("http://127.0.0.1:9", &Config::default()).unwrap(),
            Config::default(),
        )
        .router();
        for (path, body) in [
            ("/v1/check", json!({"request": "tea"})),
            ("/v1/check", json!({"response": "tea"})),
            ("/v1/check", json!({"tool_result": "tea"})),
            ("/v1/check", json!({"tool_call": {"name": "brew", "arguments": {}}})),
            ("/v1/check", json!({"messages": [{"role": "assistant", "reasoning_content": "tea"}]})),
            ("/v1/check/batch", json!({"records": [{"request": "tea"}]})),
            ("/v1/moderations", json!({"input": "tea"})),
        ] {
            let (status, body) = ask(&router, path, body).await;
            assert_eq!(status, StatusCode::OK, "{path}: {body}");
        }
    });
    audit.close();
    let log = fs::read_to_string(&path).unwrap();
    let told: Vec<(String, String)> = log
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter(|line| line["event"] == "decision")
        .map(|line| (line["endpoint"].to_string(), line["verdict"]["surface"].to_string()))
        .collect();
    let expected = exchanges
        .iter()
        .flat_map(|(endpoint, ..)| ["request", "response"].map(|surface| (*endpoint, surface)))
        .chain(
            ["request", "response", "tool_result", "tool_call", "reasoning"]
                .map(|surface| ("/v1/check", surface)),
        )
        .chain([("/v1/check/batch", "request"), ("/v1/moderations", "request")]);
    for (endpoint, surface) in expected {
        let pair = (format!("\"{endpoint}\""), format!("\"{surface}\""));
        assert!(told.contains(&pair), "{pair:?} is not among {told:?}");
    }
}

#[test]
fn a_trace_goes_on_to_the_upstream() {
    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    runtime().block_on(async {
        let seen = Arc::<std::sync::Mutex<Vec<HeaderMap>>>::default();
        let keep = seen.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            keep.lock().unwrap().push(request.headers().clone());
            async { Ok::<_, std::convert::Infallible>(Response::new(Body::from("{}"))) }
        });
        let layer = GuardLayer::with(live("house", CLAUSES), Arc::default(), Config::default());
        for parent in [PARENT, "nonsense"] {
            let request = Request::post("/v1/chat/completions").header("traceparent", parent);
            let request =
                request.header("tracestate", "a=b").body(Body::from(chat("tea", false).to_string())).unwrap();
            layer.layer(service.clone()).oneshot(request).await.unwrap();
        }
        let seen = seen.lock().unwrap();
        assert_eq!(
            (&seen[0]["traceparent"], &seen[0]["tracestate"]),
            (&PARENT.parse().unwrap(), &"a=b".parse().unwrap())
        );
    });
}

#[cfg(unix)]
#[test]
fn nothing_goes_on_where_a_required_log_cannot_be_written() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("audit");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let _reader = fs::File::options().read(true).write(true).open(&pipe).unwrap();
    runtime().block_on(async {
        let asked = Arc::<AtomicUsize>::default();
        let upstream = upstream(asked.clone()).await;
        let wait = Duration::from_millis(50);
        let options = AuditOptions { required: true, queue: 8, wait, ..AuditOptions::new(&pipe) };
        let audit = Audit::open(options).unwrap();
        let router =
            router(&live("house", CLAUSES), Observer::new(Arc::default()).with_audit(audit), &upstream);
        let mut refused = 0;
        for _ in 0..1_000 {
            let before = asked.load(Ordering::SeqCst);
            let (status, _) = ask(&router, "/v1/chat/completions", chat("say: tea", false)).await;
            if status == StatusCode::SERVICE_UNAVAILABLE {
                refused += 1;
                if refused == 20 {
                    assert_eq!(asked.load(Ordering::SeqCst), before, "the upstream was asked all the same");
                    break;
                }
            }
        }
        assert_eq!(refused, 20, "the pipe never filled");
    });
}

#[test]
fn nothing_a_client_says_is_in_logs_metrics_or_the_audit_log() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    let metrics = Arc::new(Metrics::new());
    let (out, written) = support::sink();
    let writer = LogWriter::new(out, &metrics).unwrap();
    // Other tests of this file log as well; what counts is what is not there.
    writer.install(LogFormat::Json, LevelFilter::TRACE).unwrap();
    let audit = Audit::open(AuditOptions::new(&path)).unwrap();
    runtime().block_on(async {
        let upstream = upstream(Arc::default()).await;
        let shadow = live("new", &[("tea", "tea", "block")]);
        let shadow = Shadow::start(shadow, ShadowOptions::default(), metrics.clone()).unwrap();
        let observer = Observer::new(metrics.clone()).with_audit(audit.clone()).with_shadow(shadow);
        let router = router(&live("house", CLAUSES), observer, &upstream);
        for stream in [false, true] {
            for text in ["say: tea for Ann", "say: the sauce", "the sauce", "say: nothing"] {
                let text = format!("{text} {CANARY}");
                ask(&router, "/v1/chat/completions", chat(&text, stream)).await;
            }
        }
        let image = json!({"type": CANARY, "url": CANARY});
        let content = json!([image, {"type": "text", "text": format!("Ann and {CANARY}")}]);
        let tool = json!({"name": CANARY, "arguments": {CANARY: CANARY}});
        let switch = json!({"user": {"switch": {CANARY: "on"}}});
        for (path, body) in [
            ("/v1/check", json!({"messages": [{"role": "user", "content": content}], "settings": switch})),
            ("/v1/check", json!({"tool_call": tool, "signals": {CANARY: 1.0}, "tags": [CANARY]})),
            ("/v1/check", json!({"requets": CANARY, CANARY: CANARY})),
            ("/v1/moderations", json!({"input": CANARY})),
            ("/v1/chat/completions", json!({"messages": CANARY})),
            (&format!("/{CANARY}"), json!({})),
        ] {
            ask(&router, path, body).await;
        }
    });
    audit.close();
    writer.flush();
    let log = fs::read_to_string(&path).unwrap();
    assert!(log.lines().count() > 15, "{log}");
    verify(log.as_bytes(), &mut Chain::default()).unwrap();
    assert!(!log.contains(CANARY), "{log}");
    let numbers = metrics.encode();
    assert!(!numbers.contains(CANARY), "{numbers}");
    let logged = written();
    assert!(logged.contains("\"decision\"") && logged.contains("\"exchange\""), "{logged}");
    assert!(!logged.contains(CANARY), "{logged}");
}
