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

    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(crate) fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
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

#[derive(Debug, Deserialize)]
struct File {
    full: BTreeMap<String, Platt>,
    screen: BTreeMap<String, Platt>,
    cascade: Band,
    operating_points: BTreeMap<String, BTreeMap<Surface, Vec<OperatingPoint>>>,
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
}

/// The measured relation between scores and what they mean.
#[derive(Debug)]
pub(super) struct Calibration {
    full: [Platt; COUNT],
    screen: [Platt; COUNT],
    band: Band,
    points: Vec<[Vec<OperatingPoint>; 5]>,
}

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
        let mut points = Vec::with_capacity(COUNT);
        for &label in LABELS {
            let mut by_surface: [Vec<OperatingPoint>; 5] = Default::default();
            for (surface, list) in file.operating_points.get(label).into_iter().flatten() {
                let mut list = list.clone();
                list.sort_by(|a, b| b.fpr.total_cmp(&a.fpr));
                check_points(label, &list)?;
                if let Some(slot) = by_surface.get_mut(*surface as usize) {
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

    /// The screen's probabilities from its logits.
    pub(super) fn screen(&self, logits: &[f32]) -> [f32; COUNT] {
        apply(&self.screen, logits)
    }

    /// Whether the screen leaves open what the full model then decides: the largest of the scores that are asked for
    /// lies in the band.
    pub(super) fn is_open(&self, screen: &[f32; COUNT], asked: LabelSet) -> bool {
        let scores = screen.iter().enumerate().filter(|(label, _)| asked.contains(*label)).map(|it| *it.1);
        let top = scores.fold(0.0, f32::max);
        (self.band.low..=self.band.high).contains(&top)
    }

    /// The measured points of a label, and the surface they were measured on: its own, or the closest that has any.
    pub(super) fn points(&self, label: u8, surface: Surface) -> Option<(Surface, &[OperatingPoint])> {
        let by_surface = self.points.get(usize::from(label))?;
        fallbacks(surface).iter().find_map(|&at| {
            let points = by_surface.get(at as usize)?;
            (!points.is_empty()).then_some((at, points.as_slice()))
        })
    }

    /// The probability that a share `fpr` of benign traffic exceeds.
    ///
    /// Between two measured rates it is interpolated, linear in the logarithm of the rate and the logit of the threshold.
    /// Below the smallest rate nothing was measured, and the threshold is that of the smallest.
    pub(super) fn threshold(&self, label: u8, surface: Surface, fpr: f64) -> Option<Threshold> {
        let (measured_on, points) = self.points(label, surface)?;
        let (first, last) = (points.first()?, points.last()?);
        let pair = points.iter().zip(points.iter().skip(1)).find(|(loose, strict)| {
            strict.fpr <= fpr && fpr <= loose.fpr
        });
        let value = match pair {
            Some((loose, strict)) if loose.fpr > strict.fpr => {
                let share = (fpr.ln() - strict.fpr.ln()) / (loose.fpr.ln() - strict.fpr.ln());
                let logit = |p: f64| { let p = p.clamp(1e-9, 1.0 - 1e-9); (p / (1.0 - p)).ln() };
                let between = logit(strict.threshold) + share * (logit(loose.threshold) - logit(strict.threshold));
                if share == 0.0 { strict.threshold } else if share == 1.0 { loose.threshold } else { 1.0 / (1.0 + (-between).exp()) }
            }
            _ if fpr > first.fpr => first.threshold,
            _ => last.threshold,
        };
        let nearest = points.iter().min_by(|a, b| (a.fpr - fpr).abs().total_cmp(&(b.fpr - fpr).abs()))?;
        Some(Threshold { value, measured_on, within: (last.fpr..=first.fpr).contains(&fpr), nearest: *nearest })
    }
}

/// A threshold with what is known about it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Threshold {
    /// The probability to exceed.
    pub value: f64,
    /// The surface whose benign traffic it was measured on.
    pub measured_on: Surface,
    /// Whether the rate lies between those measured.
    pub within: bool,
    /// The measured point closest to the rate.
    pub nearest: OperatingPoint,
}

/// The surfaces whose operating points a surface may use, its own first.
fn fallbacks(surface: Surface) -> &'static [Surface] {
    match surface {
        Surface::Request => &[Surface::Request],
        Surface::Response => &[Surface::Response, Surface::Request],
        Surface::Reasoning => &[Surface::Reasoning, Surface::Response, Surface::Request],
        Surface::ToolCall => &[Surface::ToolCall, Surface::Request],
        Surface::ToolResult => &[Surface::ToolResult, Surface::Request],
    }
}

fn check_points(label: &str, points: &[OperatingPoint]) -> Result<(), String> {
    let share = |value: f64| (0.0..=1.0).contains(&value);
    match points.iter().find(|point| !share(point.fpr) || point.fpr == 0.0 || !share(point.threshold)) {
        Some(point) => Err(format!("`{label}`: a threshold of {} at a rate of {}", point.threshold, point.fpr)),
        None => Ok(()),
    }
}

fn scales(by_label: &BTreeMap<String, Platt>, model: &str) -> Result<[Platt; COUNT], String> {
    let mut scales = [Platt { a: 1.0, b: 0.0 }; COUNT];
    for (slot, label) in scales.iter_mut().zip(LABELS) {
        *slot = *by_label.get(*label).ok_or_else(|| format!("the {model} model has no scale for `{label}`"))?;
        // A scale of zero or below would turn the order of the scores round.
        if !(slot.a.is_finite() && slot.b.is_finite() && slot.a > 0.0) {
            return Err(format!("the {model} model's scale of `{label}` is {} and {}", slot.a, slot.b));
        }
    }
    Ok(scales)
}

fn apply(scales: &[Platt; COUNT], logits: &[f32]) -> [f32; COUNT] {
    let mut out = [0.0; COUNT];
    for ((slot, scale), logit) in out.iter_mut().zip(scales).zip(logits) {
        *slot = 1.0 / (1.0 + (-(scale.a * logit + scale.b)).exp());
    }
    out
}
