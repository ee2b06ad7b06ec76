//! Which thresholds the operating points of a policy come to with given models.

use crate::classifier::{Models, Threshold};
use crate::engine::program::conditions;
use crate::message::Surface;
use crate::policy::{self, Atom, Condition, LABELS, Place, Policy};
use serde::Serialize;

/// One operating point that a rule asks for.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PointReport {
    /// The clause of the rule.
    pub clause: String,
    /// The label.
    pub label: &'static str,
    /// The surface of the text that is scored.
    pub surface: Surface,
    /// The share of benign traffic that the policy allows to be flagged.
    pub fpr: f64,
    /// What the models make of it.
    #[serde(flatten)]
    pub threshold: Threshold,
}

impl Policy {
    /// The operating points its rules ask for, clause by clause, and what these models make of them.
    pub fn operating_points(&self, models: &Models) -> Vec<PointReport> {
        let data = self.data();
        let mut points: Vec<PointReport> = Vec::new();
        for rule in &data.rules {
            let Some(clause) = data.clauses.get(rule.clause as usize) else { continue };
            for atom in conditions(rule).flat_map(Condition::atoms) {
                let Some(Atom::Label { label, place, threshold: policy::Threshold::AtFpr(fpr) }) =
                    data.atoms.get(atom as usize)
                else {
                    continue;
                };
                for judged in rule.on.iter() {
                    let surface = match place {
                        Place::Request => Surface::Request,
                        Place::Response => Surface::Response,
                        Place::Judged | Place::Untrusted | Place::Trusted => judged,
                    };
                    let Some(threshold) = models.threshold(*label, surface, *fpr) else { continue };
                    let label = LABELS.get(usize::from(*label)).copied().unwrap_or("");
                    let point =
                        PointReport { clause: clause.id.clone(), label, surface, fpr: *fpr, threshold };
                    if !points.contains(&point) {
                        points.push(point);
                    }
                }
            }
        }
        points
    }
}
