//! What the classifier says of the texts of a check. Each text is scored at most once, and only when an answer depends on
//! it.

#[cfg(test)]
mod tests;

use super::judge::{Judge, Parts, Reading};
use super::program::conditions;
use crate::classifier::{COUNT, ModelError, ModelScratch, Models, Passage, ScoreError, TextScores};
use crate::message::Surface;
use crate::policy::{
    Atom, Calibrated, Condition, LABELS, OperatingThreshold, Place, PolicyData, Rule, Threshold, Truth,
};
use crate::span::Span;
use crate::verdict::Tiers;
use std::time::{Duration, Instant};

/// The models of a guard, with what its policy asks of them.
pub(crate) struct Classifier {
    pub models: Models,
    /// By atom and surface: the score that an operating point stands for.
    thresholds: Vec<[Option<f64>; 5]>,
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
        let mut thresholds = vec![[None; 5]; data.atoms.len()];
        for point in &points.thresholds {
            let by_surface = thresholds.get_mut(point.atom as usize);
            if let Some(slot) = by_surface.and_then(|by| by.get_mut(point.surface as usize)) {
                *slot = Some(point.threshold);
            }
        }
        Ok(Self { models, thresholds, deadline, all })
    }

    fn threshold(&self, atom: u32, surface: Surface) -> Option<f64> {
        self.thresholds.get(atom as usize)?.get(surface as usize).copied().flatten()
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
    Ok(Calibrated { name, version, hash, thresholds })
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

type Scored = Result<TextScores, ScoreError>;

/// The scores of one check.
#[derive(Default)]
pub(crate) struct Scores {
    /// By text, and by which parts of it count.
    known: [[Option<Scored>; 3]; 3],
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
        self.known = Default::default();
        self.deadline = classifier.deadline.and_then(|limit| Instant::now().checked_add(limit));
        self.tiers = Tiers::default();
        self.reported = [None; COUNT];
        self.unverified = None;
    }

    /// Forgets the judged text: another field follows.
    pub(crate) fn next_field(&mut self) {
        if let Some(judged) = self.known.get_mut(Slot::Judged as usize) {
            *judged = Default::default();
        }
    }

    /// Notes a score for the verdict.
    fn report(&mut self, label: usize, score: f32) {
        if let Some(slot) = self.reported.get_mut(label) {
            *slot = Some(slot.map_or(score, |known| known.max(score)));
        }
    }
}

impl Judge<'_> {
    /// The value of a label atom.
    pub(super) fn label(&mut self, index: u32, atom: &Atom, reading: Reading) -> Truth {
        let Atom::Label { label, place, threshold } = atom else { return Truth::Unknown };
        match self.scored(*place, reading) {
            None => Truth::Unknown,
            Some(Err(_)) => Truth::Unknown,
            Some(Ok(scores)) => self.holds(index, usize::from(*label), *threshold, *place, &scores).0.into(),
        }
    }

    /// Whether a score reaches what a condition asks; the score, and what it was compared with.
    fn holds(
        &self,
        index: u32,
        label: usize,
        threshold: Threshold,
        place: Place,
        scores: &TextScores,
    ) -> (bool, f32, f64) {
        let score = scores.get(label);
        match threshold {
            Threshold::Score(compare) => (compare.holds(f64::from(score)), score, compare.bound()),
            Threshold::AtFpr(_) => {
                let surface = self.surface_of(self.slot(place, Reading::Whole).0);
                let bound =
                    self.classifier.and_then(|it| it.threshold(index, surface)).unwrap_or(f64::INFINITY);
                (f64::from(score) >= bound, score, bound)
            }
        }
    }

    /// The scores of the text a place means; `None` without models, zeros where there is no text.
    fn scored(&mut self, place: Place, reading: Reading) -> Option<Scored> {
        let (slot, parts) = self.slot(place, reading);
        self.score(slot, parts)
    }

    fn score(&mut self, slot: Slot, parts: Parts) -> Option<Scored> {
        let classifier = self.classifier?;
        let (surface, origin) = (self.surface_of(slot), self.origin_of(slot));
        let Some(origin) = origin.filter(|_| parts != Parts::None) else {
            return Some(Ok(TextScores::default()));
        };
        let context = self.request.filter(|_| slot == Slot::Judged).map(|origin| origin.text.text());
        let scans = &mut *self.scans;
        let at = parts as usize;
        if let Some(known) =
            scans.scores.known.get(slot as usize).and_then(|by| by.get(at)).copied().flatten()
        {
            return Some(known);
        }
        let regions = match slot {
            Slot::Judged => &scans.judged.regions,
            Slot::Request => &scans.request.regions,
            Slot::Response => &scans.response.regions,
        };
        let Scores { scratch, parts: buffer, deadline, .. } = &mut scans.scores;
        let whole = origin.text.text();
        let text = match parts {
            Parts::All => whole,
            _ if regions.is_empty() && parts == Parts::Own => whole,
            Parts::Foreign | Parts::Own | Parts::None => {
                buffer.clear();
                cut(whole, regions.iter().map(|region| region.0), parts == Parts::Foreign, buffer);
                buffer
            }
        };
        let passage = Passage { surface, text, context };
        let scored = classifier.models.score(&passage, None, *deadline, scratch);
        if let Ok(scores) = &scored {
            scans.scores.tiers = scans.scores.tiers.union(scores.tiers);
            if slot == Slot::Judged && scans.scores.unverified.is_none() {
                scans.scores.unverified = classifier.models.unverified(scores);
            }
        }
        if let Some(known) = scans.scores.known.get_mut(slot as usize).and_then(|by| by.get_mut(at)) {
            *known = Some(scored);
        }
        Some(scored)
    }

    /// Scores the judged text for every label and notes all of them.
    pub(super) fn report_all(&mut self) {
        if let Some(Ok(scores)) = self.score(Slot::Judged, Parts::All) {
            for label in 0..COUNT {
                self.scans.scores.report(label, scores.get(label));
            }
        }
    }

    /// Why a label could not be scored.
    pub(super) fn score_failure(&mut self, atom: &Atom) -> Option<&'static str> {
        let Atom::Label { place, .. } = atom else { return None };
        self.scored(*place, self.reading)?.err().map(ScoreError::as_str)
    }

    /// The score behind a label that holds, its threshold, and where in the text it is largest.
    pub(super) fn label_evidence(&mut self, index: u32, atom: &Atom) -> Option<(f64, f64, Option<Span>)> {
        let Atom::Label { label, place, threshold } = atom else { return None };
        let label = usize::from(*label);
        let scores = self.scored(*place, self.reading)?.ok()?;
        let (_, score, bound) = self.holds(index, label, *threshold, *place, &scores);
        self.scans.scores.report(label, score);
        let (slot, parts) = self.slot(*place, self.reading);
        let whole = parts == Parts::All || parts == Parts::Own && self.scans.regions(slot).is_empty();
        let span = self.origin_of(slot).filter(|_| whole).and_then(|origin| {
            let context = self.request.filter(|_| slot == Slot::Judged).map(|origin| origin.text.text());
            let passage = Passage { surface: self.surface_of(slot), text: origin.text.text(), context };
            let place =
                self.classifier?.models.place(&passage, &scores, label, &mut self.scans.scores.scratch);
            Some(Span::new(place.start, place.end))
        });
        Some((rounded(score), bound, span))
    }

    fn surface_of(&self, slot: Slot) -> Surface {
        match slot {
            Slot::Judged => self.surface,
            Slot::Request => Surface::Request,
            Slot::Response => Surface::Response,
        }
    }
}

/// A score with the digits that mean something.
pub(crate) fn rounded(score: f32) -> f64 {
    (f64::from(score) * 1e6).round() / 1e6
}

/// The parts of a text inside the regions, or outside of them, each on a line of its own.
fn cut(text: &str, regions: impl Iterator<Item = Span>, inside: bool, out: &mut String) {
    let mut add = |from: u32, to: u32| {
        let part = text.get(from as usize..to as usize).unwrap_or("");
        if !part.trim().is_empty() {
            out.push_str(part);
            out.push('\n');
        }
    };
    let mut at = 0;
    for region in regions {
        if inside {
            add(region.start, region.end);
        } else {
            add(at, region.start);
        }
        at = region.end;
    }
    if !inside {
        add(at, Span::new(0, text.len()).end);
    }
}
