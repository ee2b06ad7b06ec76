//! What the log says, and what it never says.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod support;

use brightline_http::ops::metrics::Metrics;
use brightline_http::ops::telemetry::logs::{LogFormat, LogWriter};
use brightline_http::ops::telemetry::trace::TRACEPARENT;
use brightline_http::ops::{Ended, Observer};
use http::{HeaderMap, HeaderValue, header};
use std::sync::Arc;
use std::time::Duration;
use support::{CANARY, decide, live, number};
use tracing::level_filters::LevelFilter;

/// One exchange with a secret in every place that a client can put something.
fn exchange(format: LogFormat, level: LevelFilter) -> String {
    let metrics = Arc::new(Metrics::new());
    let (out, written) = support::sink();
    let writer = LogWriter::new(out, &metrics).unwrap();
    let observer = Observer::new(metrics);
    tracing::subscriber::with_default(writer.subscriber(format, level), || {
        let mut headers = HeaderMap::new();
        let bearer = HeaderValue::from_str(&format!("Bearer {CANARY}")).unwrap();
        headers.insert(header::AUTHORIZATION, bearer);
        headers.insert("x-api-key", HeaderValue::from_static(CANARY));
        let parent = HeaderValue::from_static("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
        headers.insert(TRACEPARENT, parent.clone());
        let trace = observer.began("x1", "/v1/chat/completions", &headers);
        let mut upstream = HeaderMap::new();
        trace.write(&mut upstream);
        assert_eq!(upstream[TRACEPARENT], parent, "nothing is exported, so the client's span is the parent");
        let loaded = live("house", &[("recipe", "sauce", "redact"), ("tea", "darjeeling", "flag")]).guard();
        for text in [format!("the sauce {CANARY}"), format!("darjeeling {CANARY}"), CANARY.to_string()] {
            decide(&loaded, "x1", &text, |decision| observer.decided(decision));
        }
        let (elapsed, judging) = (Duration::from_millis(5), Duration::from_micros(70));
        observer.ended(&Ended {
            exchange: "x1",
            endpoint: "/v1/chat/completions",
            status: 502,
            failure: Some("upstream_died"),
            elapsed,
            judging,
        });
        // Other crates may say what they like; it is not written.
        tracing::error!(target: "hyper::proto", "header {CANARY}");
    });
    writer.flush();
    written()
}

#[test]
fn no_line_holds_text_or_credentials() {
    for format in [LogFormat::Json, LogFormat::Text] {
        let text = exchange(format, LevelFilter::TRACE);
        assert_eq!(text.lines().count(), 4, "{text}");
        assert!(!text.contains(CANARY), "{text}");
    }
}

#[test]
fn lines_are_json_with_the_documented_fields() {
    let docs = include_str!("../../../docs/operations.md");
    let text = exchange(LogFormat::Json, LevelFilter::INFO);
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 3, "a decision without findings is for `debug`: {text}");
    let [redacted, flagged, ended] = lines.as_slice() else { unreachable!("counted above") };
    for (line, action, clause) in [(redacted, "redact", "recipe"), (flagged, "flag", "tea")] {
        assert_eq!(
            (&line["message"], &line["action"], &line["clauses"]),
            (&"decision".into(), &action.into(), &clause.into())
        );
        assert_eq!((&line["exchange"], &line["level"]), (&"x1".into(), &"INFO".into()));
        assert_eq!(line["trace_id"], "4bf92f3577b34da6a3ce929d0e0e4736");
    }
    assert_eq!((&ended["status"], &ended["failure"]), (&502.into(), &"upstream_died".into()));
    for line in &lines {
        for field in line.as_object().unwrap().keys() {
            assert!(docs.contains(&format!("`{field}`")), "`{field}` is not in docs/operations.md");
        }
    }
}

#[test]
fn a_reader_who_stops_costs_lines_and_no_time() {
    struct Stuck(std::sync::mpsc::Receiver<()>);
    impl std::io::Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            let _ = self.0.recv();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let metrics = Metrics::new();
    let (release, stuck) = std::sync::mpsc::channel();
    let writer = LogWriter::new(Stuck(stuck), &metrics).unwrap();
    tracing::subscriber::with_default(writer.subscriber(LogFormat::Json, LevelFilter::INFO), || {
        for _ in 0..10_000 {
            tracing::info!(target: "brightline", "a line");
        }
    });
    let lost = number(&metrics.encode(), "log_lines_lost_total");
    assert!((1_800.0..2_000.0).contains(&lost), "{lost}");
    drop(release);
}
