//! What the classifier says of the texts of a check. Each text is scored at most once, and only when an answer depends on
//! it.

#[cfg(test)]
mod like_tests;
#[cfg(test)]
mod tests;
mod values;

use super::judge::Parts;
use super::program::conditions;
use crate::classifier::{COUNT, Likeness, ModelError, ModelScratch, Models, Passage, ScoreError, TextScores};
use crate::message::Surface;
use crate::policy::{
    Atom, Calibrated, Condition, Head, LABELS, OperatingThreshold, PolicyData, Rule, Threshold,
};
use crate::verdict::Tiers;
use std::time::{Duration, Instant};

/// The models of a guard, with what its policy asks of them.
pub(crate) struct Classifier {
    pub models: Models,
    /// By atom and surface: the score that an operating point stands for.
    thresholds: Vec<[Option<f64>; 5]>,
    /// What `like` compares with, each fitted to the examples of a clause.
    heads: Vec<Head>,
    /// How long the models may take for one check.
    deadline: Option<Duration>,
    /// Whether every label is scored, whatever the policy asks.
    pub all: bool,
}

impl Classifier {
    /// The operating points of a policy: those it was compiled with, else those of the models.
    ///
    /// # Errors
    /// If the models are not those the policy was compiled with, or have no operating point that it asks for.
    pub(crate) fn new(
        models: Models,
        data: &PolicyData,
        deadline: Option<Duration>,
        all: bool,
    ) -> Result<Self, ModelError> {
        let resolved;
        let points = match &data.calibrated {
            Some(known) if known.hash != models.hash() => {
                let (expected, found) = (known.hash.clone(), models.hash().to_string());
                return Err(ModelError::Mismatch { expected, found });
            }
            Some(known) => known,
            None => {
                resolved = resolve(&models, &data.atoms)?;
                &resolved
            }
        };
        if let Some(head) = points.heads.iter().find(|head| head.weights.len() != models.dimensions()) {
            let clause = data.clauses.get(head.clause as usize).map_or("", |clause| clause.id.as_str());
            return Err(ModelError::Head {
                clause: clause.to_string(),
                found: head.weights.len(),
                expected: models.dimensions(),
            });
        }
        let mut thresholds = vec![[None; 5]; data.atoms.len()];
        for point in &points.thresholds {
            let by_surface = thresholds.get_mut(point.atom as usize);
            if let Some(slot) = by_surface.and_then(|by| by.get_mut(point.surface as usize)) {
                *slot = Some(point.threshold);
            }
        }
        let heads = points.heads.clone();
        Ok(Self { models, thresholds, heads, deadline, all })
    }

    fn threshold(&self, atom: u32, surface: Surface) -> Option<f64> {
        self.thresholds.get(atom as usize)?.get(surface as usize).copied().flatten()
    }

    /// Which head belongs to a clause. `None` where the policy was compiled without models or with too few examples.
    fn head(&self, clause: u32) -> Option<usize> {
        self.heads.iter().position(|head| head.clause == clause)
    }
}

/// What the models make of the operating points of a policy.
///
/// # Errors
/// If they were not measured on a label it asks for.
pub(crate) fn resolve(models: &Models, atoms: &[Atom]) -> Result<Calibrated, ModelError> {
    let mut thresholds = Vec::new();
    for (at, atom) in (0u32..).zip(atoms) {
        let Atom::Label { label, threshold: Threshold::AtFpr(rate), .. } = atom else { continue };
        for &surface in Surface::ALL {
            let threshold = models.threshold(*label, surface, *rate).ok_or_else(|| {
                let label = LABELS.get(usize::from(*label)).copied().unwrap_or("");
                ModelError::NotMeasured { label, surface }
            })?;
            thresholds.push(OperatingThreshold { atom: at, surface, threshold: threshold.value });
        }
    }
    let [name, version, hash] = [models.name(), models.version(), models.hash()].map(str::to_string);
    Ok(Calibrated { name, version, hash, thresholds, heads: Vec::new() })
}

/// Whether some condition of a rule reads a text with a model.
pub(crate) fn reads_labels(rule: &Rule, atoms: &[Atom]) -> bool {
    let mut used = conditions(rule).flat_map(Condition::atoms);
    used.any(|atom| atoms.get(atom as usize).is_some_and(Atom::needs_model))
}

/// Which text of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slot {
    Judged,
    Request,
    Response,
}

pub(crate) type Scored = Result<TextScores, ScoreError>;

/// What a text is, and what the models make of it.
pub type SurfaceScores = (Surface, Result<TextScores, ScoreError>);

/// What is known about a text.
#[derive(Default)]
pub(crate) struct Known {
    pub labels: Option<Scored>,
    /// By head, what it makes of the windows that were read by the full model.
    pub likes: Vec<Likeness>,
    /// Whether that was all of them.
    pub all_read: Option<Result<(), ScoreError>>,
}

impl Known {
    fn forget(&mut self) {
        (self.labels, self.all_read) = (None, None);
    }
}

/// The scores of one check.
#[derive(Default)]
pub(crate) struct Scores {
    /// By text, and by which parts of it count.
    known: [[Known; 3]; 3],
    /// Of a stream: the scores of the judged text that no more text can lower.
    settled: Option<Known>,
    deadline: Option<Instant>,
    pub tiers: Tiers,
    /// What goes into the verdict, by label.
    pub reported: [Option<f32>; COUNT],
    pub unverified: Option<&'static str>,
    scratch: ModelScratch,
    parts: String,
}

impl Scores {
    /// Forgets the last check.
    pub(crate) fn start(&mut self, classifier: Option<&Classifier>) {
        let Some(classifier) = classifier else { return };
        self.known.iter_mut().flatten().for_each(Known::forget);
        self.deadline = classifier.deadline.and_then(|limit| Instant::now().checked_add(limit));
        self.tiers = Tiers::default();
        self.reported = [None; COUNT];
        self.unverified = None;
    }

    /// Keeps the full model out of the next check.
    pub(crate) fn keep_full_out(&mut self) {
        self.scratch.keep_full_out();
    }

    /// Lets the full model in again; whether the check needed it.
    pub(crate) fn let_full_in(&mut self) -> bool {
        self.scratch.let_full_in()
    }

    /// Forgets the judged text: another field follows.
    pub(crate) fn next_field(&mut self) {
        if let Some(judged) = self.known.get_mut(Slot::Judged as usize) {
            judged.iter_mut().for_each(Known::forget);
        }
    }

    /// Reads a passage of a stream, within a time limit of its own.
    pub(crate) fn read(
        &mut self,
        classifier: &Classifier,
        passage: &Passage<'_>,
        all: bool,
        likes: &mut Vec<Likeness>,
    ) -> Scored {
        self.deadline = classifier.deadline.and_then(|limit| Instant::now().checked_add(limit));
        let (models, heads) = (&classifier.models, &classifier.heads);
        let scores = models.score(passage, heads, likes, self.deadline, &mut self.scratch)?;
        if all {
            models.score_rest(passage, heads, likes, self.deadline, &mut self.scratch)?;
        }
        self.tiers = self.tiers.union(scores.tiers);
        Ok(scores)
    }

    /// What is known of the judged text, from elsewhere; `None` where it is to be found out.
    pub(crate) fn know(
        &mut self,
        known: Option<Known>,
        settled: Option<Known>,
        classifier: Option<&Classifier>,
    ) {
        self.next_field();
        self.settled = settled;
        self.deadline =
            classifier.and_then(|it| it.deadline).and_then(|limit| Instant::now().checked_add(limit));
        let judged = self.known.get_mut(Slot::Judged as usize).and_then(|by| by.get_mut(Parts::All as usize));
        if let Some((slot, known)) = judged.zip(known) {
            *slot = known;
        }
    }

    /// Takes over what another check of the same message goes into the verdict with.
    pub(crate) fn absorb(&mut self, other: &Self) {
        self.tiers = self.tiers.union(other.tiers);
        self.unverified = self.unverified.or(other.unverified);
        for (label, score) in other.reported.iter().enumerate() {
            score.iter().for_each(|score| self.report(label, *score));
        }
    }

    /// Notes a score for the verdict.
    fn report(&mut self, label: usize, score: f32) {
        if let Some(slot) = self.reported.get_mut(label) {
            *slot = Some(slot.map_or(score, |known| known.max(score)));
        }
    }
}

/// A score with the digits that mean something.
pub(crate) fn rounded(score: f32) -> f64 {
    (f64::from(score) * 1e6).round() / 1e6
}
