//! The cascade: the screen reads every window, the full model those that the screen leaves open.

use super::backend::{Batch, RunError};
use super::calibration::COUNT;
use super::error::ScoreError;
use super::screen::ScreenScratch;
use super::tokens::{Encoded, Passage};
use super::{Inner, Models};
use crate::verdict::Tiers;
use std::time::Instant;

/// How many windows the full model reads at once. More would make a deadline coarse without being faster.
const BATCH: usize = 8;

/// The scores of a text: for each label the probability in the window where it is largest.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TextScores {
    probabilities: [f32; COUNT],
    windows: [u32; COUNT],
    pub(crate) tiers: Tiers,
    /// Tokens of the text, and how many of them the tokenizer does not know.
    pub(crate) tokens: u32,
    pub(crate) unknown: u32,
}

impl Default for TextScores {
    fn default() -> Self {
        Self {
            probabilities: [0.0; COUNT],
            windows: [0; COUNT],
            tiers: Tiers::default(),
            tokens: 0,
            unknown: 0,
        }
    }
}

/// Receives the embedding of each window.
pub(crate) type Embeddings<'a> = &'a mut dyn FnMut(&[f32]);

/// Buffers of one check.
#[derive(Debug, Default)]
pub(crate) struct ModelScratch {
    pub encoded: Encoded,
    screen: ScreenScratch,
    batch: Batch,
    open: Vec<usize>,
}

impl TextScores {
    /// The probability of a label, by its index in [`LABELS`](crate::policy::LABELS).
    pub fn get(&self, label: usize) -> f32 {
        self.probabilities.get(label).copied().unwrap_or(0.0)
    }

    /// Which tiers read the text.
    pub fn tiers(&self) -> Tiers {
        self.tiers
    }

    fn merge(&mut self, window: usize, probabilities: &[f32; COUNT]) {
        let slots = self.probabilities.iter_mut().zip(&mut self.windows);
        for ((best, at), &probability) in slots.zip(probabilities) {
            if probability > *best {
                *best = probability;
                *at = u32::try_from(window).unwrap_or(u32::MAX);
            }
        }
    }
}

impl Models {
    /// Scores a text: the largest score of any window, so that nothing is diluted by what stands around it. Where embeddings
    /// are asked for, the full model reads every window.
    pub(crate) fn score(
        &self,
        passage: &Passage<'_>,
        mut embeddings: Option<Embeddings<'_>>,
        deadline: Option<Instant>,
        scratch: &mut ModelScratch,
    ) -> Result<TextScores, ScoreError> {
        let inner = &*self.0;
        let ModelScratch { encoded, screen, batch, open } = scratch;
        inner.encoder.encode(passage, encoded).map_err(|_| ScoreError::Failed)?;
        let mut scores = TextScores { tokens: small(encoded.body.len()), ..TextScores::default() };
        if encoded.body.is_empty() {
            return Ok(scores);
        }
        if let Some(unknown) = inner.encoder.unknown {
            scores.unknown = small(encoded.body.iter().filter(|&&id| id == unknown).count());
        }
        open.clear();
        if embeddings.is_some() {
            open.extend(0..encoded.starts.len());
        } else {
            scores.tiers = scores.tiers.union(Tiers::SCREEN);
            for (window, &start) in encoded.starts.iter().enumerate() {
                check(deadline)?;
                let logits = inner.screen.run(inner.encoder.window(encoded, start), screen);
                let probabilities = inner.calibration.screen(&logits);
                if inner.calibration.is_open(&probabilities) {
                    open.push(window);
                } else {
                    scores.merge(window, &probabilities);
                }
            }
        }
        if open.is_empty() {
            return Ok(scores);
        }
        scores.tiers = scores.tiers.union(Tiers::FULL);
        for windows in open.chunks(BATCH) {
            check(deadline)?;
            inner.fill(encoded, windows, batch);
            let output = inner.run(batch, deadline)?;
            let rows = output.logits.chunks_exact(COUNT);
            for (&window, logits) in windows.iter().zip(rows) {
                scores.merge(window, &inner.calibration.full(logits));
            }
            if let Some(each) = embeddings.as_deref_mut() {
                output.embedding.chunks_exact(inner.dimensions.max(1)).for_each(each);
            }
        }
        Ok(scores)
    }

    /// The part of the text in which a label's score is largest.
    pub(crate) fn place(
        &self,
        passage: &Passage<'_>,
        scores: &TextScores,
        label: usize,
        scratch: &mut ModelScratch,
    ) -> std::ops::Range<usize> {
        let window = scores.windows.get(label).copied().unwrap_or(0) as usize;
        let encoded = &mut scratch.encoded;
        if self.0.encoder.encode(passage, encoded).is_err() {
            return 0..passage.text.len();
        }
        let start = encoded.starts.get(window).copied().unwrap_or(0);
        self.0.encoder.place(passage.text, encoded.body.len(), start, encoded.room())
    }
}

impl Inner {
    fn fill(&self, encoded: &Encoded, windows: &[usize], batch: &mut Batch) {
        let starts = || windows.iter().filter_map(|&window| encoded.starts.get(window).copied());
        let columns = starts().map(|start| self.encoder.window(encoded, start).count()).max().unwrap_or(0);
        batch.reset(columns);
        for start in starts() {
            batch.push(self.encoder.window(encoded, start), self.encoder.pad);
        }
    }

    /// Runs the full model, and trusts neither the shape nor the numbers it gives.
    pub(super) fn run(
        &self,
        batch: &Batch,
        deadline: Option<Instant>,
    ) -> Result<super::backend::Output, ScoreError> {
        let output = self.full.run(batch, deadline)?;
        let finite = output.logits.iter().chain(&output.embedding).all(|value| value.is_finite());
        let shaped = output.logits.len() == batch.rows * COUNT
            && output.embedding.len() == batch.rows * self.dimensions;
        if finite && shaped {
            Ok(output)
        } else {
            Err(RunError::Failed("the outputs are no scores".into()).into())
        }
    }
}

fn check(deadline: Option<Instant>) -> Result<(), ScoreError> {
    match deadline {
        Some(deadline) if Instant::now() >= deadline => Err(ScoreError::Late),
        _ => Ok(()),
    }
}

fn small(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}
