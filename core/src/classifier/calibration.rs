//! `calibration.json`: logits → probabilities, and which probability stands for which false-positive rate.

use crate::message::Surface;
use crate::policy::LABELS;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How many labels there are.
pub(crate) const COUNT: usize = LABELS.len();

/// The index of the label `refusal`.
pub(super) const REFUSAL: usize = 20;

/// One measured operating point of a label on a surface.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct OperatingPoint {
    /// The share of benign traffic above the threshold.
    pub fpr: f64,
    /// The probability that separates.
    pub threshold: f64,
    /// The share of what the label means that lies above it; unknown where there was nothing to measure it on.
    #[serde(default)]
    pub recall: Option<f64>,
    /// How many benign texts stand behind it.
    #[serde(default)]
    pub benign: u64,
}

#[derive(Debug, Deserialize)]
struct File {
    full: BTreeMap<String, Platt>,
    screen: BTreeMap<String, Platt>,
    cascade: Band,
    /// By label and by surface, or `any` of them.
    operating_points: BTreeMap<String, BTreeMap<String, Vec<OperatingPoint>>>,
}

/// `probability = 1 / (1 + exp(-(a · logit + b)))`.
#[derive(Clone, Copy, Debug, Deserialize)]
struct Platt {
    a: f32,
    b: f32,
}

#[derive(Clone, Copy, Debug, Deserialize)]
struct Band {
    low: f32,
    high: f32,
    /// The screen's share in the log odds of a window that both tiers read.
    #[serde(default)]
    weight: f32,
}

/// The measured relation between scores and what they mean.
#[derive(Debug)]
pub(super) struct Calibration {
    full: [Platt; COUNT],
    screen: [Platt; COUNT],
    band: Band,
    /// By label, then by surface, then of all surfaces together.
    points: Vec<[Vec<OperatingPoint>; 6]>,
}

/// Where the points of all surfaces together are kept.
const ANY: usize = 5;

impl Calibration {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let file: File = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        for label in file.full.keys().chain(file.screen.keys()).chain(file.operating_points.keys()) {
            if !LABELS.contains(&label.as_str()) {
                return Err(format!("unknown label `{label}`"));
            }
        }
        let band = file.cascade;
        if !(0.0..=1.0).contains(&band.low) || !(band.low..=1.0).contains(&band.high) {
            return Err(format!("a band from {} to {} of the screen's score", band.low, band.high));
        }
        if !(0.0..=1.0).contains(&band.weight) {
            return Err(format!("a weight of {} for the screen", band.weight));
        }
        let mut points = Vec::with_capacity(COUNT);
        for &label in LABELS {
            let mut by_surface: [Vec<OperatingPoint>; 6] = Default::default();
            for (surface, list) in file.operating_points.get(label).into_iter().flatten() {
                let at = match (surface.as_str(), Surface::from_word(surface)) {
                    ("any", _) => ANY,
                    (_, Some(surface)) => surface as usize,
                    (_, None) => return Err(format!("`{label}`: unknown surface `{surface}`")),
                };
                let mut list = list.clone();
                list.sort_by(|a, b| b.fpr.total_cmp(&a.fpr));
                check_points(label, &list)?;
                if let Some(slot) = by_surface.get_mut(at) {
                    *slot = list;
                }
            }
            points.push(by_surface);
        }
        Ok(Self { full: scales(&file.full, "full")?, screen: scales(&file.screen, "screen")?, band, points })
    }

    /// The full model's probabilities from its logits.
    pub(super) fn full(&self, logits: &[f32]) -> [f32; COUNT] {
        apply(&self.full, logits)
    }

    /// The probabilities of a window that both tiers read, from the full model's logits and the screen's probabilities.
    ///
    /// The two err in different places, so their log odds are averaged with the measured weight.
    pub(super) fn both(&self, logits: &[f32], screen: &[f32; COUNT]) -> [f32; COUNT] {
        let mut out = self.full(logits);
        for (full, screen) in out.iter_mut().zip(screen) {
            let odds = (1.0 - self.band.weight) * log_odds(*full) + self.band.weight * log_odds(*screen);
            *full = 1.0 / (1.0 + (-odds).exp());
        }
        out
    }

    /// The screen's probabilities from its logits.
    pub(super) fn screen(&self, logits: &[f32]) -> [f32; COUNT] {
        apply(&self.screen, logits)
    }

    /// Whether the screen leaves a window to the full model: the largest of its scores lies in the band. That of `refusal`
    /// does not count, for a refusal is nothing to be afraid of.
    pub(super) fn is_open(&self, screen: &[f32; COUNT]) -> bool {
        let scores = screen.iter().enumerate().filter(|(label, _)| *label != REFUSAL).map(|it| *it.1);
        (self.band.low..=self.band.high).contains(&scores.fold(0.0, f32::max))
    }

    /// The measured points of a label, and the surface they were measured on: its own, or the closest that has any.
    fn points(&self, label: u8, surface: Surface) -> Option<(Option<Surface>, &[OperatingPoint])> {
        let by_surface = self.points.get(usize::from(label))?;
        let closest = match surface {
            Surface::Reasoning => Surface::Response,
            other => other,
        };
        let places = [Some(surface), Some(closest), None, Some(Surface::Request)];
        places.into_iter().find_map(|measured_on| {
            let points = by_surface.get(measured_on.map_or(ANY, |surface| surface as usize))?;
            (!points.is_empty()).then_some((measured_on, points.as_slice()))
        })
    }

    /// The points of a label that were measured on this very surface, the highest rate first.
    pub(super) fn own_points(&self, label: usize, surface: Surface) -> &[OperatingPoint] {
        let points = self.points.get(label).and_then(|by_surface| by_surface.get(surface as usize));
        points.map_or(&[], Vec::as_slice)
    }

    /// The probability that a share `fpr` of benign traffic reaches.
    ///
    /// Between two measured rates it is interpolated, linear in the logarithm of the rate and the logit of the threshold.
    /// Below the smallest rate nothing was measured, and the threshold is that of the smallest.
    pub(super) fn threshold(&self, label: u8, surface: Surface, fpr: f64) -> Option<Threshold> {
        let (measured_on, points) = self.points(label, surface)?;
        let (first, last) = (points.first()?, points.last()?);
        let pair = points
            .iter()
            .zip(points.iter().skip(1))
            .find(|(loose, strict)| strict.fpr <= fpr && fpr <= loose.fpr);
        let value = match pair {
            Some((loose, _)) if loose.fpr == fpr => loose.threshold,
            Some((_, strict)) if strict.fpr == fpr => strict.threshold,
            Some((loose, strict)) => {
                let share = (fpr / strict.fpr).ln() / (loose.fpr / strict.fpr).ln();
                let (from, to) = (logit(strict.threshold), logit(loose.threshold));
                1.0 / (1.0 + (-(from + share * (to - from))).exp())
            }
            None if fpr > first.fpr => first.threshold,
            None => last.threshold,
        };
        let nearest = points.iter().min_by(|a, b| (a.fpr - fpr).abs().total_cmp(&(b.fpr - fpr).abs()))?;
        Some(Threshold {
            value,
            measured_on,
            within: (last.fpr..=first.fpr).contains(&fpr),
            nearest: *nearest,
        })
    }
}

fn logit(probability: f64) -> f64 {
    let probability = probability.clamp(1e-9, 1.0 - 1e-9);
    (probability / (1.0 - probability)).ln()
}

/// A threshold with what is known about it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Threshold {
    /// The probability to reach.
    #[serde(rename = "threshold")]
    pub value: f64,
    /// The surface whose benign traffic it was measured on; `None` for all of it together.
    pub measured_on: Option<Surface>,
    /// Whether the rate lies between those measured.
    pub within: bool,
    /// The measured point closest to the rate.
    pub nearest: OperatingPoint,
}

fn check_points(label: &str, points: &[OperatingPoint]) -> Result<(), String> {
    let share = |value: f64| (0.0..=1.0).contains(&value);
    match points.iter().find(|point| !share(point.fpr) || point.fpr == 0.0 || !share(point.threshold)) {
        Some(point) => {
            Err(format!("`{label}`: a threshold of {} at a rate of {}", point.threshold, point.fpr))
        }
        None => Ok(()),
    }
}

fn scales(by_label: &BTreeMap<String, Platt>, model: &str) -> Result<[Platt; COUNT], String> {
    let mut scales = [Platt { a: 1.0, b: 0.0 }; COUNT];
    for (slot, label) in scales.iter_mut().zip(LABELS) {
        *slot =
            *by_label.get(*label).ok_or_else(|| format!("the {model} model has no scale for `{label}`"))?;
        // A scale of zero or below would turn the order of the scores round.
        if !(slot.a.is_finite() && slot.b.is_finite() && slot.a > 0.0) {
            return Err(format!("the {model} model's scale of `{label}` is {} and {}", slot.a, slot.b));
        }
    }
    Ok(scales)
}

fn log_odds(probability: f32) -> f32 {
    let bounded = probability.clamp(1e-6, 1.0 - 1e-6);
    (bounded / (1.0 - bounded)).ln()
}

fn apply(scales: &[Platt; COUNT], logits: &[f32]) -> [f32; COUNT] {
    let mut out = [0.0; COUNT];
    for ((slot, scale), logit) in out.iter_mut().zip(scales).zip(logits) {
        *slot = 1.0 / (1.0 + (-(scale.a * logit + scale.b)).exp());
    }
    out
}
