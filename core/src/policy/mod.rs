//! Document → **policy**: clauses, rules, conditions and patterns as the engine reads them.
//!
//! A [`Policy`] is what the compiler makes and the artifact stores. It holds no runtime structure; a
//! [`Guard`](crate::Guard) builds those from it once.

mod clause;
mod condition;
mod force;
mod head;
mod pattern;
mod settings;
mod streaming;

pub use clause::{Action, Clause, Coverage, Kind, OnError, Rule, SourceRef};
pub use condition::{
    ArgumentTest, Atom, Comparison, Condition, LABELS, MAX_OPS, MAX_STACK, Op, Place, ScopeTest, TextTest,
    Threshold, Truth,
};
pub(crate) use force::{Force, Lift, Scratch as ForceScratch};
pub use force::{SettingProblem, SettingReason};
pub use head::{Head, MAX_DIMENSIONS, MAX_HEADS};
pub use pattern::{Pattern, PatternKind, PatternSet, Trigger};
pub use settings::{Context, PrincipalSettings, Scope, Settings, SettingsError, Switch};
pub use streaming::{MAX_HOLD_CHARS, MAX_HOLD_MS, Streaming, Then};

use crate::authority::Principal;
use crate::message::Surface;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// A compiled policy: immutable, cheap to clone.
#[derive(Clone, Debug)]
pub struct Policy(Arc<PolicyData>);

/// The content of a policy, in the order in which it is written to an artifact.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PolicyData {
    /// The `name` of the front matter.
    pub name: String,
    /// The `version` of the front matter.
    pub version: String,
    /// Hash of the content below, 64 hexadecimal digits.
    #[serde(skip)]
    pub hash: String,
    /// The documents this was compiled from, each with the hash of its text.
    pub documents: Vec<DocumentRef>,
    /// The clauses, in document order.
    pub clauses: Vec<Clause>,
    /// The rules, grouped by clause, clauses in order.
    pub rules: Vec<Rule>,
    /// Every distinct atom that a condition uses.
    pub atoms: Vec<Atom>,
    /// Every distinct pattern.
    pub patterns: Vec<Pattern>,
    /// The pattern sets, each a list of patterns.
    pub sets: Vec<PatternSet>,
    /// Settings that travel with the policy.
    pub settings: Settings,
    /// What a stream does while a decision waits.
    pub streaming: Streaming,
    /// The models it was compiled with, and what they make of its operating points.
    pub calibrated: Option<Calibrated>,
}

/// What models make of the operating points of a policy. A guard with other models refuses the policy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Calibrated {
    /// The name of the models.
    pub name: String,
    /// Their version.
    pub version: String,
    /// Their hash, 64 hexadecimal digits.
    pub hash: String,
    /// The probability to reach for each operating point, by atom and surface.
    pub thresholds: Vec<OperatingThreshold>,
    /// What each `like` of the policy was fitted to, by clause.
    pub heads: Vec<Head>,
}

/// The probability that an operating point stands for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OperatingThreshold {
    /// Index of the atom.
    pub atom: u32,
    /// The surface of the text that is scored.
    pub surface: Surface,
    /// The probability to reach.
    pub threshold: f64,
}

/// A document that went into a policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocumentRef {
    /// Its name as given to the compiler.
    pub name: String,
    /// Hash of its text, 64 hexadecimal digits.
    pub hash: String,
}

impl Policy {
    /// Takes checked content and stamps it with its hash.
    pub(crate) fn from_checked(mut data: PolicyData, hash: String) -> Self {
        data.hash = hash;
        Self(Arc::new(data))
    }

    /// The content.
    pub fn data(&self) -> &PolicyData {
        &self.0
    }

    /// The `name` of the front matter.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The `version` of the front matter.
    pub fn version(&self) -> &str {
        &self.0.version
    }

    /// Hash of the content, 64 hexadecimal digits: two policies with the same hash give the same verdicts.
    pub fn hash(&self) -> &str {
        &self.0.hash
    }

    /// The clauses, in document order.
    pub fn clauses(&self) -> &[Clause] {
        &self.0.clauses
    }

    /// The clause with this id.
    pub fn clause(&self, id: &str) -> Option<&Clause> {
        self.clause_index(id).and_then(|at| self.0.clauses.get(at))
    }

    pub(crate) fn clause_index(&self, id: &str) -> Option<usize> {
        self.0.clauses.iter().position(|clause| clause.id == id)
    }

    /// Who can lift a clause by some setting, the highest first. Empty for a `hard` clause.
    pub fn lifters(&self, clause: &Clause) -> Vec<Principal> {
        Principal::descending().filter(|&principal| force::own_power(clause, principal)).collect()
    }
}
