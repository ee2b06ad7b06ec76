//! Text → **scores**: the classifier of two tiers, calibrated.
//!
//! ```text
//! text -> tokens, windows -> screen -> (open? -> full model) -> calibration -> probability of each label
//! ```
//!
//! # Where do models come from?
//! A folder with a `manifest.json` and the files it names: [`Models::load`] takes its path, [`Models::find`] looks where
//! `BRIGHTLINE_MODELS` says or in `models/` beside the policy. Nothing is downloaded, and nothing is built into the crate:
//! the full model is larger than a published crate may be, and the screen alone would leave open just the texts that need a
//! second look. `docs/models.md` says how an application gets the folder.
//!
//! # What is verified?
//! Size and BLAKE3 hash of every file against the manifest, the labels against [`LABELS`](crate::policy::LABELS), the
//! tokenizer against the tables, and the graph by a run. A mismatch is an error; models are never used in part.
//!
//! # What does it cost?
//! The screen some tens of microseconds for a short text, the full model milliseconds for each window that the screen
//! leaves open. Without a condition that asks for a label, nothing.

#[cfg(test)]
mod agreement_tests;
mod ascii;
mod backend;
mod calibration;
mod cascade;
mod error;
#[cfg(test)]
mod error_tests;
mod fit;
mod manifest;
mod recalibrate;
#[cfg(test)]
mod recalibrate_tests;
mod screen;
#[cfg(test)]
pub(crate) mod tests;
mod tokens;

pub use backend::BackendKind;
pub(crate) use calibration::COUNT;
pub use calibration::{OperatingPoint, Threshold};
pub use cascade::TextScores;
pub(crate) use cascade::{Likeness, ModelScratch};
pub use error::{ModelError, ScoreError};
pub use fit::Quality;
pub(crate) use fit::fit;
pub use recalibrate::{Kept, Recalibrated, Recalibration};
pub(crate) use tokens::{Passage, takes_context};

use crate::message::Surface;
use crate::policy::LABELS;
use backend::{Backend, Batch, LoadError};
use calibration::Calibration;
use manifest::{Folder, MANIFEST, Measured};
use screen::Screen;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokens::Encoder;

/// The environment variable that names the folder of models.
pub const MODELS_VARIABLE: &str = "BRIGHTLINE_MODELS";

/// Loaded models, shared by threads. Cheap to clone.
#[derive(Clone)]
pub struct Models(Arc<Inner>);

struct Inner {
    name: String,
    version: String,
    hash: String,
    backend: BackendKind,
    encoder: Encoder,
    screen: Screen,
    full: Box<dyn Backend>,
    calibration: Calibration,
    measured: Measured,
    dimensions: usize,
}

impl Models {
    /// Loads the models of a folder, to be run by the default backend.
    ///
    /// # Errors
    /// If a file is missing, of another size or hash than the manifest says, or does not hold what it should; if the models
    /// give other labels than this build knows; if the tokenizer does not fit them.
    pub fn load(folder: impl AsRef<Path>) -> Result<Self, ModelError> {
        Self::load_with(folder, BackendKind::default())
    }

    /// Loads the models of a folder for a backend.
    ///
    /// # Errors
    /// As [`Models::load`], and if the backend's library cannot be loaded.
    pub fn load_with(folder: impl AsRef<Path>, backend: BackendKind) -> Result<Self, ModelError> {
        let folder = Folder::open(folder.as_ref())?;
        let files = &folder.manifest.files;
        let invalid = |entry, reason| ModelError::Invalid { path: folder.path(entry), reason };
        let encoder = Encoder::new(&folder.read(&files.tokenizer)?, &folder.manifest)
            .map_err(|reason| invalid(&files.tokenizer, reason))?;
        let calibration = Calibration::parse(&folder.read(&files.calibration)?)
            .map_err(|reason| invalid(&files.calibration, reason))?;
        let screen =
            Screen::load(&folder.read(&files.screen)?).map_err(|reason| invalid(&files.screen, reason))?;
        if screen.vocabulary() != encoder.vocabulary() {
            let reason =
                format!("it has {} tokens, the tables {}", encoder.vocabulary(), screen.vocabulary());
            return Err(ModelError::Tokenizer { model: "screen", reason });
        }
        let full = backend.load(folder.read(&files.full)?).map_err(|error| match error {
            LoadError::Runtime(reason) => ModelError::Backend { backend: backend.as_str(), reason },
            LoadError::Graph(reason) => invalid(&files.full, reason),
        })?;
        let dimensions = probe(&*full, &encoder, &folder.path(&files.full))?;
        let Folder { manifest, hash, .. } = folder;
        Ok(Self(Arc::new(Inner {
            name: manifest.name,
            version: manifest.version,
            hash,
            backend,
            encoder,
            screen,
            full,
            calibration,
            measured: manifest.measured,
            dimensions,
        })))
    }

    /// The folder of models to use: the one that is named, else the one in `BRIGHTLINE_MODELS`, else `models/` in the first of
    /// the folders that has one with a manifest. `None` where nothing is named and nothing stands there, and where
    /// `BRIGHTLINE_MODELS` is set and empty. A folder that is named need not hold models: loading it then fails.
    pub fn find<'a>(named: Option<&Path>, beside: impl IntoIterator<Item = &'a Path>) -> Option<PathBuf> {
        if let Some(named) = named {
            return Some(named.to_path_buf());
        }
        if let Some(variable) = std::env::var_os(MODELS_VARIABLE) {
            return (!variable.is_empty()).then(|| variable.into());
        }
        let mut folders = beside.into_iter().map(|folder| folder.join("models"));
        folders.find(|folder| folder.join(MANIFEST).is_file())
    }

    /// The name in the manifest.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The version in the manifest.
    pub fn version(&self) -> &str {
        &self.0.version
    }

    /// Hash of the manifest, and so of every file: 64 hexadecimal digits.
    pub fn hash(&self) -> &str {
        &self.0.hash
    }

    /// What runs the full model.
    pub fn backend(&self) -> BackendKind {
        self.0.backend
    }

    /// The probability that a share `fpr` of benign traffic on a surface exceeds, by the label's index in [`LABELS`].
    /// `None` where nothing was measured.
    pub fn threshold(&self, label: u8, surface: Surface, fpr: f64) -> Option<Threshold> {
        self.0.calibration.threshold(label, surface, fpr)
    }

    /// Scores one text for every label, through the cascade.
    ///
    /// # Errors
    /// If the runtime fails.
    pub fn scores(
        &self,
        surface: Surface,
        text: &str,
        context: Option<&str>,
    ) -> Result<TextScores, ScoreError> {
        let passage = Passage { surface, text, context };
        self.score(&passage, &[], &mut Vec::new(), None, &mut ModelScratch::default())
    }

    /// The length of an embedding.
    pub(crate) fn dimensions(&self) -> usize {
        self.0.dimensions
    }

    /// Whether a text lies outside what the models were measured on, and how.
    pub(crate) fn unverified(&self, scores: &TextScores) -> Option<&'static str> {
        let measured = &self.0.measured;
        #[expect(clippy::cast_precision_loss, reason = "a share with two digits is enough")]
        let share = |count: u32| count as f32 / scores.tokens.max(1) as f32;
        if measured.tokens.is_some_and(|max| scores.tokens as usize > max) {
            Some("length")
        } else if measured.unknown.is_some_and(|max| share(scores.unknown) > max)
            || measured.pieces.is_some_and(|max| share(scores.pieces) > max)
        {
            Some("language")
        } else {
            None
        }
    }
}

impl fmt::Debug for Models {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Models({} {}, {})", self.name(), self.version(), self.backend().as_str())
    }
}

/// Runs the graph on the first and the last token of the vocabulary: it must take both and give a score for each label.
fn probe(full: &dyn Backend, encoder: &Encoder, path: &Path) -> Result<usize, ModelError> {
    let last = u32::try_from(encoder.vocabulary().saturating_sub(1)).unwrap_or(u32::MAX);
    let run = |ids: [u32; 2]| {
        let mut batch = Batch::default();
        batch.reset(3);
        batch.push(ids.into_iter(), encoder.pad);
        full.run(&batch, None)
    };
    let invalid = |reason: String| ModelError::Invalid { path: path.to_path_buf(), reason };
    let reason = |error: backend::RunError| match error {
        backend::RunError::Late => "no session".to_string(),
        backend::RunError::Failed(reason) => reason,
    };
    let known = run([encoder.pad, encoder.pad]).map_err(|error| invalid(reason(error)))?;
    if known.logits.len() != COUNT {
        let reason = format!("it gives {} scores, and there are {} labels", known.logits.len(), LABELS.len());
        return Err(invalid(reason));
    }
    if known.embedding.is_empty() {
        return Err(invalid("its embedding is empty".to_string()));
    }
    run([encoder.pad, last])
        .map_err(|error| ModelError::Tokenizer { model: "full", reason: reason(error) })?;
    Ok(known.embedding.len())
}
