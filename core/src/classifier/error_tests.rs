//! Every way in which a folder of models can be wrong, and what is said about it.

use super::backend::{Output, RunError};
use super::tests::{folder, models};
use super::*;
use std::time::Instant;

/// A copy of the models with one file changed.
fn changed(file: &str, change: impl Fn(Vec<u8>) -> Option<Vec<u8>>, listed: bool) -> ModelError {
    let into = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(folder()).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), into.path().join(entry.file_name())).unwrap();
    }
    let path = into.path().join(file);
    match change(std::fs::read(&path).unwrap()) {
        None => std::fs::remove_file(&path).unwrap(),
        Some(bytes) => {
            if listed {
                let manifest = into.path().join(MANIFEST);
                let mut value: serde_json::Value =
                    serde_json::from_slice(&std::fs::read(&manifest).unwrap()).unwrap();
                for (_, entry) in value["files"].as_object_mut().unwrap() {
                    if entry["path"] == file {
                        entry["bytes"] = bytes.len().into();
                        entry["blake3"] = blake3::hash(&bytes).to_hex().to_string().into();
                    }
                }
                std::fs::write(&manifest, value.to_string()).unwrap();
            }
            std::fs::write(&path, bytes).unwrap();
        }
    }
    Models::load(into.path()).unwrap_err()
}

fn replaced(from: &'static str, to: &'static str) -> impl Fn(Vec<u8>) -> Option<Vec<u8>> {
    move |bytes| {
        let text = String::from_utf8(bytes).unwrap();
        assert!(text.contains(from));
        Some(text.replace(from, to).into_bytes())
    }
}

const FILES: [&str; 4] = ["full.onnx", "screen.safetensors", "tokenizer.json", "calibration.json"];

/// The error without the folder, which is another in each run.
fn shown(error: &ModelError) -> String {
    let text = error.to_string();
    let (before, after) = text.split_once('/').unwrap_or((&text, ""));
    format!("{before}{}", after.split_once("/").map_or(after, |it| it.1))
}

#[test]
fn a_file_that_is_not_there() {
    assert!(matches!(Models::load("/nowhere").unwrap_err(), ModelError::Missing(_)));
    for file in FILES.into_iter().chain([MANIFEST]) {
        let error = changed(file, |_| None, false);
        assert!(matches!(error, ModelError::Missing(_)), "{file}");
        assert!(shown(&error).ends_with(&format!("{file}` is missing")), "{error}");
    }
}

#[test]
fn a_file_that_is_not_the_one_of_the_manifest() {
    for file in FILES {
        let longer = |mut bytes: Vec<u8>| {
            bytes.push(0);
            Some(bytes)
        };
        let error = changed(file, longer, false);
        assert!(matches!(error, ModelError::Size { .. }), "{file}");
        assert!(error.to_string().contains("the copy is incomplete or of another version"), "{error}");
        let other = |mut bytes: Vec<u8>| {
            bytes[20] ^= 1;
            Some(bytes)
        };
        let error = changed(file, other, false);
        assert!(matches!(error, ModelError::Hash { .. }), "{file}");
        assert!(error.to_string().contains("does not have the hash in the manifest"), "{error}");
    }
}

#[test]
fn a_file_that_holds_something_else() {
    for file in FILES {
        for cut in [0, 1, 2] {
            let damaged = |bytes: Vec<u8>| match cut {
                0 => Some(b"not a model".to_vec()),
                cut => Some(bytes[..bytes.len() * cut / 3].to_vec()),
            };
            let error = changed(file, damaged, true);
            assert!(matches!(error, ModelError::Invalid { .. }), "{file}: {error}");
            assert!(shown(&error).contains(&format!("{file}` cannot be used: ")), "{error}");
        }
    }
    let manifest = changed(MANIFEST, |_| Some(b"{\"name\": 1}".to_vec()), false);
    assert!(shown(&manifest).contains("manifest.json` cannot be used"), "{manifest}");
}

#[test]
fn models_for_other_labels() {
    let labels = changed(MANIFEST, replaced("\"refusal\"", "\"denial\""), false);
    assert_eq!(labels.to_string(), "the models do not give the labels of this build: missing are `refusal`");
    let more = changed(MANIFEST, replaced("\"refusal\",", "\"refusal\", \"denial\","), false);
    assert_eq!(more.to_string(), "the models do not give the labels of this build: unknown are `denial`");
    let order = changed(MANIFEST, replaced("\"hate\"", "\"harassment\""), false);
    assert!(matches!(order, ModelError::Labels(_)));
}

#[test]
fn a_manifest_that_asks_for_what_cannot_be() {
    let outside = changed(MANIFEST, replaced("\"full.onnx\"", "\"../full.onnx\""), false);
    assert!(shown(&outside).contains("is not the name of a file beside it"));
    let windows = changed(MANIFEST, replaced("\"tokens\": 16", "\"tokens\": 10"), false);
    assert!(shown(&windows).contains("windows of 10 tokens"));
}

#[test]
fn a_tokenizer_that_does_not_fit() {
    let larger = changed("tokenizer.json", replaced("\"##ing\": 54", "\"##ing\": 54, \"extra\": 55"), true);
    assert_eq!(
        larger.to_string(),
        "the tokenizer does not fit the screen model: it has 56 tokens, the tables 55"
    );
    let smaller = changed("tokenizer.json", replaced(",\n   \"##ing\": 54", ""), true);
    assert!(matches!(smaller, ModelError::Tokenizer { model: "screen", .. }), "{smaller}");
    let no_start = changed("tokenizer.json", replaced("[CLS]", "[BOS]"), true);
    assert!(shown(&no_start).contains("it has no token `[CLS]`"), "{no_start}");
}

#[test]
fn a_calibration_that_does_not_fit() {
    let unknown = changed("calibration.json", replaced("\"hate\"", "\"loathing\""), true);
    assert!(shown(&unknown).contains("unknown label `loathing`"));
    let without = |bytes: Vec<u8>| {
        let mut value: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        value["full"].as_object_mut().unwrap().remove("hate").unwrap();
        Some(value.to_string().into_bytes())
    };
    let missing = changed("calibration.json", without, true);
    assert!(shown(&missing).contains("the full model has no scale for `hate`"), "{missing}");
    let scale = changed("calibration.json", replaced("\"a\": 1.0", "\"a\": -1.0"), true);
    assert!(shown(&scale).contains("scale"));
    let band = changed("calibration.json", replaced("\"low\": 0.2", "\"low\": 0.9"), true);
    assert!(shown(&band).contains("a band from 0.9 to 0.8"), "{band}");
    let rate = changed("calibration.json", replaced("\"fpr\": 0.05", "\"fpr\": 0"), true);
    assert!(shown(&rate).contains("at a rate of 0"), "{rate}");
}

#[test]
fn a_graph_with_other_inputs_and_outputs() {
    let renamed = |from: &'static [u8], to: &'static [u8]| {
        move |mut bytes: Vec<u8>| {
            let places: Vec<usize> =
                (0..bytes.len() - from.len()).filter(|&at| bytes[at..].starts_with(from)).collect();
            for at in places {
                bytes[at..at + to.len()].copy_from_slice(to);
            }
            Some(bytes)
        }
    };
    for (from, to, name) in [
        (&b"logits"[..], &b"scores"[..], "logits"),
        (b"embedding", b"direction", "embedding"),
        (b"input_ids", b"token_ids", "input_ids"),
        (b"attention_mask", b"attention_bits", "attention_mask"),
    ] {
        let error = changed("full.onnx", renamed(from, to), true);
        assert!(shown(&error).contains(&format!("the graph has no `{name}`")), "{error}");
    }
}

/// Gives outputs of some length, or refuses tokens from some id on.
#[derive(Debug)]
struct Odd {
    logits: usize,
    embedding: usize,
    known: i32,
}

impl Backend for Odd {
    fn run(&self, batch: &Batch, _: Option<Instant>) -> Result<Output, RunError> {
        if batch.ids.iter().any(|id| *id >= self.known) {
            return Err(RunError::Failed("index out of range".to_string()));
        }
        Ok(Output { logits: vec![0.0; self.logits], embedding: vec![0.0; self.embedding] })
    }
}

#[test]
fn a_graph_that_gives_something_else() {
    let encoder = &models().0.encoder;
    let probe = |logits, embedding, known| {
        probe(&Odd { logits, embedding, known }, encoder, Path::new("full.onnx")).map_err(|it| it.to_string())
    };
    assert_eq!(probe(COUNT, 8, 55), Ok(8));
    let few = probe(22, 8, 55).unwrap_err();
    assert_eq!(few, "`full.onnx` cannot be used: it gives 22 scores, and there are 23 labels");
    assert!(probe(COUNT, 0, 55).unwrap_err().contains("its embedding is empty"));
    let tokens = probe(COUNT, 8, 50).unwrap_err();
    assert_eq!(tokens, "the tokenizer does not fit the full model: index out of range");
}
