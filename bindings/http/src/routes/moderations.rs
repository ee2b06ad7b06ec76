//! `/v1/moderations` in OpenAI's form, from the labels of the models and the findings of the policy.

use super::serve;
use crate::failure::Failure;
use crate::judge::{Exchange, Judge, Pace};
use axum::body::Body;
use axum::extract::State;
use brightline::message::{Message, Part, Role, Surface};
use brightline::policy::LABELS;
use brightline::{Action, Input, Verdict};
use http::{Request, Response};
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// OpenAI's categories, and the labels each is read from: the highest score counts. Brightline's labels are coarser, so that
/// several categories share one; `docs/gateway.md` says what that means.
const CATEGORIES: [(&str, &[&str]); 13] = [
    ("harassment", &["harassment"]),
    ("harassment/threatening", &[]),
    ("hate", &["hate"]),
    ("hate/threatening", &[]),
    ("illicit", &["nonviolent_crime", "cyber_abuse", "weapons_conventional", "weapons_cbrn"]),
    ("illicit/violent", &["weapons_conventional", "weapons_cbrn"]),
    ("self-harm", &["self_harm"]),
    ("self-harm/intent", &[]),
    ("self-harm/instructions", &[]),
    ("sexual", &["sexual_content", "sexual_crime", "child_exploitation"]),
    ("sexual/minors", &["child_exploitation"]),
    ("violence", &["violent_crime"]),
    ("violence/graphic", &[]),
];

/// A category is true where a label's score is one that this share of benign requests exceeds.
const FPR: f64 = 0.01;

/// How many inputs one request may hold.
const MAX_INPUTS: usize = 1024;

#[derive(serde::Deserialize)]
struct Asked {
    input: Value,
}

pub(crate) async fn moderations(State(judge): State<Arc<Judge>>, request: Request<Body>) -> Response<Body> {
    serve(judge, "/v1/moderations", request, moderate).await
}

async fn moderate(exchange: Arc<Exchange>, body: Vec<u8>) -> Result<Value, Failure> {
    let Asked { input } = super::parsed(&body)?;
    let inputs = inputs(input)?;
    let worker = exchange.clone();
    let results: Vec<Value> = exchange
        .work(body.len(), move || {
            inputs.into_iter().map(|parts| result(&worker, parts)).collect::<Result<_, _>>()
        })
        .await??;
    let loaded = &exchange.loaded;
    let model = loaded.guard.models().map_or_else(
        || format!("brightline-{}", loaded.guard.policy().name()),
        |models| format!("{}-{}", models.name(), models.version()),
    );
    Ok(json!({"id": format!("modr-{}", exchange.id), "model": model, "results": results}))
}

/// What is judged: one message for each input.
fn inputs(input: Value) -> Result<Vec<Vec<Part<'static>>>, Failure> {
    let wrong = || Failure::invalid("input", "expected a text, a list of texts, or a list of parts");
    let text = |text: String, at: Option<u32>| Part::Text { text: text.into(), at };
    match input {
        Value::String(one) => Ok(vec![vec![text(one, None)]]),
        Value::Array(items) if items.is_empty() => Err(wrong()),
        Value::Array(items) if items.len() > MAX_INPUTS => {
            Err(Failure::invalid("input", format!("at most {MAX_INPUTS} are allowed")))
        }
        Value::Array(items) if items.iter().all(Value::is_string) => Ok(items
            .into_iter()
            .map(|item| vec![text(item.as_str().unwrap_or_default().to_string(), None)])
            .collect()),
        // Parts are one input.
        Value::Array(items) => {
            let parts = (0..).zip(items).map(|(at, item)| {
                let kind = item.get("type").and_then(Value::as_str).ok_or_else(wrong)?;
                match (kind, item.get("text").and_then(Value::as_str)) {
                    ("text", Some(words)) => Ok(text(words.to_string(), Some(at))),
                    ("text", None) => Err(wrong()),
                    _ => Ok(Part::Unjudged { kind: kind.to_string().into(), at }),
                }
            });
            Ok(vec![parts.collect::<Result<_, _>>()?])
        }
        _ => Err(wrong()),
    }
}

fn result(exchange: &Exchange, parts: Vec<Part<'static>>) -> Result<Value, Failure> {
    let words: Vec<&str> = parts
        .iter()
        .filter_map(|part| if let Part::Text { text, .. } = part { Some(&**text) } else { None })
        .collect();
    let words = words.join("\n");
    let scored = match exchange.loaded.guard.models() {
        Some(models) if !words.is_empty() => {
            Some((models, models.scores(Surface::Request, &words, None).map_err(|_| Failure::NotJudged)?))
        }
        _ => None,
    };
    let mut input = Input { messages: vec![Message { role: Role::User, parts }], ..Input::default() };
    let verdict = exchange.check_now(&mut input, 0, None, Pace::Full)?.ok_or(Failure::NotJudged)?;
    let (mut categories, mut scores, mut applied) = (Map::new(), Map::new(), Map::new());
    for (name, labels) in CATEGORIES {
        let (mut score, mut holds) = (0.0_f64, false);
        for label in labels {
            let Some(at) = LABELS.iter().position(|known| known == label) else { continue };
            if let Some((models, scored)) = &scored {
                let here = f64::from(scored.get(at));
                let index = u8::try_from(at).unwrap_or(u8::MAX);
                let threshold = models.threshold(index, Surface::Request, FPR);
                score = score.max(here);
                holds |= threshold.is_some_and(|threshold| here >= threshold.value);
            }
            holds |= rests_on(&verdict, label);
        }
        let types: &[&str] = if labels.is_empty() { &[] } else { &["text"] };
        categories.insert(name.to_string(), holds.into());
        scores.insert(name.to_string(), score.into());
        applied.insert(name.to_string(), types.into());
    }
    let flagged = verdict.action > Action::Flag || categories.values().any(|holds| holds == true);
    let extension = crate::api::extension([&verdict], [], &[]);
    let mut result = json!({
        "flagged": flagged,
        "categories": categories,
        "category_scores": scores,
        "category_applied_input_types": applied,
    });
    crate::api::extend(&mut result, extension.pointer("/request/0").cloned().unwrap_or_default());
    Ok(result)
}

/// Whether a finding that counts rests on a label.
fn rests_on(verdict: &Verdict, label: &str) -> bool {
    let findings = verdict.findings.iter().filter(|finding| finding.action > Action::Allow);
    findings.flat_map(|finding| &finding.evidence).any(|evidence| {
        let named =
            evidence.detector.strip_prefix("label:").map(|name| name.split('@').next().unwrap_or(name));
        named == Some(label)
    })
}
