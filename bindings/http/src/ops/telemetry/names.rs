//! What is exported, under which names: data, since the names still move.
//!
//! Source: OpenTelemetry's semantic conventions for generative AI, `docs/gen-ai/gen-ai-guardrails.md` at f5e3733 (status
//! *Development*; pull request 427 of `open-telemetry/semantic-conventions-genai`). Names under `brightline.` are our own.
//! The conventions ask for the guard's own words, so actions and surfaces go out as they stand in a verdict.

use crate::ops::{Decision, Ended};
use brightline::verdict::Finding;

/// The event for each finding, and for a decision without one.
pub const GUARDRAIL_RESULT: &str = "gen_ai.guardrail.result";

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Text.
    Text(String),
    /// A number.
    Number(f64),
    /// A whole number.
    Whole(i64),
}

impl<T: Into<String>> From<T> for Value {
    fn from(text: T) -> Self {
        Self::Text(text.into())
    }
}

/// What one event is about.
pub struct Subject<'a> {
    /// The decision.
    pub decision: &'a Decision<'a>,
    /// The finding; `None` for a decision without one.
    pub finding: Option<&'a Finding>,
}

/// One attribute: its name, and where its value comes from.
pub struct Attribute<F> {
    /// The name.
    pub name: &'static str,
    /// What it holds, as `docs/operations.md` says it.
    pub holds: &'static str,
    /// The value; `None` where there is nothing to say.
    pub value: F,
}

/// Where an attribute of an event comes from.
pub type OfSubject = fn(&Subject<'_>) -> Option<Value>;
/// Where an attribute of a span comes from.
pub type OfExchange = fn(&Ended<'_>) -> Option<Value>;

/// The attributes of [`GUARDRAIL_RESULT`].
pub const EVENT: &[Attribute<OfSubject>] = &[
    Attribute {
        name: "gen_ai.guardrail.component.name",
        holds: "`brightline`",
        value: |_| Some("brightline".into()),
    },
    Attribute {
        name: "gen_ai.guardrail.policy.id",
        holds: "the policy's name",
        value: |it| Some(it.decision.verdict.policy().name().into()),
    },
    Attribute {
        name: "gen_ai.guardrail.policy.version",
        holds: "the policy's version",
        value: |it| Some(it.decision.verdict.policy().version().into()),
    },
    Attribute {
        name: "gen_ai.guardrail.policy.rule.id",
        holds: "the clause, for a finding",
        value: |it| Some(it.decision.verdict.clause_of(it.finding?)?.id.as_str().into()),
    },
    Attribute { name: "gen_ai.guardrail.result.type", holds: "`action`", value: |_| Some("action".into()) },
    Attribute {
        name: "gen_ai.guardrail.result.value",
        holds: "the action of the finding, or `allow`",
        value: |it| {
            let action = it.finding.map_or(it.decision.verdict.action, |finding| finding.action);
            Some(action.as_str().into())
        },
    },
    Attribute {
        name: "gen_ai.guardrail.result.reason",
        holds: "the clause's title",
        value: |it| Some(it.decision.verdict.clause_of(it.finding?)?.title.as_str().into()),
    },
    Attribute {
        name: "gen_ai.guardrail.risk.category",
        holds: "the label with the highest score that the finding rests on",
        value: |it| Some(strongest(it.finding?)?.0.into()),
    },
    Attribute {
        name: "gen_ai.guardrail.risk.score",
        holds: "its probability, 0 to 1",
        value: |it| Some(Value::Number(strongest(it.finding?)?.1)),
    },
    Attribute {
        name: "gen_ai.guardrail.source",
        holds: "the surface: `request`, `response`, `reasoning`, `tool_call`, `tool_result`",
        value: |it| {
            let surface = it.finding.map_or(it.decision.verdict.surface, |finding| finding.surface);
            Some(surface.as_str().into())
        },
    },
    Attribute {
        name: "error.type",
        holds: "why a detector is missing or failed, as in `degraded`",
        value: |it| {
            super::super::metrics::degraded(it.decision.verdict).first().map(|reason| (*reason).into())
        },
    },
    Attribute {
        name: "brightline.exchange.id",
        holds: "the id of the exchange",
        value: |it| Some(it.decision.exchange.into()),
    },
    Attribute {
        name: "brightline.policy.hash",
        holds: "the policy's hash",
        value: |it| Some(it.decision.verdict.policy().hash().into()),
    },
    Attribute {
        name: "brightline.clause.authority",
        holds: "the clause's level",
        value: |it| Some(it.decision.verdict.clause_of(it.finding?)?.level.as_str().into()),
    },
    Attribute {
        name: "brightline.verdict.action",
        holds: "the action of the whole verdict",
        value: |it| Some(it.decision.verdict.action.as_str().into()),
    },
];

/// The attributes of an exchange's span, which is named after its endpoint.
pub const SPAN: &[Attribute<OfExchange>] = &[
    Attribute { name: "http.route", holds: "the endpoint", value: |it| Some(it.endpoint.into()) },
    Attribute {
        name: "http.response.status_code",
        holds: "the status the client got",
        value: |it| Some(Value::Whole(it.status.into())),
    },
    Attribute { name: "error.type", holds: "the kind of failure", value: |it| it.failure.map(Value::from) },
    Attribute {
        name: "brightline.exchange.id",
        holds: "the id of the exchange",
        value: |it| Some(it.exchange.into()),
    },
    Attribute {
        name: "brightline.judging.duration",
        holds: "seconds the exchange spent being judged",
        value: |it| Some(Value::Number(it.judging.as_secs_f64())),
    },
];

/// The label with the highest score among a finding's evidence.
fn strongest(finding: &Finding) -> Option<(&str, f64)> {
    let scored = finding.evidence.iter().filter_map(|evidence| {
        let label = evidence.detector.strip_prefix("label:")?;
        Some((label.split('@').next().unwrap_or(label), evidence.score?))
    });
    scored.max_by(|a, b| a.1.total_cmp(&b.1))
}
