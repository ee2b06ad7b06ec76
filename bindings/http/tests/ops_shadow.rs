//! The shadow policy: compared, counted, logged, and never acted on.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod support;

use brightline::{Channel, Input};
use brightline_http::ops::metrics::Metrics;
use brightline_http::ops::shadow::{MAX_TRANSCRIPT, Shadow, ShadowOptions};
use brightline_http::ops::telemetry::logs::{LogFormat, LogWriter};
use brightline_http::ops::{Decision, Observer};
use std::sync::Arc;
use support::{CANARY, decide, eventually, live, number};
use tracing::level_filters::LevelFilter;

const LIVE: &[(&str, &str, &str)] = &[("recipe", "sauce", "block"), ("tea", "darjeeling", "flag")];
const NEW: &[(&str, &str, &str)] = &[("recipe", "sauce", "block"), ("cake", "sachertorte", "block")];

fn observer(options: ShadowOptions) -> Observer {
    let metrics = Arc::new(Metrics::new());
    let shadow = Shadow::start(live("new", NEW), options, metrics.clone()).unwrap();
    Observer::new(metrics).with_shadow(shadow)
}

#[test]
fn differences_are_counted_and_answers_are_those_of_the_live_policy() {
    let observer = observer(ShadowOptions::default());
    let alone = live("old", LIVE).guard();
    let beside = live("old", LIVE).guard();
    let texts = ["the sauce", "darjeeling", "sachertorte", "darjeeling and sachertorte", "water"];
    for (at, text) in texts.iter().cycle().take(200).enumerate() {
        let answer = |decision: &Decision<'_>| {
            let mut verdict = decision.verdict.clone();
            verdict.elapsed_us = 0;
            serde_json::to_string(&verdict).unwrap()
        };
        let expected = decide(&alone, "x", text, answer);
        let given = decide(&beside, &format!("x{at}"), text, |decision| {
            observer.decided(decision);
            answer(decision)
        });
        assert_eq!(given, expected);
    }
    let shadow = observer.shadow().unwrap();
    eventually("all are compared", || shadow.pending() == 0);
    let numbers = observer.metrics().encode();
    for (line, expected) in [
        ("shadow_judged_total", 200.0),
        ("shadow_actions_total{live=\"flag\",shadow=\"allow\"}", 40.0),
        ("shadow_actions_total{live=\"allow\",shadow=\"block\"}", 40.0),
        ("shadow_actions_total{live=\"flag\",shadow=\"block\"}", 40.0),
        ("decisions_total{surface=\"request\",action=\"block\"}", 40.0),
        ("decisions_total{surface=\"request\",action=\"flag\"}", 80.0),
    ] {
        assert!((number(&numbers, line) - expected).abs() < 0.5, "{line}\n{numbers}");
    }
}

#[test]
fn a_full_queue_sheds_and_says_so() {
    let observer = observer(ShadowOptions { queue: 1, ..ShadowOptions::default() });
    let loaded = live("old", LIVE).guard();
    let long = "water ".repeat(200_000);
    for at in 0..20 {
        decide(&loaded, &format!("x{at}"), &long, |decision| observer.decided(decision));
    }
    let shadow = observer.shadow().unwrap();
    eventually("the rest is compared", || shadow.pending() == 0);
    let numbers = observer.metrics().encode();
    let (judged, shed) =
        (number(&numbers, "shadow_judged_total"), number(&numbers, "shadow_shed_total{reason=\"queue\"}"));
    assert!(judged >= 1.0 && (judged + shed - 20.0).abs() < 0.5, "{numbers}");
}

#[test]
fn large_messages_and_streams_are_shed_and_counted() {
    let observer = observer(ShadowOptions { bytes: 100, ..ShadowOptions::default() });
    let loaded = live("old", LIVE).guard();
    decide(&loaded, "x", &"water ".repeat(50), |decision| observer.decided(decision));
    decide(&loaded, "y", "water", |decision| {
        let Decision { exchange, endpoint, choice, verdict, loaded, .. } = *decision;
        observer.decided(&Decision { exchange, endpoint, input: None, choice, verdict, loaded });
    });
    let numbers = observer.metrics().encode();
    for reason in ["bytes", "not_kept"] {
        let line = format!("shadow_shed_total{{reason=\"{reason}\"}}");
        assert!((number(&numbers, &line) - 1.0).abs() < 0.5, "{numbers}");
    }
}

#[test]
fn a_stream_is_compared_where_its_text_was_kept() {
    let observer = observer(ShadowOptions::default());
    let loaded = live("old", LIVE).guard();
    let context = Arc::new(Input::request("what is good?"));
    let mut stream = loaded.guard.stream(&context).unwrap();
    let mut kept = observer.transcript(&context).unwrap();
    for piece in ["sacher", "torte"] {
        stream.push(Channel::Text, piece.as_bytes());
        kept.push(Channel::Text, piece);
    }
    let verdict = stream.finish().verdict;
    let input = kept.input();
    observer.decided(&Decision {
        exchange: "x",
        endpoint: "/v1/chat/completions",
        input: input.as_ref(),
        choice: None,
        verdict: &verdict,
        loaded: &loaded,
    });
    eventually("it is compared", || observer.shadow().unwrap().pending() == 0);
    let numbers = observer.metrics().encode();
    assert!(
        (number(&numbers, "shadow_clauses_total{clause=\"cake\",change=\"added\"}") - 1.0).abs() < 0.5,
        "{numbers}"
    );

    kept.push(Channel::Text, &"water ".repeat(MAX_TRANSCRIPT));
    assert!(kept.input().is_none(), "a long stream is not kept");
    assert!(Observer::default().transcript(&context).is_none(), "nor any without a shadow policy");
}

#[test]
fn a_difference_is_logged_without_text() {
    let observer = Arc::new(Metrics::new());
    let (out, written) = support::sink();
    let writer = LogWriter::new(out, &observer).unwrap();
    // The shadow policy judges on a thread of its own, so the log is that of the whole process.
    writer.install(LogFormat::Json, LevelFilter::INFO).unwrap();
    let shadow = Shadow::start(live("new", NEW), ShadowOptions::default(), observer.clone()).unwrap();
    let observer = Observer::new(observer).with_shadow(shadow);
    let text = format!("sachertorte for {CANARY}");
    decide(&live("old", LIVE).guard(), "exchange-of-mine", &text, |decision| observer.decided(decision));
    eventually("it is compared", || observer.shadow().unwrap().pending() == 0);
    writer.flush();
    let text = written();
    let line =
        text.lines().find(|line| line.contains("decides otherwise") && line.contains("of-mine")).unwrap();
    let line: serde_json::Value = serde_json::from_str(line).unwrap();
    assert_eq!(
        (&line["live"], &line["shadow"], &line["added"]),
        (&"allow".into(), &"block".into(), &"cake".into())
    );
    assert!(!text.contains(CANARY), "{text}");
}
