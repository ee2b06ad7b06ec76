//! `calibration.json`: logits → probabilities, and which probability stands for which false-positive rate.

use crate::message::Surface;
use crate::policy::LABELS;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How many labels there are.
pub(crate) const COUNT: usize = LABELS.len();

/// A set of labels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LabelSet(u32);

impl LabelSet {
    pub(crate) const ALL: Self = Self((1 << COUNT) - 1);

    pub(crate) fn insert(&mut self, label: u8) {
        self.0 |= 1u32.checked_shl(label.into()).unwrap_or(0);
    }

    pub(crate) fn contains(self, label: usize) -> bool {
        label < COUNT && self.0 >> label & 1 == 1
    }
}

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

/// The format of the file that this build reads.
const FORMAT: u32 = 1;

#[derive(Debug, Deserialize)]
struct File {
    version: u32,
    scaling: Scaling,
    cascade: Band,
    operating_points: Points,
    screen_operating_points: Points,
}

#[derive(Debug, Deserialize)]
struct Scaling {
    full: BTreeMap<String, Platt>,
    screen: BTreeMap<String, Platt>,
}

/// By label and by surface, or `any` of them.
type Points = BTreeMap<String, BTreeMap<String, Vec<OperatingPoint>>>;

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
}

/// The tiers that give scores. Each has its own scale and its own thresholds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tier {
    Screen,
    Full,
}

/// The measured relation between scores and what they mean.
#[derive(Debug)]
pub(super) struct Calibration {
    full: Tables,
    screen: Tables,
    band: Band,
}

/// What is known about the scores of one tier, by label.
#[derive(Debug)]
struct Tables {
    scales: [Platt; COUNT],
    /// By label, then by surface, then of all surfaces together.
    points: Vec<[Vec<OperatingPoint>; 6]>,
}

impl Calibration {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let file: File = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if file.version != FORMAT {
            return Err(format!("it has version {}, and this build reads {FORMAT}", file.version));
        }
        let band = file.cascade;
        if !(0.0..=1.0).contains(&band.low) || !(band.low..=1.0).contains(&band.high) {
            return Err(format!("a band from {} to {} of the screen's score", band.low, band.high));
        }
        let full = Tables::new(&file.scaling.full, &file.operating_points, "full")?;
        let screen = Tables::new(&file.scaling.screen, &file.screen_operating_points, "screen")?;
        Ok(Self { full, screen, band })
    }

    fn tables(&self, tier: Tier) -> &Tables {
        match tier {
            Tier::Screen => &self.screen,
            Tier::Full => &self.full,
        }
    }

    /// Probabilities from logits.
    pub(super) fn probabilities(&self, tier: Tier, logits: &[f32]) -> [f32; COUNT] {
        let mut out = [0.0; COUNT];
        for ((slot, scale), logit) in out.iter_mut().zip(&self.tables(tier).scales).zip(logits) {
            *slot = 1.0 / (1.0 + (-(scale.a * logit + scale.b)).exp());
        }
        out
    }

    /// What the screen's scores of a window settle. The score that decides is the largest of any label, that of `refusal`
    /// only where it is asked for: a refusal is nothing to be afraid of.
    pub(super) fn settle(&self, screen: &[f32; COUNT], asked: LabelSet) -> Settled {
        let scores = screen.iter().enumerate();
        let top = scores.filter(|(label, _)| *label != REFUSAL || asked.contains(REFUSAL)).map(|it| *it.1);
        match top.fold(0.0, f32::max) {
            top if top < self.band.low => Settled::Benign,
            top if top >= self.band.high => Settled::Flagged,
            _ => Settled::Open,
        }
    }

    /// The probability that a share `fpr` of benign traffic reaches.
    ///
    /// Between two measured rates it is interpolated, linear in the logarithm of the rate and the logit of the threshold.
    /// Below the smallest rate nothing was measured, and the threshold is that of the smallest.
    pub(super) fn threshold(&self, tier: Tier, label: u8, surface: Surface, fpr: f64) -> Option<Threshold> {
        let (measured_on, points) = self.tables(tier).points(label, surface)?;
        let (first, last) = (points.first()?, points.last()?);
        let pair =
            points.iter().zip(points.iter().skip(1)).find(|(loose, strict)| strict.fpr <= fpr && fpr <= loose.fpr);
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
        Some(Threshold { value, measured_on, within: (last.fpr..=first.fpr).contains(&fpr), nearest: *nearest })
    }
}

/// What the screen says of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Settled {
    Benign,
    Flagged,
    Open,
}

impl Tables {
    fn new(scales: &BTreeMap<String, Platt>, points: &Points, model: &str) -> Result<Self, String> {
        if let Some(label) = scales.keys().chain(points.keys()).find(|label| !LABELS.contains(&label.as_str())) {
            return Err(format!("unknown label `{label}`"));
        }
        let mut out = Self { scales: [Platt { a: 1.0, b: 0.0 }; COUNT], points: Vec::with_capacity(COUNT) };
        for (slot, label) in out.scales.iter_mut().zip(LABELS) {
            *slot = *scales.get(*label).ok_or_else(|| format!("the {model} model has no scale for `{label}`"))?;
            // A scale of zero or below would turn the order of the scores round.
            if !(slot.a.is_finite() && slot.b.is_finite() && slot.a > 0.0) {
                return Err(format!("the {model} model's scale for `{label}` is {} and {}", slot.a, slot.b));
            }
        }
        for &label in LABELS {
            let mut by_surface: [Vec<OperatingPoint>; 6] = Default::default();
            for (surface, list) in points.get(label).into_iter().flatten() {
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
            out.points.push(by_surface);
        }
        Ok(out)
    }

    /// The measured points of a label, and the surface they were measured on: its own, the closest that has any, or all.
    fn points(&self, label: u8, surface: Surface) -> Option<(Option<Surface>, &[OperatingPoint])> {
        let by_surface = self.points.get(usize::from(label))?;
        let closest = fallbacks(surface).iter().map(|&at| (Some(at), at as usize)).chain([(None, ANY)]);
        closest.into_iter().find_map(|(surface, at)| {
            let points = by_surface.get(at)?;
            (!points.is_empty()).then_some((surface, points.as_slice()))
        })
    }
}

fn logit(probability: f64) -> f64 {
    let probability = probability.clamp(1e-9, 1.0 - 1e-9);
    (probability / (1.0 - probability)).ln()
}

/// Where points of all surfaces together are kept.
const ANY: usize = 5;
/// The index of the label `refusal`.
pub(super) const REFUSAL: usize = 20;

/// A threshold with what is known about it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Threshold {
    /// The probability to reach.
    pub value: f64,
    /// The surface whose benign traffic it was measured on; `None` for all of it together.
    pub measured_on: Option<Surface>,
    /// Whether the rate lies between those measured.
    pub within: bool,
    /// The measured point closest to the rate.
    pub nearest: OperatingPoint,
}

/// The surfaces whose operating points a surface may use, its own first.
fn fallbacks(surface: Surface) -> &'static [Surface] {
    match surface {
        Surface::Request => &[Surface::Request],
        Surface::Response => &[Surface::Response],
        Surface::Reasoning => &[Surface::Reasoning, Surface::Response],
        Surface::ToolCall => &[Surface::ToolCall],
        Surface::ToolResult => &[Surface::ToolResult],
    }
}

fn check_points(label: &str, points: &[OperatingPoint]) -> Result<(), String> {
    let share = |value: f64| (0.0..=1.0).contains(&value);
    match points.iter().find(|point| !share(point.fpr) || point.fpr == 0.0 || !share(point.threshold)) {
        Some(point) => Err(format!("`{label}`: a threshold of {} at a rate of {}", point.threshold, point.fpr)),
        None => Ok(()),
    }
}
