//! The numbers are those of what was decided, and take a bounded number of names.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use axum::body::Body;
use brightline_http::ops::audit::{Audit, AuditOptions};
use brightline_http::ops::live::{Live, Source, WATCH_EVERY};
use brightline_http::ops::metrics::Metrics;
use brightline_http::ops::probes::Probes;
use brightline_http::ops::{Ended, Observer, Role};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;
use std::time::Duration;
use support::{decide, document, number};
use tower::ServiceExt;

const CLAUSES: &[(&str, &str, &str)] =
    &[("recipe", "sauce", "block"), ("tea", "darjeeling", "flag"), ("ann", "Ann", "redact")];

fn observer() -> (Observer, Arc<Live>, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("policy.md");
    fs::write(&path, document("house", CLAUSES)).unwrap();
    let metrics = Arc::new(Metrics::new());
    let source = Source::new(path.to_str().unwrap());
    let live = Live::open(source, Role::Live, WATCH_EVERY, metrics.clone()).unwrap();
    (Observer::new(metrics), Arc::new(live), folder)
}

fn ended<'a>(exchange: &'a str, status: u16, failure: Option<&'static str>) -> Ended<'a> {
    Ended {
        exchange,
        endpoint: "/v1/messages",
        status,
        failure,
        elapsed: Duration::from_millis(30),
        judging: Duration::from_micros(40),
    }
}

#[test]
fn numbers_are_those_of_what_was_decided() {
    let (observer, live, _folder) = observer();
    let loaded = live.guard();
    let zero = observer.metrics().encode();
    assert!(
        zero.contains("brightline_findings_total{clause=\"tea\"} 0"),
        "a clause that never fires shows zero"
    );
    let mut expected: BTreeMap<String, f64> = BTreeMap::new();
    let words = ["sauce", "darjeeling", "Ann", "water"];
    for at in 0..400_usize {
        let text: Vec<&str> =
            words.iter().enumerate().filter(|(bit, _)| at >> bit & 1 == 1).map(|it| *it.1).collect();
        decide(&loaded, &format!("x{at}"), &format!("about {}", text.join(" and ")), |decision| {
            let verdict = decision.verdict;
            *expected
                .entry(format!("decisions_total{{surface=\"request\",action=\"{}\"}}", verdict.action))
                .or_default() += 1.0;
            for finding in &verdict.findings {
                let clause = &verdict.clause_of(finding).unwrap().id;
                *expected.entry(format!("findings_total{{clause=\"{clause}\"}}")).or_default() += 1.0;
            }
            observer.decided(decision);
        });
    }
    expected.insert("check_seconds_count{tier=\"rules\"}".into(), 400.0);
    for at in 0..7 {
        let id = format!("x{at}");
        observer.began(&id, "/v1/messages", &HeaderMap::new());
        observer.ended(&ended(&id, if at < 5 { 200 } else { 502 }, (at >= 5).then_some("upstream_died")));
    }
    observer.began("open", "/v1/messages", &HeaderMap::new());
    expected.insert("requests_total{endpoint=\"/v1/messages\",status=\"200\"}".into(), 5.0);
    expected.insert("requests_total{endpoint=\"/v1/messages\",status=\"502\"}".into(), 2.0);
    expected.insert("failures_total{endpoint=\"/v1/messages\",failure=\"upstream_died\"}".into(), 2.0);
    expected.insert("overhead_seconds_sum{endpoint=\"/v1/messages\"}".into(), 7.0 * 40e-6);
    expected.insert("exchange_seconds_bucket{le=\"0.05\",endpoint=\"/v1/messages\"}".into(), 7.0);
    expected.insert("exchanges_open".into(), 1.0);
    let mut stream = observer.stream();
    stream.holds(20);
    stream.holds(12);
    expected.insert("streams_open".into(), 1.0);
    expected.insert("held_bytes".into(), 12.0);
    let numbers = observer.metrics().encode();
    for (line, count) in expected {
        assert!((number(&numbers, &line) - count).abs() < 1e-9, "{line} is not {count}\n{numbers}");
    }
    drop(stream);
    let numbers = observer.metrics().encode();
    assert!((number(&numbers, "streams_open") + number(&numbers, "held_bytes")).abs() < 1e-9);
    assert!(numbers.ends_with("# EOF\n"));
}

#[test]
fn clauses_that_are_gone_are_shown_no_more() {
    let (observer, live, folder) = observer();
    let old = live.guard();
    fs::write(folder.path().join("policy.md"), document("house", &[("recipe", "sauce", "block")])).unwrap();
    live.reload();
    // A request that began under the old policy still finds what is gone.
    decide(&old, "x", "sauce with darjeeling", |decision| observer.decided(decision));
    let numbers = observer.metrics().encode();
    assert!(!numbers.contains("clause=\"tea\""), "{numbers}");
    for clause in ["recipe", "other"] {
        assert!(
            (number(&numbers, &format!("findings_total{{clause=\"{clause}\"}}")) - 1.0).abs() < 0.5,
            "{numbers}"
        );
    }
    let shown = numbers.lines().filter(|line| line.starts_with("brightline_policy{")).count();
    assert_eq!(shown, 1, "{numbers}");
}

#[test]
fn every_metric_is_documented() {
    let source = include_str!("../src/ops/metrics.rs");
    let docs = include_str!("../../../docs/operations.md");
    let calls = ["register(", "register_with_unit(", " gauge(", " counter("];
    let names: Vec<&str> = calls
        .into_iter()
        .flat_map(|call| source.split(call).skip(1))
        .filter_map(|rest| rest.trim_start().strip_prefix('"')?.split('"').next())
        .collect();
    assert!(names.len() > 20, "{names:?}");
    for name in names {
        assert!(
            docs.contains(&format!("`brightline_{name}")),
            "`brightline_{name}` is not in docs/operations.md"
        );
    }
}

async fn get(probes: &Probes, path: &str) -> (StatusCode, String) {
    let request = Request::get(path).body(Body::empty()).unwrap();
    let response = probes.clone().router().oneshot(request).await.unwrap();
    let (status, body) = (response.status(), response.into_body().collect().await.unwrap().to_bytes());
    (status, String::from_utf8(body.to_vec()).unwrap())
}

#[test]
fn probes_tell_what_is_in_force_and_what_was_refused() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let (observer, live, folder) = observer();
        let audit = Audit::open(AuditOptions::new(folder.path().join("audit.jsonl"))).unwrap();
        let probes = Probes::new(live.clone(), Arc::new(observer.with_audit(audit)));
        assert_eq!(get(&probes, "/health").await.0, StatusCode::OK);
        let (status, body) = get(&probes, "/ready").await;
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!(
            (status, &body["status"], &body["policy"]["name"]),
            (StatusCode::OK, &"ready".into(), &"house".into())
        );
        assert_eq!((&body["refused"], &body["audit"]["failing"]), (&serde_json::Value::Null, &false.into()));

        fs::write(folder.path().join("policy.md"), "## Title {#title authority=emperor}\n").unwrap();
        live.reload();
        let (status, body) = get(&probes, "/ready").await;
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!(status, StatusCode::OK, "the old policy answers");
        assert_eq!(body["refused"]["diagnostics"][0]["code"], "BL0203");

        let (status, numbers) = get(&probes, "/metrics").await;
        assert_eq!(status, StatusCode::OK);
        assert!(numbers.contains("brightline_policy_refused{role=\"live\"} 1"), "{numbers}");

        probes.drain();
        let (status, body) = get(&probes, "/ready").await;
        assert!(status == StatusCode::SERVICE_UNAVAILABLE && body.contains("draining"), "{body}");
        assert_eq!(get(&probes, "/health").await.0, StatusCode::OK);
    });
}
