//! What can be wrong with model files, and what can go wrong while they run.

use std::path::PathBuf;

/// Why models cannot be loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// A file is not there.
    #[error("`{}` is missing", .0.display())]
    Missing(PathBuf),
    /// A file cannot be read.
    #[error("cannot read `{}`: {error}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        error: std::io::Error,
    },
    /// A folder cannot be written.
    #[error("cannot write `{}`: {error}", path.display())]
    Write {
        /// The folder.
        path: PathBuf,
        /// Why.
        #[source]
        error: std::io::Error,
    },
    /// A rate that thresholds cannot be set for.
    #[error("`{0}` is no false-positive rate: it lies between 0 and 1, as 0.01 does for 1 %")]
    Rate(f64),
    /// A file has another size than the manifest says.
    #[error("`{}` has {found} bytes, the manifest says {expected}: the copy is incomplete or of another version", path.display())]
    Size {
        /// The file.
        path: PathBuf,
        /// What the manifest says.
        expected: u64,
        /// What is there.
        found: u64,
    },
    /// A file has another hash than the manifest says.
    #[error("`{}` does not have the hash in the manifest: it is damaged or of another version", path.display())]
    Hash {
        /// The file.
        path: PathBuf,
    },
    /// A file does not hold what it should.
    #[error("`{}` cannot be used: {reason}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The models were made for other labels.
    #[error("the models do not give the labels of this build: {0}")]
    Labels(String),
    /// The tokenizer was made for other models.
    #[error("the tokenizer does not fit the {model} model: {reason}")]
    Tokenizer {
        /// `screen` or `full`.
        model: &'static str,
        /// What does not fit.
        reason: String,
    },
    /// The runtime cannot be started.
    #[error("the {backend} backend cannot be used: {reason}")]
    Backend {
        /// Its name.
        backend: &'static str,
        /// Why.
        reason: String,
    },
    /// The models have no operating point for a label.
    #[error(
        "the models were not measured on `{label}` for the surface `{surface}`: compare its score with a number"
    )]
    NotMeasured {
        /// The label.
        label: &'static str,
        /// Where it is asked for.
        surface: crate::message::Surface,
    },
    /// What a `like` was fitted to has another length than the embeddings of the models.
    #[error(
        "`like(\"{clause}\")` was fitted to embeddings of {found} numbers, and the models give {expected}: compile the policy again"
    )]
    Head {
        /// The clause whose examples it was fitted to.
        clause: String,
        /// The length it has.
        found: usize,
        /// The length of the models' embeddings.
        expected: usize,
    },
    /// The policy was compiled with other models.
    #[error(
        "the policy was compiled with the models `{expected}`, and `{found}` are loaded: compile it again"
    )]
    Mismatch {
        /// The hash in the policy.
        expected: String,
        /// The hash of the models.
        found: String,
    },
}

/// Why a text could not be scored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScoreError {
    /// The deadline passed first.
    Late,
    /// The runtime failed.
    Failed,
}

impl ScoreError {
    /// The word for it in a verdict.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Late => "deadline_exceeded",
            Self::Failed => "model_failed",
        }
    }
}
