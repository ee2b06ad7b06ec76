//! The cascade: the screen reads every window, the full model those that the screen leaves open.

use super::backend::{Batch, RunError};
use super::calibration::COUNT;
use super::error::ScoreError;
use super::screen::ScreenScratch;
use super::tokens::{Encoded, Passage};
use super::{Inner, Models};
use crate::policy::Head;
use crate::verdict::Tiers;
use std::ops::Range;
use std::time::Instant;

/// Stands for the whole text where a number of a window is expected.
const WHOLE: u32 = u32::MAX;
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
    /// How many of them go on with a word that another one began.
    pub(crate) pieces: u32,
}

impl Default for TextScores {
    fn default() -> Self {
        Self {
            probabilities: [0.0; COUNT],
            windows: [0; COUNT],
            tiers: Tiers::default(),
            tokens: 0,
            unknown: 0,
            pieces: 0,
        }
    }
}

/// How much a text is like the bad examples of a clause: in the window where it is most.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Likeness {
    pub probability: f32,
    window: u32,
}

/// Receives the logits and the embedding of a window, by its number.
type EachWindow<'a> = &'a mut dyn FnMut(usize, &[f32], &[f32]);

/// Buffers of one check.
#[derive(Debug, Default)]
pub(crate) struct ModelScratch {
    pub encoded: Encoded,
    screen: ScreenScratch,
    full: FullScratch,
    /// The windows that the full model has to read, and what the screen made of each.
    open: Vec<usize>,
    screened: Vec<[f32; COUNT]>,
}

/// What running the full model needs, and whether it may run.
#[derive(Debug, Default)]
pub(crate) struct FullScratch {
    batch: Batch,
    /// Only the screen may read.
    kept_out: bool,
    /// The full model was kept out where it was needed.
    missed: bool,
}

impl ModelScratch {
    /// Keeps the full model out of what is scored from here on.
    pub(crate) fn keep_full_out(&mut self) {
        (self.full.kept_out, self.full.missed) = (true, false);
    }

    /// Lets the full model in again; whether it was needed meanwhile.
    pub(crate) fn let_full_in(&mut self) -> bool {
        self.full.kept_out = false;
        std::mem::take(&mut self.full.missed)
    }
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

    /// Takes over what is larger in the scores of another reading of the text, whose windows are no places in it.
    pub(crate) fn merge_reading(&mut self, other: &Self) {
        let slots = self.probabilities.iter_mut().zip(&mut self.windows);
        for ((best, at), &probability) in slots.zip(&other.probabilities) {
            if probability > *best {
                (*best, *at) = (probability, WHOLE);
            }
        }
        self.tiers = self.tiers.union(other.tiers);
    }

    /// Takes over what is larger in the scores of another passage of the same text, and counts its tokens.
    pub(crate) fn merge_passage(&mut self, other: &Self) {
        self.merge_reading(other);
        self.tokens = self.tokens.saturating_add(other.tokens);
        self.unknown = self.unknown.saturating_add(other.unknown);
        self.pieces = self.pieces.saturating_add(other.pieces);
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
    /// Scores a text: the largest score of any window, so that nothing is diluted by what stands around it. Of the windows
    /// that the full model reads, `likes` learns what the heads make of them.
    pub(crate) fn score(
        &self,
        passage: &Passage<'_>,
        heads: &[Head],
        likes: &mut Vec<Likeness>,
        deadline: Option<Instant>,
        scratch: &mut ModelScratch,
    ) -> Result<TextScores, ScoreError> {
        let inner = &*self.0;
        likes.clear();
        likes.resize(heads.len(), Likeness::default());
        inner.encoder.encode(passage, &mut scratch.encoded).map_err(|_| ScoreError::Failed)?;
        let ModelScratch { encoded, screen, full, open, screened } = scratch;
        let mut scores = TextScores { tokens: small(encoded.body.len()), ..TextScores::default() };
        if encoded.body.is_empty() {
            return Ok(scores);
        }
        (scores.unknown, scores.pieces) = inner.encoder.strange(&encoded.body);
        scores.tiers = Tiers::SCREEN;
        open.clear();
        screened.clear();
        for (window, &start) in encoded.starts.iter().enumerate() {
            check(deadline)?;
            let logits = inner.screen.run(inner.encoder.window(encoded, start), screen);
            let probabilities = inner.calibration.screen(&logits);
            if inner.calibration.is_open(&probabilities) {
                open.push(window);
                screened.push(probabilities);
            } else {
                scores.merge(window, &probabilities);
            }
        }
        if !open.is_empty() {
            scores.tiers = scores.tiers.union(Tiers::FULL);
        }
        let mut screened = screened.iter();
        inner.read(encoded, open, full, deadline, &mut |window, logits, embedding| {
            let screen = screened.next().unwrap_or(&[0.5; COUNT]);
            scores.merge(window, &inner.calibration.both(logits, screen));
            compare(heads, embedding, window, likes);
        })?;
        Ok(scores)
    }

    /// Lets the full model read the windows that the screen settled, for `likes`: no window is read twice.
    pub(crate) fn score_rest(
        &self,
        passage: &Passage<'_>,
        heads: &[Head],
        likes: &mut [Likeness],
        deadline: Option<Instant>,
        scratch: &mut ModelScratch,
    ) -> Result<(), ScoreError> {
        let inner = &*self.0;
        inner.encoder.encode(passage, &mut scratch.encoded).map_err(|_| ScoreError::Failed)?;
        let ModelScratch { encoded, screen, full, open, .. } = scratch;
        if encoded.body.is_empty() {
            return Ok(());
        }
        open.clear();
        for (window, &start) in encoded.starts.iter().enumerate() {
            check(deadline)?;
            let logits = inner.screen.run(inner.encoder.window(encoded, start), screen);
            if !inner.calibration.is_open(&inner.calibration.screen(&logits)) {
                open.push(window);
            }
        }
        inner.read(encoded, open, full, deadline, &mut |window, _, embedding| {
            compare(heads, embedding, window, likes);
        })
    }

    /// The embedding of a text, of length 1: the direction of the mean over its windows. Empty for a text without tokens.
    pub(crate) fn embed(
        &self,
        passage: &Passage<'_>,
        scratch: &mut ModelScratch,
    ) -> Result<Vec<f32>, ScoreError> {
        let inner = &*self.0;
        inner.encoder.encode(passage, &mut scratch.encoded).map_err(|_| ScoreError::Failed)?;
        let ModelScratch { encoded, full, open, .. } = scratch;
        if encoded.body.is_empty() {
            return Ok(Vec::new());
        }
        open.clear();
        open.extend(0..encoded.starts.len());
        let mut sum = vec![0.0f32; inner.dimensions];
        inner.read(encoded, open, full, None, &mut |_, _, embedding| {
            sum.iter_mut().zip(embedding).for_each(|(sum, x)| *sum += x);
        })?;
        let length = sum.iter().map(|x| x * x).sum::<f32>().sqrt().max(f32::MIN_POSITIVE);
        sum.iter_mut().for_each(|x| *x /= length);
        Ok(sum)
    }

    /// The part of the text in which a label's score is largest.
    pub(crate) fn place(
        &self,
        passage: &Passage<'_>,
        scores: &TextScores,
        label: usize,
        scratch: &mut ModelScratch,
    ) -> Range<usize> {
        self.window(passage, scores.windows.get(label).copied().unwrap_or(0), scratch)
    }

    /// The part of the text that is most like the examples of a clause.
    pub(crate) fn place_of_likeness(
        &self,
        passage: &Passage<'_>,
        likeness: Likeness,
        scratch: &mut ModelScratch,
    ) -> Range<usize> {
        self.window(passage, likeness.window, scratch)
    }

    fn window(&self, passage: &Passage<'_>, window: u32, scratch: &mut ModelScratch) -> Range<usize> {
        if window == WHOLE {
            return 0..passage.text.len();
        }
        let encoded = &mut scratch.encoded;
        if self.0.encoder.encode(passage, encoded).is_err() {
            return 0..passage.text.len();
        }
        let start = encoded.starts.get(window as usize).copied().unwrap_or(0);
        self.0.encoder.place(passage.text, encoded.body.len(), start, encoded.room())
    }
}

/// Notes what the heads make of a window, where it is more than they made of the others.
fn compare(heads: &[Head], embedding: &[f32], window: usize, likes: &mut [Likeness]) {
    for (head, best) in heads.iter().zip(likes) {
        let probability = head.probability(embedding);
        if probability > best.probability {
            *best = Likeness { probability, window: small(window) };
        }
    }
}

impl Inner {
    /// Runs the full model over windows, and gives each window's logits and embedding to `each`.
    pub(super) fn read(
        &self,
        encoded: &Encoded,
        windows: &[usize],
        full: &mut FullScratch,
        deadline: Option<Instant>,
        each: EachWindow<'_>,
    ) -> Result<(), ScoreError> {
        if full.kept_out && !windows.is_empty() {
            full.missed = true;
            return Err(ScoreError::Late);
        }
        let batch = &mut full.batch;
        for windows in windows.chunks(BATCH) {
            check(deadline)?;
            self.fill(encoded, windows, batch);
            let output = self.run(batch, deadline)?;
            let rows = output.logits.chunks_exact(COUNT);
            let embeddings = output.embedding.chunks_exact(self.dimensions.max(1));
            for ((&window, logits), embedding) in windows.iter().zip(rows).zip(embeddings) {
                each(window, logits, embedding);
            }
        }
        Ok(())
    }

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
