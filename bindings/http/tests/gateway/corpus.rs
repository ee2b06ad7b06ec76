//! The shared corpus through `/v1/check/batch`: the verdicts are those of the library.

use crate::support::{Running, client, quick};
use brightline::wire::{self, Case};
use brightline::{Guard, GuardOptions, Policy, Settings};
use brightline_http::Failure;
use brightline_http::ops::live::Live;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

fn untimed(mut verdict: Value) -> Value {
    verdict.as_object_mut().unwrap().remove("elapsed_us");
    verdict
}

#[tokio::test]
async fn verdicts_are_those_of_the_library() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/cases");
    // One gateway for each policy and deployment.
    let mut groups: BTreeMap<(String, String), (Option<Settings>, Vec<String>)> = BTreeMap::new();
    for file in std::fs::read_dir(folder).unwrap() {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        for line in text.lines().filter(|line| !line.is_empty()) {
            let case = Case::parse(line.as_bytes()).unwrap();
            let key = (case.policy.unwrap_or_else(|| "default".into()), format!("{:?}", case.deployment));
            groups.entry(key).or_insert_with(|| (case.deployment, Vec::new())).1.push(line.to_string());
        }
    }
    let mut compared = 0;
    for ((policy, _), (settings, lines)) in groups {
        let options = GuardOptions { settings: settings.unwrap_or_default(), ..GuardOptions::default() };
        // Cases of settings that no guard is built with are the library's alone.
        let Ok(guard) = Guard::with(Policy::load(&policy).unwrap(), options) else { continue };
        let live = Arc::new(Live::new(guard.clone()));
        let gateway = Running::with("http://127.0.0.1:9", quick(), live, Arc::default()).await;
        let body = format!("{{\"records\": [{}]}}", lines.join(","));
        let headers = [("content-type", "application/json")];
        let answer =
            client::request(gateway.address, "POST", "/v1/check/batch", &headers, body.as_bytes()).await;
        let verdicts = answer.json()["verdicts"].as_array().unwrap().clone();
        assert_eq!(verdicts.len(), lines.len());
        for (line, verdict) in lines.iter().zip(verdicts) {
            compared += 1;
            match wire::parse(line.as_bytes()) {
                Ok(input) => {
                    let wanted = serde_json::to_value(guard.check(&input).unwrap()).unwrap();
                    assert_eq!(untimed(verdict), untimed(wanted), "{line}");
                }
                Err(error) => assert_eq!(verdict["error"]["message"], json!(error.message), "{line}"),
            }
        }
    }
    assert!(compared > 150, "{compared} cases");
}

#[test]
fn every_failure_is_documented() {
    let page = include_str!("../../../../docs/gateway.md");
    for kind in Failure::KINDS {
        assert!(page.contains(&format!("| `{kind}` |")), "docs/gateway.md has no row for `{kind}`");
    }
}
