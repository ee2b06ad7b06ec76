//! A verdict as JSON.

use crate::classifier::Models;
use crate::policy::{Clause, Policy};
use crate::verdict::{Field, Finding, Lifted, Verdict};
use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};

/// The wire form. Fields that say nothing are left out, except `findings` and `degraded`.
impl Serialize for Verdict {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_map(None)?;
        if let Some(id) = &self.id {
            out.serialize_entry("id", id)?;
        }
        out.serialize_entry("action", &self.action)?;
        out.serialize_entry("surface", &self.surface)?;
        out.serialize_entry("policy", &PolicyName(&self.policy))?;
        if let Some(models) = &self.models {
            out.serialize_entry("model", &ModelName(models))?;
        }
        out.serialize_entry(
            "findings",
            &List(&self.findings, |finding| FindingOf { verdict: self, finding }),
        )?;
        if !self.lifted.is_empty() {
            out.serialize_entry("lifted", &List(&self.lifted, |lifted| LiftedOf { verdict: self, lifted }))?;
        }
        if !self.ignored.is_empty() {
            out.serialize_entry("ignored", &self.ignored)?;
        }
        if !self.scores.is_empty() {
            out.serialize_entry("scores", &ByLabel(&self.scores))?;
        }
        if let Some(message) = &self.message {
            out.serialize_entry("message", message)?;
        }
        if let Some(first) = self.redactions.first() {
            out.serialize_entry("redacted", &first.text)?;
            if self.redactions.len() > 1 || first.part.is_some() || first.field != Field::Content {
                out.serialize_entry("redactions", &self.redactions)?;
            }
        }
        if let Some(critique) = &self.critique {
            out.serialize_entry("critique", critique)?;
        }
        out.serialize_entry("scanned", &self.scanned)?;
        out.serialize_entry("degraded", &Degraded(self))?;
        if let Some(unverified) = self.unverified {
            out.serialize_entry("unverified", unverified)?;
        }
        if !self.not_judged.is_empty() {
            out.serialize_entry("not_judged", &self.not_judged)?;
        }
        out.serialize_entry("elapsed_us", &self.elapsed_us)?;
        out.end()
    }
}

struct List<'a, T, F>(&'a [T], F);

impl<'a, T, W: Serialize, F: Fn(&'a T) -> W> Serialize for List<'a, T, F> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(&self.1))
    }
}

struct PolicyName<'a>(&'a Policy);

impl Serialize for PolicyName<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_map(Some(3))?;
        out.serialize_entry("name", self.0.name())?;
        out.serialize_entry("version", self.0.version())?;
        out.serialize_entry("hash", self.0.hash())?;
        out.end()
    }
}

struct ModelName<'a>(&'a Models);

impl Serialize for ModelName<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_map(Some(3))?;
        out.serialize_entry("name", self.0.name())?;
        out.serialize_entry("version", self.0.version())?;
        out.serialize_entry("hash", self.0.hash())?;
        out.end()
    }
}

struct ByLabel<'a>(&'a [(&'static str, f64)]);

impl Serialize for ByLabel<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().copied())
    }
}

struct FindingOf<'a> {
    verdict: &'a Verdict,
    finding: &'a Finding,
}

impl Serialize for FindingOf<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_map(None)?;
        if let Some(clause) = self.verdict.clause_of(self.finding) {
            out.serialize_entry("clause", &clause.id)?;
            out.serialize_entry("title", &clause.title)?;
            out.serialize_entry("kind", &clause.kind)?;
            out.serialize_entry("authority", &clause.level)?;
            out.serialize_entry("source", &Place(clause))?;
            out.serialize_entry("surface", &self.finding.surface)?;
            out.serialize_entry("action", &self.finding.action)?;
            out.serialize_entry("rationale", &clause.rationale)?;
        }
        out.serialize_entry("evidence", &self.finding.evidence)?;
        out.end()
    }
}

struct Place<'a>(&'a Clause);

impl Serialize for Place<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_map(None)?;
        out.serialize_entry("document", &self.0.source.document)?;
        if let Some(edition) = &self.0.source.edition {
            out.serialize_entry("edition", edition)?;
        }
        out.serialize_entry("line", &self.0.source.line)?;
        out.end()
    }
}

struct LiftedOf<'a> {
    verdict: &'a Verdict,
    lifted: &'a Lifted,
}

impl Serialize for LiftedOf<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_map(Some(2))?;
        let clause = self.verdict.clause_of_lifted(self.lifted).map(|clause| clause.id.as_str());
        out.serialize_entry("clause", &clause)?;
        out.serialize_entry("by", &self.lifted.by)?;
        out.end()
    }
}

/// What limits the verdict: clauses without a model, and detectors that failed.
struct Degraded<'a>(&'a Verdict);

impl Serialize for Degraded<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let verdict = self.0;
        let mut out = serializer.serialize_seq(None)?;
        let ids = |clauses: &mut dyn Iterator<Item = usize>| -> Vec<&str> {
            clauses
                .filter_map(|at| verdict.policy.clauses().get(at))
                .map(|clause| clause.id.as_str())
                .collect()
        };
        if !verdict.undecided.is_empty() {
            let clauses = ids(&mut verdict.undecided.iter());
            out.serialize_element(&Limit { reason: "model_not_loaded", detector: None, clauses })?;
        }
        for failure in &verdict.failures {
            let clauses = ids(&mut failure.clauses.iter().copied());
            let detector = Some(failure.detector.as_str());
            out.serialize_element(&Limit { reason: failure.reason, detector, clauses })?;
        }
        out.end()
    }
}

#[derive(serde::Serialize)]
struct Limit<'a> {
    reason: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    detector: Option<&'a str>,
    clauses: Vec<&'a str>,
}
