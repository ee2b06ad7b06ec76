//! What can break, and that nothing gets through where it does.

use crate::support::script::{self, answer, stream_end, stream_head};
use crate::support::{Act, Fake, Running, client, quick};
use serde_json::{Value, json};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Path, request and a stream whose end must not be shown.
fn apis() -> [(&'static str, Value, String); 3] {
    let said = "Well, then, see. The azure lantern is lit.";
    [
        (
            "/v1/chat/completions",
            json!({"model": "m", "stream": true, "messages": [{"role": "user", "content": "hi"}]}),
            script::chat("", said, &[("say", "{\"it\": \"azure lantern\"}")]),
        ),
        (
            "/v1/messages",
            json!({"model": "m", "stream": true, "messages": [{"role": "user", "content": "hi"}]}),
            script::messages(&[("text", said, ""), ("tool_use", "say", "{\"it\": \"azure lantern\"}")]),
        ),
        (
            "/v1/responses",
            json!({"model": "m", "stream": true, "input": "hi"}),
            script::responses(&[
                ("message", said, ""),
                ("function_call", "say", "{\"it\": \"azure lantern\"}"),
            ]),
        ),
    ]
}

/// No byte of what is blocked, split as events may split it.
fn assert_nothing_leaked(answer: &client::Answer, what: &str) {
    let deltas: String = answer
        .events()
        .iter()
        .flat_map(|event| {
            ["/choices/0/delta/content", "/delta/text", "/delta", "/delta/partial_json"]
                .into_iter()
                .filter_map(|place| event.pointer(place)?.as_str().map(str::to_string))
                .collect::<Vec<_>>()
        })
        .collect();
    assert!(!deltas.contains("az"), "{what}: {deltas}");
    assert!(!String::from_utf8_lossy(&answer.raw).contains("azure"), "{what}");
}

#[tokio::test]
async fn an_upstream_that_dies_at_any_byte_leaks_nothing() {
    for (path, request, text) in apis() {
        for at in (0..text.len()).step_by(37).chain([text.len() - 1]) {
            let said = text.clone();
            let fake = Fake::start(move |_| script::dies(&said, at)).await;
            let gateway = Running::start(&fake.url(), quick()).await;
            let answer = client::post(&gateway, path, &request).await;
            assert_nothing_leaked(&answer, &format!("{path} dies at {at}"));
            let ended = answer.body.contains("upstream_broken")
                || answer.body.contains("broke off")
                || answer.body.contains("That stays unsaid.");
            assert!(ended, "{path} dies at {at}: {}", answer.body);
            assert!(answer.whole, "{path} dies at {at}: the client sees a proper end");
            gateway.idle().await;
        }
    }
}

#[tokio::test]
async fn a_stream_that_ends_early_is_no_answer() {
    for (path, request, text) in apis() {
        // At the end of each event: nothing is half, and still it is not whole.
        let ends: Vec<usize> = text.match_indices("\n\n").map(|it| it.0 + 2).collect();
        for at in ends.iter().take(ends.len() / 3).step_by(5) {
            let said = text[..*at].to_string();
            let fake = Fake::start(move |_| script::stream(&said, 11)).await;
            let gateway = Running::start(&fake.url(), quick()).await;
            let answer = client::post(&gateway, path, &request).await;
            assert_nothing_leaked(&answer, path);
            assert!(answer.body.contains("broke off"), "{path} at {at}: {}", answer.body);
            assert!(!answer.body.contains("\"stop\""), "{path} at {at}: {}", answer.body);
        }
    }
}

#[tokio::test]
async fn a_stall_ends_in_time() {
    for (path, request, text) in apis() {
        for at in [0, text.len() / 4] {
            let said = text.clone();
            let fake = Fake::start(move |_| script::stalls(&said, at)).await;
            let gateway = Running::start(&fake.url(), quick()).await;
            let started = Instant::now();
            let answer = client::post(&gateway, path, &request).await;
            assert!(started.elapsed() < Duration::from_secs(3));
            assert!(answer.body.contains("in time"), "{path}: {}", answer.body);
            assert_nothing_leaked(&answer, path);
            gateway.idle().await;
            // The connection to the upstream is given up as well.
            for _ in 0..100 {
                if fake.open.load(Ordering::SeqCst) == 0 {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            assert_eq!(fake.open.load(Ordering::SeqCst), 0);
        }
    }
}

#[tokio::test]
async fn silence_before_the_head_and_a_slow_trickle_end_in_time() {
    let fake = Fake::start(|_| vec![Act::Stall]).await;
    let gateway = Running::start(&fake.url(), quick()).await;
    let request = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]});
    let answer = client::post(&gateway, "/v1/chat/completions", &request).await;
    assert_eq!((answer.status, &answer.json()["error"]["code"]), (504, &json!("upstream_timeout")));

    // Always a little, never the end: only the deadline of the whole exchange helps.
    let fake = Fake::start(|_| {
        let mut acts = vec![stream_head()];
        for _ in 0..200 {
            acts.push(script::chunk(b": still here\n\n"));
            acts.push(Act::Wait(Duration::from_millis(50)));
        }
        acts
    })
    .await;
    let mut config = quick();
    config.deadlines.exchange = Duration::from_millis(700);
    let gateway = Running::start(&fake.url(), config).await;
    let (path, request, _) = apis()[0].clone();
    let started = Instant::now();
    let answer = client::post(&gateway, path, &request).await;
    assert!(started.elapsed() < Duration::from_secs(3));
    assert!(answer.body.contains("\"deadline\""), "{}", answer.body);
    gateway.idle().await;
}

#[tokio::test]
async fn garbage_is_no_answer() {
    let long = format!("data: {}\n\n", "x".repeat(9 << 20));
    for (path, request, _) in apis() {
        for garbage in [
            "data: {\"half\": \n\n".to_string(),
            "data: azure lantern\n\n".to_string(),
            "data: [1]\n\n".to_string(),
            "data: {\"type\": 3, \"choices\": {}}\n\n".to_string(),
            "data: {\"choices\": [3], \"type\": \"content_block_start\"}\n\n".to_string(),
            "<html>azure lantern</html>".to_string(),
            "event: azure\n\nevent: lantern\n\n".to_string(),
            long.clone(),
        ] {
            let said = garbage.clone();
            let fake = Fake::start(move |_| script::stream(&said, 1 << 16)).await;
            let gateway = Running::start(&fake.url(), quick()).await;
            let answer = client::post(&gateway, path, &request).await;
            assert!(!String::from_utf8_lossy(&answer.raw).contains("azure"), "{path}: {}", answer.body);
            assert!(answer.body.contains("brightline: "), "{path}: {}", answer.body);
            assert!(answer.whole);
            gateway.idle().await;
        }
    }
    let fake = Fake::start(|_| {
        let mut acts = vec![stream_head(), script::chunk(b"data: \xff\xfe azure lantern\n\n")];
        acts.push(stream_end());
        acts
    })
    .await;
    let gateway = Running::start(&fake.url(), quick()).await;
    let (path, request, _) = apis()[0].clone();
    let answer = client::post(&gateway, path, &request).await;
    assert!(answer.body.contains("upstream_unreadable") && !answer.body.contains("lantern"));
    for raw in [
        &b"HTTP/9 nonsense\r\n\r\n"[..],
        b"\x00\x01\x02",
        b"HTTP/1.1 200 OK\r\ncontent-length: 90\r\n\r\n{\"azure",
    ] {
        let fake = Fake::start(move |_| vec![Act::Raw(raw.to_vec()), Act::Die]).await;
        let gateway = Running::start(&fake.url(), quick()).await;
        let answer = client::post(&gateway, path, &request).await;
        assert_eq!(answer.status, 502, "{}", answer.body);
        assert!(!answer.body.contains("azure"));
    }
}

/// Numbers that are the same in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % end.max(1)
    }
}

/// Values of other types where a client, or the gateway, expects a certain one.
fn garbled(value: &mut Value, numbers: &mut Numbers) {
    let odd =
        [json!(null), json!("x"), json!(-1), json!([]), json!({}), json!(1e300), json!([[{"type": "text"}]])];
    if numbers.below(12) == 0 {
        *value = odd[numbers.below(odd.len())].clone();
        return;
    }
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| garbled(item, numbers)),
        Value::Object(fields) => {
            if numbers.below(10) == 0 {
                let key = fields.keys().nth(numbers.below(fields.len())).cloned();
                key.map(|key| fields.remove(&key));
            }
            fields.values_mut().for_each(|value| garbled(value, numbers));
        }
        _ => {}
    }
}

#[tokio::test]
async fn events_of_any_form_end_properly() {
    let mut numbers = Numbers(7);
    for (path, request, text) in apis() {
        for round in 0..150 {
            let mut said = String::new();
            for line in text.lines() {
                match line.strip_prefix("data: {") {
                    Some(_) if numbers.below(30) == 0 => {}
                    Some(rest) if numbers.below(6) == 0 => {
                        let mut event: Value = serde_json::from_str(&format!("{{{rest}")).unwrap();
                        garbled(&mut event, &mut numbers);
                        said.push_str(&format!("data: {event}\n"));
                    }
                    _ => said.push_str(&format!("{line}\n")),
                }
            }
            let fake = Fake::start(move |_| script::stream(&said, 257)).await;
            let gateway = Running::start(&fake.url(), quick()).await;
            let answer = client::post(&gateway, path, &request).await;
            assert!(answer.whole && answer.status == 200, "{path}, round {round}: {}", answer.body);
            answer.events();
            gateway.idle().await;
        }
    }
}

#[tokio::test]
async fn answers_of_any_form_end_properly() {
    let mut numbers = Numbers(11);
    let block = json!([{"type": "thinking", "thinking": "t", "signature": "s"}, {"type": "text", "text": "ada@example.org"},
        {"type": "tool_use", "id": "t", "name": "n", "input": {"a": "eve@example.org"}}]);
    let items = json!([{"type": "reasoning", "summary": [{"type": "summary_text", "text": "ada@example.org"}]},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "ada@example.org", "annotations": []}]},
        {"type": "function_call", "call_id": "c", "name": "n", "arguments": "{\"a\": \"eve@example.org\"}"}]);
    for (path, request, _) in apis() {
        let said = match path {
            "/v1/messages" => script::messages_json(&block),
            "/v1/responses" => script::responses_json(&items),
            _ => script::chat_json("ada@example.org", &[("n", "{\"a\": \"eve@example.org\"}")]),
        };
        for round in 0..150 {
            let mut said = said.clone();
            garbled(&mut said, &mut numbers);
            let fake = Fake::start(move |_| script::json_answer(&said)).await;
            let gateway = Running::start(&fake.url(), quick()).await;
            let answer = client::post(&gateway, path, &request).await;
            assert!([200, 502].contains(&answer.status), "{path}, round {round}: {}", answer.body);
            assert!(!answer.body.contains("example.org"), "{path}, round {round}: {}", answer.body);
        }
    }
}

#[tokio::test]
async fn a_client_that_leaves_takes_everything_with_it() {
    for (path, request, text) in apis() {
        let said = text[..text.len() / 4].to_string();
        let fake = Fake::start(move |_| script::stalls(&said, said.len())).await;
        let mut config = quick();
        config.deadlines.idle = Duration::from_secs(60);
        config.deadlines.exchange = Duration::from_secs(60);
        let gateway = Running::start(&fake.url(), config).await;
        let mut streams = Vec::new();
        for _ in 0..10 {
            let mut stream = TcpStream::connect(gateway.address).await.unwrap();
            let body = request.to_string();
            let head =
                format!("POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n{body}", body.len());
            stream.write_all(head.as_bytes()).await.unwrap();
            let mut some = [0; 64];
            assert!(stream.read(&mut some).await.unwrap() > 0);
            streams.push(stream);
        }
        assert_eq!(gateway.layer.in_flight(), 10);
        drop(streams);
        gateway.idle().await;
        for _ in 0..200 {
            if fake.open.load(Ordering::SeqCst) == 0 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(fake.open.load(Ordering::SeqCst), 0, "{path}: the upstream is not asked any more");
    }
}

#[tokio::test]
async fn what_is_too_large_is_refused() {
    let mut config = quick();
    config.limits.request_bytes = 1000;
    config.limits.response_bytes = 1000;
    let fake = Fake::start(|_| {
        answer(200, "application/json", &[], format!("{{\"x\": \"{}\"}}", "y".repeat(2000)).as_bytes())
    })
    .await;
    let gateway = Running::start(&fake.url(), config).await;
    let ask = |text: String| json!({"model": "m", "messages": [{"role": "user", "content": text}]});
    let answer = client::post(&gateway, "/v1/messages", &ask("x".repeat(2000))).await;
    assert_eq!((answer.status, &answer.json()["error"]["type"]), (413, &json!("request_too_large")));
    assert!(fake.requests().is_empty());
    let answer = client::post(&gateway, "/v1/chat/completions", &ask("x".into())).await;
    assert_eq!((answer.status, &answer.json()["error"]["code"]), (502, &json!("response_too_large")));
}

#[tokio::test]
async fn a_stream_that_does_not_end_is_cut_off() {
    let (path, request, _) = apis()[1].clone();
    let endless = script::messages(&[("text", &"word ".repeat(2000), "")]);
    let fake = Fake::start(move |_| script::stream(&endless, 4096)).await;
    let mut config = quick();
    config.limits.response_bytes = 20_000;
    let gateway = Running::start(&fake.url(), config).await;
    let answer = client::post(&gateway, path, &request).await;
    assert!(answer.body.contains("larger than 20000 bytes"), "{}", answer.body);
    assert!(answer.raw.len() < 60_000);
}

#[tokio::test]
async fn what_cannot_be_judged_passes_only_where_told() {
    let long = "word ".repeat(10_000);
    let body = json!({"model": "m", "messages": [{"role": "user", "content": long}]});
    for (on_error, status, action) in [
        (brightline_http::OnError::Block, 503, None),
        (brightline_http::OnError::Allow, 200, Some("unjudged")),
    ] {
        let fake = Fake::start(|_| script::json_answer(&script::chat_json("Fine.", &[]))).await;
        let mut config = quick();
        config.on_error = on_error;
        // Long texts wait for a core, and nobody may wait.
        config.limits.waiting_checks = 0;
        let gateway = Running::start(&fake.url(), config).await;
        let answer = client::post(&gateway, "/v1/chat/completions", &body).await;
        assert_eq!((answer.status, answer.header("x-brightline-action")), (status, action));
        assert_eq!(fake.requests().is_empty(), status == 503);
    }
}

#[tokio::test]
async fn a_client_that_does_not_read_is_not_waited_for() {
    let long = script::chat_json(&"word ".repeat(4_000_000), &[]);
    let fake = Fake::start(move |_| script::json_answer(&long)).await;
    let mut config = quick();
    config.deadlines.exchange = Duration::from_secs(60);
    config.deadlines.idle = Duration::from_secs(60);
    config.deadlines.first_byte = Duration::from_secs(60);
    let gateway = Running::start(&fake.url(), config).await;
    let mut stream = TcpStream::connect(gateway.address).await.unwrap();
    let body = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]}).to_string();
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    // It reads the head and then no more.
    let mut some = [0; 64];
    assert!(stream.read(&mut some).await.unwrap() > 0);
    tokio::time::sleep(Duration::from_secs(2)).await;
    let mut read = 0;
    let mut rest = vec![0; 1 << 20];
    while let Ok(more @ 1..) = stream.read(&mut rest).await {
        read += more;
    }
    assert!(read < 20_000_000, "the connection was given up, {read} bytes");
}

#[tokio::test]
async fn a_client_that_dawdles_is_cut_off() {
    let gateway = Running::start("http://127.0.0.1:9", quick()).await;
    for half in [
        "POST /v1/messages HTTP/1.1\r\nhost: x\r\n",
        "POST /v1/messages HTTP/1.1\r\nhost: x\r\ncontent-length: 90\r\n\r\n{",
    ] {
        let mut stream = TcpStream::connect(gateway.address).await.unwrap();
        stream.write_all(half.as_bytes()).await.unwrap();
        let mut raw = Vec::new();
        let read = tokio::time::timeout(Duration::from_secs(3), stream.read_to_end(&mut raw)).await;
        assert!(read.is_ok(), "the connection stays open");
    }
    gateway.idle().await;
}

#[tokio::test]
async fn ending_waits_for_what_is_in_flight() {
    let (path, request, text) = apis()[0].clone();
    let slow = move |asked: &crate::support::Asked| {
        let wait = if asked.json()["model"] == "slow" { 60_000 } else { 300 };
        let mut acts = vec![stream_head(), Act::Wait(Duration::from_millis(wait))];
        acts.extend(script::stream(&text, 64).into_iter().skip(1));
        acts
    };
    let fake = Fake::start(slow).await;
    let mut config = quick();
    config.deadlines.idle = Duration::from_secs(60);
    config.deadlines.exchange = Duration::from_secs(60);
    config.deadlines.drain = Duration::from_secs(1);
    for (model, fine) in [("m", true), ("slow", false)] {
        let gateway = Running::start(&fake.url(), config.clone()).await;
        let mut request = request.clone();
        request["model"] = model.into();
        let address = gateway.address;
        let asked = tokio::spawn(async move {
            client::request(address, "POST", path, &[], request.to_string().as_bytes()).await
        });
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(gateway.stop().await.is_ok(), fine, "{model}");
        let answer = asked.await.unwrap();
        assert_eq!(answer.body.contains("That stays unsaid."), fine, "{}", answer.body);
        assert!(TcpStream::connect(address).await.is_err(), "nobody listens any more");
    }
}

#[tokio::test]
async fn more_connections_than_allowed_wait() {
    let mut config = quick();
    config.limits.connections = 2;
    let gateway = Running::start("http://127.0.0.1:9", config).await;
    let idle = [
        TcpStream::connect(gateway.address).await.unwrap(),
        TcpStream::connect(gateway.address).await.unwrap(),
    ];
    tokio::time::sleep(Duration::from_millis(50)).await;
    let third = tokio::time::timeout(Duration::from_millis(200), client::get(&gateway, "/health")).await;
    assert!(third.is_err(), "it waits");
    drop(idle);
    let fourth = tokio::time::timeout(Duration::from_secs(2), client::get(&gateway, "/health")).await;
    assert_eq!(fourth.unwrap().status, 200);
}
