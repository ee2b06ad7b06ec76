//! Coverage of a policy, clause by clause.

use super::examples::Example;
use super::needs_model;
use crate::authority::Level;
use crate::classifier::Quality;
use crate::policy::{Kind, PolicyData};
use serde::Serialize;

/// What `lint` says about each clause, besides diagnostics.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// The clauses, in document order.
    pub clauses: Vec<ClauseReport>,
}

/// One clause.
#[derive(Clone, Debug, Serialize)]
pub struct ClauseReport {
    /// Its id.
    pub id: String,
    /// Its heading.
    pub title: String,
    /// Its level.
    pub authority: Level,
    /// Its kind.
    pub kind: Kind,
    /// The line it cites.
    pub line: u32,
    /// `full`, `partial`, `none` or `unstated`.
    pub coverage: &'static str,
    /// Why text alone does not suffice.
    pub reason: Option<String>,
    /// How many rules enforce it.
    pub rules: usize,
    /// Whether some rule needs a model.
    pub needs_model: bool,
    /// How many examples must hit.
    pub hits: usize,
    /// How many must not.
    pub misses: usize,
    /// Where some `like` names the clause and models were there: how what was fitted to its examples does on examples
    /// that it has not seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub like: Option<Quality>,
}

impl Report {
    pub(super) fn new(data: &PolicyData, examples: &[Example]) -> Self {
        let clauses = data.clauses.iter().enumerate().map(|(at, clause)| {
            let rules = || data.rules.iter().filter(move |rule| rule.clause as usize == at);
            let count =
                |hit| examples.iter().filter(|example| example.clause == at && example.hit == hit).count();
            ClauseReport {
                id: clause.id.clone(),
                title: clause.title.clone(),
                authority: clause.level,
                kind: clause.kind,
                line: clause.source.line,
                coverage: clause.coverage.as_str(),
                reason: clause.coverage.reason().map(str::to_string),
                rules: rules().count(),
                needs_model: rules().any(|rule| needs_model(rule, &data.atoms)),
                hits: count(true),
                misses: count(false),
                like: None,
            }
        });
        Self { clauses: clauses.collect() }
    }

    pub(super) fn add_quality(&mut self, quality: &[(usize, Quality)]) {
        for (clause, quality) in quality {
            if let Some(clause) = self.clauses.get_mut(*clause) {
                clause.like = Some(*quality);
            }
        }
    }

    /// How many clauses have this coverage.
    pub fn count(&self, coverage: &str) -> usize {
        self.clauses.iter().filter(|clause| clause.coverage == coverage).count()
    }
}
