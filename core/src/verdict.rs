//! What a check says: an action, the findings behind it, and everything that limits it.

use crate::classifier::Models;
use crate::engine::provenance::Provenance;
use crate::message::Surface;
use crate::policy::{Action, Clause, Policy, Rule, SettingProblem};
use serde::Serialize;

/// The answer to one check. Its JSON form is the wire form shared by every binding.
#[derive(Clone, Debug)]
pub struct Verdict {
    pub(crate) policy: Policy,
    /// The caller's name for the record.
    pub id: Option<String>,
    /// The strictest action of a finding in force.
    pub action: Action,
    /// What the judged message is.
    pub surface: Surface,
    /// What was found, the strictest first, then by authority and priority.
    pub findings: Vec<Finding>,
    /// What was found but is not in force.
    pub lifted: Vec<Lifted>,
    /// Settings of the request that asked for more than they may and were not followed.
    pub ignored: Vec<SettingProblem>,
    /// Text safe to show the user instead of what was blocked.
    pub message: Option<String>,
    /// The judged text with what findings of action `redact` cover replaced, piece by piece.
    pub redactions: Vec<Redaction>,
    /// What the model should change, where the action is `revise`.
    pub critique: Option<String>,
    /// How much was scanned, and by what.
    pub scanned: Scanned,
    /// Detectors that failed in this check.
    pub failures: Vec<Failure>,
    /// Clauses that could not be decided because no model is loaded.
    pub(crate) undecided: ClauseSet,
    /// The models that were loaded.
    pub(crate) models: Option<Models>,
    /// Probabilities by label: of every label where the guard was told to score all, else of those that findings rest on.
    pub scores: Vec<(&'static str, f64)>,
    /// How the message lies outside what the models were measured on: `length` or `language`.
    pub unverified: Option<&'static str>,
    /// Parts of the message that are no text, by the type the API gives them.
    pub not_judged: Vec<String>,
    /// Wall time of the check, in microseconds.
    pub elapsed_us: u64,
}

/// One clause that the message breaks.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    pub(crate) clause: usize,
    pub(crate) rule: usize,
    /// What was judged.
    pub surface: Surface,
    /// What the rule asks for.
    pub action: Action,
    /// What it rests on.
    pub evidence: Vec<Evidence>,
}

/// What a finding rests on.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Evidence {
    /// Which detector: `match:set`, `pii:email`, `label:self_harm`, `tool.name`, …
    pub detector: String,
    /// Its score, for detectors that have one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
    /// What the score was compared with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threshold: Option<f64>,
    /// The clause asks for something that is not there.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub absent: bool,
    /// Where, at most [`MAX_SPANS`] places.
    pub spans: Vec<EvidenceSpan>,
}

/// How many places one piece of evidence lists; redaction covers all of them.
pub const MAX_SPANS: usize = 32;

/// The field of a message a span lies in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Field {
    /// The content.
    #[default]
    Content,
    /// The reasoning.
    Reasoning,
    /// The arguments of a tool call.
    ToolCalls,
    /// The name of the tool that is called.
    ToolName,
}

impl Field {
    fn is_content(&self) -> bool {
        *self == Self::Content
    }
}

/// A place in the conversation.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct EvidenceSpan {
    /// Index of the message.
    pub message: u32,
    /// Which field of it; left out for the content.
    #[serde(skip_serializing_if = "Field::is_content")]
    pub field: Field,
    /// Index of the content block or tool call, where there are several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub part: Option<u32>,
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
    /// The view it was found in, where that is not the normalized text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub view: Option<&'static str>,
    /// Why the text carries no authority, where it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provenance: Option<Provenance>,
}

/// A finding that is not in force.
#[derive(Clone, Debug, PartialEq)]
pub struct Lifted {
    pub(crate) clause: usize,
    /// Who or what lifted it: `operator`, `user`, `system`, `context`, or the id of an exception.
    pub by: String,
}

/// A judged piece of text without its redacted parts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Redaction {
    /// Which field.
    #[serde(skip_serializing_if = "Field::is_content")]
    pub field: Field,
    /// Index of the content block or tool call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub part: Option<u32>,
    /// The text with placeholders.
    pub text: String,
}

/// How much of the message was scanned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Scanned {
    /// Bytes of judged text, context not counted.
    pub bytes: u64,
    /// Which tiers looked at it.
    pub tiers: Tiers,
}

/// The tiers of the cascade.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tiers(u8);

impl Tiers {
    pub(crate) const RULES: Self = Self(1);
    pub(crate) const SCREEN: Self = Self(1 << 1);
    pub(crate) const FULL: Self = Self(1 << 2);

    pub(crate) fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Their names: `rules`, `screen`, `full`.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        ["rules", "screen", "full"]
            .into_iter()
            .enumerate()
            .filter(move |(bit, _)| self.0 >> bit & 1 == 1)
            .map(|it| it.1)
    }
}

impl Serialize for Tiers {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.names())
    }
}

/// A detector that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Which one, named as in [`Evidence::detector`].
    pub detector: String,
    /// Why.
    pub reason: &'static str,
    pub(crate) clauses: Vec<usize>,
}

/// A set of clause indexes that needs no memory of its own for policies of up to 256 clauses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ClauseSet {
    low: [u64; 4],
    high: Vec<usize>,
}

impl ClauseSet {
    pub(crate) fn insert(&mut self, clause: usize) {
        match self.low.get_mut(clause / 64) {
            Some(word) => *word |= 1 << (clause % 64),
            None if self.high.contains(&clause) => {}
            None => self.high.push(clause),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.low == [0; 4] && self.high.is_empty()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = usize> {
        let low = self.low.into_iter().enumerate().flat_map(|(word, bits)| {
            (0..64).filter(move |bit| bits >> bit & 1 == 1).map(move |bit| word * 64 + bit)
        });
        low.chain(self.high.iter().copied())
    }
}

impl Verdict {
    /// The policy that was applied.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The models that were loaded, whether they ran or not.
    pub fn models(&self) -> Option<&Models> {
        self.models.as_ref()
    }

    /// The clause of a finding of this verdict.
    pub fn clause_of(&self, finding: &Finding) -> Option<&Clause> {
        self.policy.clauses().get(finding.clause)
    }

    /// The rule of a finding of this verdict.
    pub fn rule_of(&self, finding: &Finding) -> Option<&Rule> {
        self.policy.data().rules.get(finding.rule)
    }

    /// The clause of a lifted finding.
    pub fn clause_of_lifted(&self, lifted: &Lifted) -> Option<&Clause> {
        self.policy.clauses().get(lifted.clause)
    }

    /// Clauses that could not be decided because no model is loaded.
    pub fn undecided(&self) -> impl Iterator<Item = &Clause> {
        self.undecided.iter().filter_map(|clause| self.policy.clauses().get(clause))
    }

    /// The judged content with placeholders for what was redacted.
    pub fn redacted(&self) -> Option<&str> {
        self.redactions.first().map(|redaction| redaction.text.as_str())
    }

    /// Whether the host may pass the message on as it is.
    pub fn passes(&self) -> bool {
        self.action <= Action::Flag
    }
}
