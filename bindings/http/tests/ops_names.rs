//! Exported names are documented, each once.

use brightline_http::ops::telemetry::names::{EVENT, GUARDRAIL_RESULT, SPAN};
use std::collections::HashSet;

#[test]
fn every_exported_name_is_documented() {
    let docs = include_str!("../../../docs/operations.md");
    assert!(docs.contains(GUARDRAIL_RESULT));
    let event = EVENT.iter().map(|attribute| ("event", attribute.name, attribute.holds));
    let span = SPAN.iter().map(|attribute| ("span", attribute.name, attribute.holds));
    let mut seen = HashSet::new();
    for (what, name, holds) in event.chain(span) {
        assert!(seen.insert((what, name)), "{name} stands twice");
        let row = format!("| {what} | `{name}` | {holds} |");
        assert!(docs.contains(&row), "docs/operations.md lacks the row\n{row}");
    }
}
