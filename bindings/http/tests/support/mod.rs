//! Policies and decisions for the tests of operations.
#![allow(dead_code, clippy::unwrap_used, reason = "each test uses some of it, and fails by panicking")]

use brightline::{Compiler, Guard, Input, Policy};
use brightline_http::ops::Decision;
use brightline_http::ops::live::{Live, Loaded};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A word that no log and no metric may hold.
pub(crate) const CANARY: &str = "kumquat-7f3a";

/// A policy with one clause for each word, each `(clause, word, action)`.
pub(crate) fn document(name: &str, clauses: &[(&str, &str, &str)]) -> String {
    let mut out = format!("+++\nname = \"{name}\"\nversion = \"1\"\n+++\n");
    for (clause, word, action) in clauses {
        out.push_str(&format!(
            "\n## No {word} {{#{clause} authority=developer}}\n\nWe do not speak of it.\n\n~~~rule\n\
             on = [\"request\", \"response\"]\nwhen = 'match(\"words\")'\naction = \"{action}\"\n~~~\n\n\
             ~~~patterns\nwords = [\"{word}\"]\n~~~\n\n\
             ~~~examples\nhits:   request: tell me about {word}\nmisses: request: which train goes north?\n~~~\n"
        ));
    }
    out
}

/// A policy that says what [`document`] says.
pub(crate) fn policy(name: &str, clauses: &[(&str, &str, &str)]) -> Policy {
    Compiler::without_files().text(format!("{name}.md"), document(name, clauses)).into_policy().unwrap()
}

/// A policy in force.
pub(crate) fn live(name: &str, clauses: &[(&str, &str, &str)]) -> Arc<Live> {
    Arc::new(Live::new(Guard::new(policy(name, clauses)).unwrap()))
}

/// Judges a request and hands the decision on.
pub(crate) fn decide<T>(
    loaded: &Loaded,
    exchange: &str,
    text: &str,
    told: impl FnOnce(&Decision<'_>) -> T,
) -> T {
    let input = Input::request(text);
    let verdict = loaded.guard.check(&input).unwrap();
    told(&Decision {
        exchange,
        endpoint: "/v1/chat/completions",
        input: Some(&input),
        choice: None,
        verdict: &verdict,
        loaded,
    })
}

/// Waits until something holds.
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !holds() {
        assert!(Instant::now() < deadline, "never came true: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// The number of one line of metrics, 0 where there is none.
pub(crate) fn number(metrics: &str, line: &str) -> f64 {
    let rest = metrics.lines().find_map(|it| it.strip_prefix("brightline_")?.strip_prefix(line));
    rest.map_or(0.0, |rest| rest.trim().parse().unwrap())
}

/// Something to write to, and what was written.
pub(crate) fn sink() -> (impl std::io::Write + Send + 'static, impl Fn() -> String) {
    #[derive(Clone, Default)]
    struct Sink(Arc<std::sync::Mutex<Vec<u8>>>);
    impl std::io::Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let sink = Sink::default();
    (sink.clone(), move || String::from_utf8(sink.0.lock().unwrap().clone()).unwrap())
}
