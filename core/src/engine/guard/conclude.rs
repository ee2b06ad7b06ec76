//! From what was found to the verdict.

use super::Inner;
use super::weigh::Outcome;
use crate::message::{Input, Surface};
use crate::policy::{Action, SettingProblem};
use crate::verdict::{Finding, Redaction, Scanned, Tiers, Verdict};

/// What a verdict says besides what was found.
pub(crate) struct Seen {
    pub surface: Surface,
    /// Bytes of judged text.
    pub bytes: u64,
    pub ignored: Vec<SettingProblem>,
    pub redactions: Vec<Redaction>,
    pub not_judged: Vec<String>,
}

impl Inner {
    pub(super) fn conclude(&self, input: &Input<'_>, mut outcome: Outcome, seen: Seen) -> Verdict {
        let key = |finding: &Finding| {
            let clause = self.policy.clauses().get(finding.clause);
            let level = clause.map(|clause| std::cmp::Reverse(clause.level));
            (std::cmp::Reverse(finding.action), level, clause.map(|clause| clause.priority), finding.clause)
        };
        outcome.findings.sort_by_key(key);
        let action = outcome.findings.first().map_or(Action::Allow, |finding| finding.action);
        let first_rule = outcome.findings.first().and_then(|finding| self.rule(finding.rule));
        let shown = (action >= Action::Revise).then(|| {
            first_rule
                .and_then(|rule| rule.message.clone())
                .unwrap_or_else(|| default_message(action).to_string())
        });
        let critique = (action == Action::Revise).then(|| self.critique(&outcome.findings));
        Verdict {
            policy: self.policy.clone(),
            id: input.id.as_ref().map(|id| id.to_string()),
            action,
            surface: seen.surface,
            findings: outcome.findings,
            lifted: outcome.lifted,
            ignored: seen.ignored,
            message: shown,
            redactions: seen.redactions,
            critique,
            scanned: Scanned { bytes: seen.bytes, tiers: Tiers::RULES },
            failures: outcome.failures,
            undecided: outcome.undecided,
            scores: Vec::new(),
            models: None,
            unverified: None,
            not_judged: seen.not_judged,
            elapsed_us: 0,
        }
    }

    /// What a model is told to change.
    fn critique(&self, findings: &[Finding]) -> String {
        let mut out = String::new();
        for finding in findings.iter().filter(|finding| finding.action == Action::Revise) {
            let Some(clause) = self.policy.clauses().get(finding.clause) else { continue };
            let missing = finding.evidence.iter().any(|evidence| evidence.absent);
            let change =
                self.rule(finding.rule).and_then(|rule| rule.message.as_deref()).unwrap_or(if missing {
                    "Add what the clause asks for and keep the rest."
                } else {
                    "Rewrite the parts that go against it and keep the rest."
                });
            if !out.is_empty() {
                out.push('\n');
            }
            out.push_str(&format!(
                "The answer does not follow \"{}\" ({}, {} line {}). {} {change}",
                clause.title, clause.id, clause.source.document, clause.source.line, clause.rationale
            ));
        }
        out
    }
}

fn default_message(action: Action) -> &'static str {
    match action {
        Action::Escalate => "This needs a person to look at it first.",
        _ => "I can't help with that.",
    }
}
