//! Clauses and their rules.

use super::condition::Condition;
use crate::authority::{Level, Principal, Priority, words};
use crate::message::Surfaces;
use serde::{Deserialize, Serialize};

/// What kind of demand a clause makes, which decides who may lift it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A bright line: in force under every setting.
    Hard,
    /// In force unless somebody whose rank reaches the clause switches it off.
    #[default]
    Rule,
    /// A protective behavior, enforced while on.
    DefaultOn,
    /// A permission, its restriction enforced while off.
    DefaultOff,
    /// Owned by the user: the operator cannot lift it.
    Protection,
    /// Lifts findings of other clauses while its own condition holds.
    Exception,
}

words!(Kind {
    Hard = "hard",
    Rule = "rule",
    DefaultOn = "default_on",
    DefaultOff = "default_off",
    Protection = "protection",
    Exception = "exception",
});

/// What a finding asks the host to do. Later variants are stricter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Let it through.
    #[default]
    Allow,
    /// Let it through and take note.
    Flag,
    /// Let it through without the evidence.
    Redact,
    /// Ask the model to revise it.
    Revise,
    /// Ask a person.
    Escalate,
    /// Do not let it through.
    Block,
}

words!(Action {
    Allow = "allow",
    Flag = "flag",
    Redact = "redact",
    Revise = "revise",
    Escalate = "escalate",
    Block = "block",
});

/// What becomes of a rule whose detector failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnError {
    /// As if the rule had matched with action `block`.
    Block,
    /// As if the rule had matched with action `flag`.
    #[default]
    Flag,
    /// The failure is only reported.
    Allow,
}

words!(OnError { Block = "block", Flag = "flag", Allow = "allow" });

/// How much of a clause its rules can judge from text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Coverage {
    /// All of it.
    #[default]
    Full,
    /// Some; the rest for the reason given.
    Partial(String),
    /// None, for the reason given.
    None(String),
    /// Nothing in the document says how the clause is enforced.
    Unstated,
}

impl Coverage {
    /// The word for it: `full`, `partial`, `none`, `unstated`.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Partial(_) => "partial",
            Self::None(_) => "none",
            Self::Unstated => "unstated",
        }
    }

    /// Why text alone does not suffice.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Partial(reason) | Self::None(reason) => Some(reason),
            Self::Full | Self::Unstated => None,
        }
    }
}

/// Where a clause stands in a document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceRef {
    /// The document's name.
    pub document: String,
    /// Which edition of it, where the policy says.
    pub edition: Option<String>,
    /// First line, counted from 1.
    pub line: u32,
    /// Last line.
    pub end_line: u32,
    /// Fingerprint of the text on these lines when the policy was written.
    pub fingerprint: Option<String>,
}

/// One clause of a policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clause {
    /// Unique name.
    pub id: String,
    /// The heading.
    pub title: String,
    /// Its level.
    pub level: Level,
    /// Its kind.
    pub kind: Kind,
    /// For the two switchable kinds: the lowest principal who may switch it.
    pub switch: Option<Principal>,
    /// For a protection: whether the user may waive it.
    pub waivable: bool,
    /// The clause applies only where the context carries one of these; always where this is empty.
    pub tags: Vec<String>,
    /// Orders findings of equal severity.
    pub priority: Priority,
    /// First paragraph of the prose.
    pub rationale: String,
    /// The place a verdict cites: in the published document where the clause names it, else in the policy.
    pub source: SourceRef,
    /// Where the clause stands in the policy itself.
    pub place: SourceRef,
    /// How much of it is enforced.
    pub coverage: Coverage,
}

/// How a clause is enforced on some surfaces.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    /// Index of the clause.
    pub clause: u32,
    /// Line of the rule fence in the policy.
    pub line: u32,
    /// Where it applies.
    pub on: Surfaces,
    /// When it matches.
    pub when: Condition,
    /// When it does not match after all.
    pub unless: Option<Condition>,
    /// What a match asks for.
    pub action: Action,
    /// Text safe to show the user.
    pub message: Option<String>,
    /// What becomes of it when a detector fails.
    pub on_error: OnError,
    /// For an exception: the clauses whose findings it lifts.
    pub exempts: Vec<u32>,
}
