//! Texts of a deployer's own benign traffic → **thresholds** for a false-positive rate of their choice.
//!
//! ```text
//! scores of benign texts -> how many reach each step of a grid -> threshold -> operating point -> a folder of models
//! ```
//! Thresholds stand on a grid of hundredths in log odds, so that memory does not grow with the log and a count is exact
//! for every threshold that can come out.

use super::calibration::{COUNT, OperatingPoint};
use super::cascade::TextScores;
use super::error::ModelError;
use super::manifest::{Folder, MANIFEST};
use super::{Inner, Models};
use crate::message::Surface;
use crate::policy::LABELS;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::Path;

/// How far the grid reaches on either side of even odds, in hundredths of log odds: probabilities from 1e-7 to 1 - 1e-7.
const REACH: i32 = 1600;

/// The thresholds that can come out, in rising order. With twelve decimals each is read from JSON as it was written.
pub(super) fn grid() -> Vec<f64> {
    let probability = |step: i32| 1.0 / (1.0 + (-f64::from(step) / 100.0).exp());
    (-REACH..=REACH).map(|step| (probability(step) * 1e12).round() / 1e12).collect()
}

/// How many of `texts` make up at most a share `rate` of them.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "no log has 2^52 texts, and a share of them is neither negative nor more"
)]
pub(super) fn allowed(rate: f64, texts: u64) -> u64 {
    // The product may be rounded either way; what counts is the share as it is divided.
    let near = (rate * texts as f64).round();
    (if near / texts as f64 > rate { near - 1.0 } else { near }) as u64
}

#[expect(clippy::cast_precision_loss, reason = "no log has 2^52 texts")]
fn share(count: u64, texts: u64) -> f64 {
    count as f64 / texts.max(1) as f64
}

/// Scores of one label on one surface.
#[derive(Clone, Debug)]
pub(super) struct Spread {
    /// By number of steps of the grid that a score reaches, how many scores.
    counts: Vec<u64>,
}

impl Spread {
    pub(super) fn new(grid: &[f64]) -> Self {
        Self { counts: vec![0; grid.len() + 1] }
    }

    pub(super) fn add(&mut self, grid: &[f64], score: f32) {
        let reached = grid.partition_point(|&step| step <= f64::from(score));
        if let Some(count) = self.counts.get_mut(reached) {
            *count += 1;
        }
    }

    /// The threshold that at most `allowed` scores reach, and how many do: in the middle, in log odds, between the lowest
    /// such step and the last that as many reach. `None` where more than that lie beyond the grid.
    pub(super) fn threshold(&self, grid: &[f64], allowed: u64) -> Option<(f64, u64)> {
        let mut reaching = self.counts.clone();
        let mut sum = 0;
        for count in reaching.iter_mut().rev() {
            sum += *count;
            *count = sum;
        }
        // A score reaches step `i` where it reaches more than `i` steps.
        let reaching = reaching.get(1..)?;
        let first = reaching.partition_point(|&count| count > allowed);
        let count = *reaching.get(first)?;
        let last = reaching.partition_point(|&other| other >= count).saturating_sub(1);
        // Above the highest score there is no next one to stay away from.
        let middle = if count == 0 { first } else { first + (last - first) / 2 };
        Some((*grid.get(middle)?, count))
    }
}

/// An operating point with whatever else the file says of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Point {
    #[serde(flatten)]
    pub(super) point: OperatingPoint,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

impl Point {
    /// A threshold from benign traffic alone: what harm lies above it is unknown.
    fn local(fpr: f64, threshold: f64, benign: u64, enough: bool) -> Self {
        let rest = [("positives".to_string(), 0.into()), ("enough".to_string(), enough.into())];
        Self {
            point: OperatingPoint { fpr, threshold, recall: None, benign },
            rest: rest.into_iter().collect(),
        }
    }
}

/// Whether a point contradicts a threshold at a rate: it has a lower one at a lower rate, or a higher one at a higher rate.
fn contradicts(point: &OperatingPoint, rate: f64, threshold: f64) -> bool {
    point.fpr < rate && point.threshold < threshold || point.fpr > rate && point.threshold > threshold
}

/// Puts a threshold among the points of a label on a surface, in the place of the one at its rate. A point that would
/// contradict it gets the same threshold.
pub(super) fn put(points: &mut Vec<Point>, rate: f64, threshold: f64, benign: u64) {
    points.retain(|it| it.point.fpr != rate);
    for it in points.iter_mut().filter(|it| contradicts(&it.point, rate, threshold)) {
        // The log holds enough texts for this rate, and so for every higher one.
        *it = Point::local(it.point.fpr, threshold, benign, it.point.fpr > rate);
    }
    points.push(Point::local(rate, threshold, benign, true));
    points.sort_by(|a, b| b.point.fpr.total_cmp(&a.point.fpr));
}

/// `calibration.json`, as far as it changes.
#[derive(Serialize, Deserialize)]
struct File {
    operating_points: BTreeMap<String, BTreeMap<String, Vec<Point>>>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

/// A threshold that benign traffic sets.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Recalibrated {
    /// The label.
    pub label: &'static str,
    /// The surface of the texts.
    pub surface: Surface,
    /// How many benign texts stand behind it.
    pub benign: u64,
    /// What the rate stood for before.
    pub old_threshold: f64,
    /// The share of the benign texts that reach the old threshold.
    pub above_old: f64,
    /// What the rate stands for now.
    pub threshold: f64,
    /// The share of the benign texts that reach it: at most the rate.
    pub above: f64,
    /// Other rates whose threshold would contradict it, a lower one at a lower rate or a higher one at a higher rate: they
    /// get the same threshold.
    pub moved: Vec<f64>,
}

/// What keeps its thresholds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Kept {
    /// The surface.
    pub surface: Surface,
    /// The label, where it is not all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<&'static str>,
    /// How many benign texts of the surface there were.
    pub benign: u64,
    /// Why.
    pub reason: String,
}

/// Texts of one surface.
#[derive(Clone, Debug)]
struct Benign {
    texts: u64,
    /// By label: the scores, the threshold so far, and how many scores reach it.
    labels: Vec<(Spread, Option<f64>, u64)>,
}

/// Sets thresholds from benign traffic: takes the scores of its texts, and writes models that have a false-positive rate
/// of the deployer's choice on them.
///
/// # Which texts count?
/// Those of the surfaces that the models have operating points for. Reasoning has none of its own and takes those of
/// responses. A text without words scores nothing and does not count.
///
/// # How much memory does it take?
/// About 3 MB, however many texts there are.
#[derive(Debug)]
pub struct Recalibration {
    models: Models,
    rate: f64,
    grid: Vec<f64>,
    /// By surface.
    benign: Vec<Benign>,
}

impl Recalibration {
    /// For a rate of false positives: the share of benign texts of a surface that may reach a label's threshold.
    ///
    /// # Errors
    /// If the rate does not lie between 0 and 1.
    pub fn new(models: &Models, rate: f64) -> Result<Self, ModelError> {
        if !(rate > 0.0 && rate < 1.0) {
            return Err(ModelError::Rate(rate));
        }
        let grid = grid();
        let old = |surface, label| models.threshold(label, surface, rate).map(|it| it.value);
        let benign = Surface::ALL.iter().map(|&surface| {
            let labels = (0u8..).take(COUNT).map(|label| (Spread::new(&grid), old(surface, label), 0));
            Benign { texts: 0, labels: labels.collect() }
        });
        Ok(Self { models: models.clone(), rate, benign: benign.collect(), grid })
    }

    /// Counts a benign text.
    pub fn add(&mut self, surface: Surface, scores: &TextScores) {
        let Some(benign) = self.benign.get_mut(surface as usize).filter(|_| scores.tokens > 0) else {
            return;
        };
        benign.texts += 1;
        for (label, (spread, old, above_old)) in benign.labels.iter_mut().enumerate() {
            let score = scores.get(label);
            spread.add(&self.grid, score);
            *above_old += u64::from(old.is_some_and(|old| f64::from(score) >= old));
        }
    }

    /// The thresholds that the texts so far set, by surface and label, and what keeps its own.
    pub fn thresholds(&self) -> (Vec<Recalibrated>, Vec<Kept>) {
        let (mut changed, mut kept) = (Vec::new(), Vec::new());
        for (&surface, benign) in Surface::ALL.iter().zip(&self.benign) {
            let Inner { calibration, .. } = &*self.models.0;
            let texts = benign.texts;
            let mut keep = |label, reason| kept.push(Kept { surface, label, benign: texts, reason });
            let allowed = allowed(self.rate, texts);
            if (0..COUNT).all(|label| calibration.own_points(label, surface).is_empty()) {
                if texts > 0 {
                    keep(None, "it has no thresholds of its own and takes those of another surface".into());
                }
                continue;
            }
            if allowed == 0 {
                let least = (1.0 / self.rate).ceil();
                keep(None, format!("a rate of {} takes at least {least} benign texts", self.rate));
                continue;
            }
            let labels = LABELS.iter().zip(&benign.labels).enumerate();
            for (index, (&label, (spread, old, above_old))) in labels {
                let points = calibration.own_points(index, surface);
                let Some(old) = old.filter(|_| !points.is_empty()) else { continue };
                let Some((threshold, above)) = spread.threshold(&self.grid, allowed) else {
                    keep(Some(label), "more benign texts than that have a probability of 1".into());
                    continue;
                };
                let moved = points.iter().filter(|point| contradicts(point, self.rate, threshold));
                changed.push(Recalibrated {
                    label,
                    surface,
                    benign: texts,
                    old_threshold: old,
                    above_old: share(*above_old, texts),
                    threshold,
                    above: share(above, texts),
                    moved: moved.map(|point| point.fpr).collect(),
                });
            }
        }
        (changed, kept)
    }

    /// Writes a copy of the models with these thresholds, its version ending in `+local`, and loads it. `from` is the folder
    /// of the models, `to` one that is not there yet, or empty. `to` is there when all of it is.
    ///
    /// # Errors
    /// If the folder of the models cannot be read or is no longer the one that was loaded, or if `to` cannot be written or is
    /// not empty.
    pub fn save(&self, from: &Path, to: &Path) -> Result<Models, ModelError> {
        let folder = Folder::open(from)?;
        let invalid = |path, reason: String| ModelError::Invalid { path, reason };
        if folder.hash != self.models.hash() {
            return Err(invalid(from.join(MANIFEST), "it has changed since the models were loaded".into()));
        }
        let entry = &folder.manifest.files.calibration;
        let calibration = self
            .calibration(&folder.read(entry)?)
            .map_err(|error| invalid(folder.path(entry), error.to_string()))?;
        let unwritable = |error| ModelError::Write { path: to.to_path_buf(), error };
        let name = to.file_name().ok_or_else(|| unwritable(std::io::ErrorKind::InvalidInput.into()))?;
        let partial =
            to.with_file_name(format!(".{}.partial-{}", name.to_string_lossy(), std::process::id()));
        let written = folder.write_with(&calibration, &partial).map_err(|error| match error {
            ModelError::Write { error, .. } => unwritable(error),
            other => other,
        });
        let saved = written.and_then(|()| {
            let models = Models::load_with(&partial, self.models.backend())?;
            if to.exists() {
                std::fs::remove_dir(to).map_err(unwritable)?;
            }
            std::fs::rename(&partial, to).map_err(unwritable)?;
            Ok(models)
        });
        if saved.is_err() {
            // What is left of it has no name under which it would be looked for.
            let _ = std::fs::remove_dir_all(&partial);
        }
        saved
    }

    /// `calibration.json` with these thresholds.
    fn calibration(&self, bytes: &[u8]) -> Result<Vec<u8>, serde_json::Error> {
        let mut file: File = serde_json::from_slice(bytes)?;
        for Recalibrated { label, surface, benign, threshold, .. } in self.thresholds().0 {
            let points = file.operating_points.get_mut(label).and_then(|by| by.get_mut(surface.as_str()));
            if let Some(points) = points {
                put(points, self.rate, threshold, benign);
            }
        }
        let mut out = serde_json::to_vec_pretty(&file)?;
        out.push(b'\n');
        Ok(out)
    }
}
