//! What a collector receives.
#![cfg(feature = "otel")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use brightline_http::ops::metrics::Metrics;
use brightline_http::ops::telemetry::exporter::Exporter;
use brightline_http::ops::telemetry::trace::{TRACEPARENT, Trace};
use brightline_http::ops::{Ended, Observer};
use http::{HeaderMap, HeaderValue};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use support::{CANARY, decide, live};

type Received = Arc<Mutex<Vec<(String, Vec<u8>)>>>;

/// Takes whatever is posted, and keeps path and body.
fn collector() -> (String, Received) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let received = Received::default();
    let kept = received.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let kept = kept.clone();
            std::thread::spawn(move || serve(stream.unwrap(), &kept));
        }
    });
    (address, received)
}

fn serve(stream: TcpStream, kept: &Received) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut writer = stream;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        let path = line.split(' ').nth(1).unwrap().to_string();
        let mut length = 0;
        loop {
            let mut header = String::new();
            reader.read_line(&mut header).unwrap();
            if header.trim().is_empty() {
                break;
            }
            if let Some(value) = header.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        kept.lock().unwrap().push((path, body));
        writer.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap();
    }
}

/// Strings and ids stand in protobuf as they are.
fn holds(body: &[u8], part: &[u8]) -> bool {
    body.windows(part.len()).any(|window| window == part)
}

#[test]
fn spans_and_events_arrive_under_the_documented_names() {
    let (address, received) = collector();
    let exporter = Exporter::to(&address).unwrap();
    let observer = Observer::new(Arc::new(Metrics::new())).with_exporter(exporter);
    let mut headers = HeaderMap::new();
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    headers.insert(TRACEPARENT, HeaderValue::from_static(parent));

    let trace = observer.began("x1", "/v1/chat/completions", &headers);
    trace.write(&mut headers);
    let upstream = Trace::from_headers(&headers).context().unwrap();
    assert_eq!(trace.id().as_deref(), Some("4bf92f3577b34da6a3ce929d0e0e4736"), "the client's trace goes on");
    assert_ne!(headers.get(TRACEPARENT).unwrap(), parent, "with the gateway's span as the parent");

    let loaded = live("house", &[("recipe", "sauce", "block"), ("tea", "darjeeling", "flag")]).guard();
    let text = format!("darjeeling with sauce for {CANARY}");
    decide(&loaded, "x1", &text, |decision| observer.decided(decision));
    decide(&loaded, "x1", "water", |decision| observer.decided(decision));
    observer.ended(&Ended {
        exchange: "x1",
        endpoint: "/v1/chat/completions",
        status: 504,
        failure: Some("upstream_stalled"),
        elapsed: Duration::from_millis(5),
        judging: Duration::from_micros(70),
    });
    observer.close();

    let received = received.lock().unwrap();
    let body = |path: &str| {
        let bodies: Vec<Vec<u8>> =
            received.iter().filter(|(at, _)| at == path).map(|(_, body)| body.clone()).collect();
        bodies.concat()
    };
    let (spans, events) = (body("/v1/traces"), body("/v1/logs"));
    for part in ["/v1/chat/completions", "upstream_stalled", "http.response.status_code", "brightline"] {
        assert!(holds(&spans, part.as_bytes()), "{part}");
    }
    let count = |part: &str| events.windows(part.len()).filter(|window| *window == part.as_bytes()).count();
    assert_eq!(
        count("gen_ai.guardrail.result.value"),
        3,
        "one for each finding, one for the decision without"
    );
    for part in ["recipe", "No sauce", "block", "tea", "flag", "allow", "request", "developer", "house"] {
        assert!(holds(&events, part.as_bytes()), "{part}");
    }
    for body in [&spans, &events] {
        assert!(holds(body, &upstream.trace) && holds(body, &upstream.span), "events hang on the span");
        assert!(!holds(body, CANARY.as_bytes()));
    }
}

#[test]
fn a_collector_that_is_gone_costs_no_time() {
    let exporter = Exporter::to("http://127.0.0.1:9").unwrap();
    let observer = Observer::new(Arc::new(Metrics::new())).with_exporter(exporter);
    let loaded = live("house", &[("recipe", "sauce", "block")]).guard();
    let started = std::time::Instant::now();
    for _ in 0..5_000 {
        decide(&loaded, "x1", "the sauce", |decision| observer.decided(decision));
    }
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}
