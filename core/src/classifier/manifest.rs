//! `manifest.json`: which files belong together, and proof that they are the ones that were measured.

use super::error::ModelError;
use crate::message::Surface;
use crate::policy::LABELS;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The name of the manifest in a folder of models.
pub(super) const MANIFEST: &str = "manifest.json";
/// What the version of models ends with whose thresholds were set from a deployer's own traffic.
const LOCAL: &str = "+local";
/// The largest manifest that is read, in bytes.
const MAX_MANIFEST: u64 = 1 << 20;
/// The largest file of a model that is read, in bytes.
const MAX_FILE: u64 = 1 << 30;
/// The longest window, in tokens.
const MAX_WINDOW: usize = 8192;

#[derive(Debug, Deserialize)]
pub(super) struct Manifest {
    pub name: String,
    pub version: String,
    labels: Vec<String>,
    pub files: Files,
    pub window: Window,
    /// What stands before a text, by surface.
    #[serde(default)]
    pub prefixes: BTreeMap<Surface, String>,
    #[serde(default)]
    pub measured: Measured,
}

#[derive(Debug, Deserialize)]
pub(super) struct Files {
    pub screen: Entry,
    pub full: Entry,
    pub tokenizer: Entry,
    pub calibration: Entry,
}

#[derive(Debug, Deserialize)]
pub(super) struct Entry {
    pub path: String,
    bytes: u64,
    blake3: String,
}

/// How long text is cut.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) struct Window {
    /// Tokens of a window, the special ones, the prefix and the context included.
    pub tokens: usize,
    /// How many tokens of the text two neighbors share.
    pub overlap: usize,
    /// At most so many tokens of the request that a text answers.
    pub context: usize,
}

/// What the models were measured on.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Measured {
    /// The longest text, in tokens; unlimited where it is not said.
    pub tokens: Option<usize>,
    /// The largest share of tokens that the tokenizer does not know.
    pub unknown: Option<f32>,
    /// The largest share of tokens that go on with a word. In a language that the tokenizer was not made for, words fall
    /// into many pieces.
    pub pieces: Option<f32>,
}

/// A manifest that has been read, with the folder it speaks about.
pub(super) struct Folder {
    pub manifest: Manifest,
    /// Hash of the manifest, and so of everything it names: 64 hexadecimal digits.
    pub hash: String,
    bytes: Vec<u8>,
    path: PathBuf,
}

impl Folder {
    /// Reads and checks the manifest; its files are verified when they are read.
    pub(super) fn open(path: &Path) -> Result<Self, ModelError> {
        let file = path.join(MANIFEST);
        let bytes = read(&file, MAX_MANIFEST)?;
        let invalid = |reason: String| ModelError::Invalid { path: file.clone(), reason };
        let manifest: Manifest =
            serde_json::from_slice(&bytes).map_err(|error| invalid(error.to_string()))?;
        check_labels(&manifest.labels)?;
        let window = manifest.window;
        // Half of a window is left for the text whatever stands around it, so that windows always advance.
        if window.tokens > MAX_WINDOW || window.tokens < 2 * (window.context + window.overlap).max(4) {
            let Window { tokens, overlap, context } = window;
            let reason = format!(
                "windows of {tokens} tokens do not hold {overlap} of overlap and {context} of context"
            );
            return Err(invalid(reason));
        }
        let hash = blake3::hash(&bytes).to_hex().to_string();
        Ok(Self { manifest, hash, bytes, path: path.to_path_buf() })
    }

    /// The place of a file.
    pub(super) fn path(&self, entry: &Entry) -> PathBuf {
        self.path.join(&entry.path)
    }

    /// A file's content, verified.
    pub(super) fn read(&self, entry: &Entry) -> Result<Vec<u8>, ModelError> {
        let plain = Path::new(&entry.path).file_name().is_some_and(|name| name == entry.path.as_str());
        if !plain {
            let reason = format!("`{}` is not the name of a file beside it", entry.path);
            return Err(ModelError::Invalid { path: self.path.join(MANIFEST), reason });
        }
        let path = self.path(entry);
        // The size is compared before anything is read, so that a wrong file costs no memory.
        let found = std::fs::metadata(&path).map_err(|error| unreadable(&path, error))?.len();
        if found != entry.bytes {
            return Err(ModelError::Size { path, expected: entry.bytes, found });
        }
        let bytes = read(&path, MAX_FILE)?;
        if blake3::hash(&bytes).to_hex().as_str() != entry.blake3 {
            return Err(ModelError::Hash { path });
        }
        Ok(bytes)
    }

    /// Writes the models with another calibration to a folder that is not there yet. The manifest comes last: without it
    /// nothing loads.
    pub(super) fn write_with(&self, calibration: &[u8], to: &Path) -> Result<(), ModelError> {
        let unwritable = |error| ModelError::Write { path: to.to_path_buf(), error };
        std::fs::create_dir(to).map_err(unwritable)?;
        let files = &self.manifest.files;
        for entry in [&files.screen, &files.full, &files.tokenizer] {
            std::fs::write(to.join(&entry.path), self.read(entry)?).map_err(unwritable)?;
        }
        std::fs::write(to.join(&files.calibration.path), calibration).map_err(unwritable)?;
        let manifest = self.manifest_with(calibration).map_err(|reason| {
            let path = self.path.join(MANIFEST);
            ModelError::Invalid { path, reason }
        })?;
        std::fs::write(to.join(MANIFEST), manifest).map_err(unwritable)
    }

    /// The manifest as it stands, with the size and hash of another calibration, and a version that says so.
    fn manifest_with(&self, calibration: &[u8]) -> Result<String, String> {
        let mut manifest: Map<String, Value> =
            serde_json::from_slice(&self.bytes).map_err(|error| error.to_string())?;
        let version = self.manifest.version.trim_end_matches(LOCAL);
        manifest.insert("version".into(), format!("{version}{LOCAL}").into());
        let entry = manifest.get_mut("files").and_then(|files| files.get_mut("calibration"));
        if let Some(entry) = entry.and_then(Value::as_object_mut) {
            entry.insert("bytes".into(), calibration.len().into());
            entry.insert("blake3".into(), blake3::hash(calibration).to_hex().to_string().into());
        }
        serde_json::to_string_pretty(&manifest).map(|text| text + "\n").map_err(|error| error.to_string())
    }
}

fn check_labels(labels: &[String]) -> Result<(), ModelError> {
    let unknown: Vec<&str> =
        labels.iter().map(String::as_str).filter(|label| !LABELS.contains(label)).collect();
    let missing: Vec<&str> =
        LABELS.iter().copied().filter(|label| !labels.iter().any(|known| known == label)).collect();
    let quoted = |names: &[&str]| names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    match (unknown.as_slice(), missing.as_slice()) {
        ([], []) if labels.iter().map(String::as_str).eq(LABELS.iter().copied()) => Ok(()),
        ([], []) => Err(ModelError::Labels("they stand in another order, or twice".to_string())),
        (unknown, []) => Err(ModelError::Labels(format!("unknown are {}", quoted(unknown)))),
        (_, missing) => Err(ModelError::Labels(format!("missing are {}", quoted(missing)))),
    }
}

fn read(path: &Path, max: u64) -> Result<Vec<u8>, ModelError> {
    let size = std::fs::metadata(path).map_err(|error| unreadable(path, error))?.len();
    if size > max {
        let reason = format!("it has {size} bytes; at most {max} are read");
        return Err(ModelError::Invalid { path: path.to_path_buf(), reason });
    }
    std::fs::read(path).map_err(|error| unreadable(path, error))
}

fn unreadable(path: &Path, error: std::io::Error) -> ModelError {
    let path = path.to_path_buf();
    match error.kind() {
        std::io::ErrorKind::NotFound => ModelError::Missing(path),
        _ => ModelError::Read { path, error },
    }
}
