//! Cases: records with what is expected of their verdicts. One form for every binding's tests.

use super::WireError;
use crate::engine::Guard;
use crate::message::Input;
use crate::policy::{Action, Settings};
use crate::verdict::Verdict;
use serde::Deserialize;

/// A record as [`parse`](super::parse) takes it, with an `expect` and a `why` beside it.
#[derive(Clone, Debug, Deserialize)]
pub struct Case {
    /// The record's id.
    #[serde(default)]
    pub id: Option<String>,
    /// Why the case is there.
    #[serde(default)]
    pub why: Option<String>,
    /// The policy it is for, where that is not the one the run is about.
    #[serde(default)]
    pub policy: Option<String>,
    /// Settings of the deployment.
    #[serde(default)]
    pub deployment: Option<Settings>,
    /// What is expected.
    pub expect: Expect,
}

/// What a case expects; what it does not name may be anything.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Expect {
    /// The verdict's action.
    pub action: Option<Action>,
    /// The clauses found, exactly.
    pub clauses: Option<Vec<String>>,
    /// Clauses among those found.
    pub includes: Vec<String>,
    /// Clauses not among them.
    pub excludes: Vec<String>,
    /// What is lifted, exactly, as `clause by whom`.
    pub lifted: Option<Vec<String>>,
    /// The redacted text.
    pub redacted: Option<String>,
    /// The texts of all evidence, exactly, each once.
    pub evidence: Option<Vec<String>>,
    /// How many settings of the request are not followed.
    pub ignored: Option<usize>,
    /// Part of the error that is expected instead of a verdict.
    pub error: Option<String>,
}

impl Case {
    /// Reads a case.
    ///
    /// # Errors
    /// If the line is no JSON object with an `expect` of the known fields.
    pub fn parse(line: &[u8]) -> Result<Self, WireError> {
        serde_json::from_slice(line).map_err(|error| WireError::at("expect", format!("not a case: {error}")))
    }

    /// What is not as expected: nothing where the case passes. `line` is the record, `guard` what judges it, or why there
    /// is none.
    pub fn problems(&self, guard: Result<&Guard, &str>, line: &[u8]) -> Vec<String> {
        let guard = match guard {
            Ok(guard) => guard,
            Err(message) => return self.expect.error(message),
        };
        let input = match super::parse(line) {
            Ok(input) => input,
            Err(error) => return self.expect.error(&error.to_string()),
        };
        match guard.check(&input) {
            Ok(verdict) => self.expect.compare(&verdict, &input),
            Err(error) => self.expect.error(&error.to_string()),
        }
    }
}

impl Expect {
    fn error(&self, message: &str) -> Vec<String> {
        match &self.error {
            Some(wanted) if message.contains(wanted.as_str()) => Vec::new(),
            Some(wanted) => vec![format!("expected an error with `{wanted}`, got: {message}")],
            None => vec![format!("error: {message}")],
        }
    }

    fn compare(&self, verdict: &Verdict, input: &Input<'_>) -> Vec<String> {
        let mut problems = Vec::new();
        if let Some(wanted) = &self.error {
            problems.push(format!("expected an error with `{wanted}`, got a verdict"));
        }
        if let Some(action) = self.action.filter(|action| *action != verdict.action) {
            problems.push(format!("expected action {action}, got {}", verdict.action));
        }
        let mut found: Vec<String> = verdict
            .findings
            .iter()
            .filter_map(|it| verdict.clause_of(it))
            .map(|clause| clause.id.clone())
            .collect();
        found.sort();
        found.dedup();
        if let Some(clauses) = &self.clauses {
            let mut wanted = clauses.clone();
            wanted.sort();
            if wanted != found {
                problems.push(format!("expected exactly the clauses {wanted:?}, got {found:?}"));
            }
        }
        problems.extend(
            self.includes.iter().filter(|id| !found.contains(id)).map(|id| format!("`{id}` was not found")),
        );
        problems.extend(
            self.excludes.iter().filter(|id| found.contains(id)).map(|id| format!("`{id}` was found")),
        );
        if let Some(wanted) = &self.lifted {
            let mut lifted: Vec<String> = verdict
                .lifted
                .iter()
                .filter_map(|it| Some(format!("{} by {}", verdict.clause_of_lifted(it)?.id, it.by)))
                .collect();
            let mut wanted = wanted.clone();
            lifted.sort();
            wanted.sort();
            if lifted != wanted {
                problems.push(format!("expected lifted {wanted:?}, got {lifted:?}"));
            }
        }
        if let Some(wanted) = self.redacted.as_deref().filter(|wanted| Some(*wanted) != verdict.redacted()) {
            problems
                .push(format!("expected redacted `{wanted}`, got `{}`", verdict.redacted().unwrap_or("")));
        }
        if let Some(wanted) = self.ignored.filter(|wanted| *wanted != verdict.ignored.len()) {
            problems.push(format!("expected {wanted} ignored settings, got {}", verdict.ignored.len()));
        }
        if let Some(wanted) = &self.evidence {
            let mut texts: Vec<String> = verdict
                .findings
                .iter()
                .flat_map(|finding| &finding.evidence)
                .flat_map(|evidence| &evidence.spans)
                .filter_map(|span| input.slice(span).map(str::to_string))
                .collect();
            let mut wanted = wanted.clone();
            texts.sort();
            texts.dedup();
            wanted.sort();
            if texts != wanted {
                problems.push(format!("expected evidence {wanted:?}, got {texts:?}"));
            }
        }
        problems
    }
}
