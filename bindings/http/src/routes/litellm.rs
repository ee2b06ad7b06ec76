//! LiteLLM's generic guardrail API: texts in; `NONE`, `BLOCKED` or `GUARDRAIL_INTERVENED` out.

use super::serve;
use crate::failure::Failure;
use crate::judge::{Exchange, Judge, Outcome, refusal_of};
use axum::body::Body;
use axum::extract::State;
use brightline::message::{Part, Role};
use brightline::verdict::Field;
use brightline::{Input, Message, Verdict};
use http::{Request, Response};
use serde_json::{Value, json};
use std::sync::Arc;

#[derive(serde::Deserialize)]
struct Asked {
    #[serde(default)]
    texts: Option<Vec<String>>,
    #[serde(default)]
    images: Option<Vec<Value>>,
    #[serde(default)]
    tool_calls: Option<Vec<Call>>,
    #[serde(default)]
    input_type: Option<String>,
}

#[derive(serde::Deserialize)]
struct Call {
    function: Function,
}

#[derive(serde::Deserialize)]
struct Function {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    arguments: Option<String>,
}

async fn judge_texts(exchange: Arc<Exchange>, body: Vec<u8>) -> Result<Value, Failure> {
    let asked: Asked = super::parsed(&body)?;
    let role = match asked.input_type.as_deref() {
        None | Some("request") => Role::User,
        Some("response") => Role::Assistant,
        Some(_) => return Err(Failure::invalid("input_type", "expected `request` or `response`")),
    };
    let mut texts = asked.texts.unwrap_or_default();
    // One message of all texts: what is found across two of them counts.
    let mut parts: Vec<Part<'static>> =
        (0..).zip(&texts).map(|(at, text)| Part::Text { text: text.clone().into(), at: Some(at) }).collect();
    parts.extend(
        (0..)
            .zip(asked.images.unwrap_or_default())
            .map(|(at, _)| Part::Unjudged { kind: "image".into(), at }),
    );
    for (at, call) in (0..).zip(asked.tool_calls.unwrap_or_default()) {
        let (name, arguments) =
            (call.function.name.unwrap_or_default(), call.function.arguments.unwrap_or_default());
        parts.push(Part::ToolCall { name: name.into(), arguments: arguments.into(), at });
    }
    if parts.is_empty() {
        return Ok(json!({"action": "NONE"}));
    }
    let input = Input { messages: vec![Message { role, parts }], ..Input::default() };
    let (_, verdicts) = exchange.check(input, vec![0]).await?;
    let Some((_, verdict)) = verdicts.into_iter().next() else { return Err(Failure::NotJudged) };
    Ok(match Outcome::of(verdict.action) {
        Outcome::Pass => json!({"action": "NONE"}),
        Outcome::Redact if redacted(&verdict, &mut texts) => {
            json!({"action": "GUARDRAIL_INTERVENED", "texts": texts, "brightline": clauses(&verdict)})
        }
        _ => json!({
            "action": "BLOCKED",
            "blocked_reason": refusal_of(&verdict),
            "brightline": clauses(&verdict),
        }),
    })
}

pub(crate) async fn litellm(State(judge): State<Arc<Judge>>, request: Request<Body>) -> Response<Body> {
    serve(judge, "/beta/litellm_basic_guardrail_api", request, judge_texts).await
}

/// Puts redacted texts in place; false where something else than a text would have to be redacted.
fn redacted(verdict: &Verdict, texts: &mut [String]) -> bool {
    verdict.redactions.iter().all(|redaction| {
        let at = redaction.part.and_then(|at| usize::try_from(at).ok());
        match (redaction.field, at.and_then(|at| texts.get_mut(at))) {
            (Field::Content, Some(text)) => {
                text.clone_from(&redaction.text);
                true
            }
            _ => false,
        }
    })
}

fn clauses(verdict: &Verdict) -> Value {
    let clauses: Vec<&str> = verdict
        .findings
        .iter()
        .filter_map(|finding| verdict.clause_of(finding))
        .map(|clause| clause.id.as_str())
        .collect();
    json!({"action": verdict.action, "clauses": clauses})
}
