//! Both backends give the same probabilities for the same texts.
//!
//! `make test` runs this where it finds ONNX Runtime, on the models of the tests and, where they are there, on the shipped
//! ones: `cargo test -p brightline --features onnxruntime agreement` with `ORT_DYLIB_PATH`.

use super::tests::folder;
use super::*;
use crate::message::Surface;
use std::collections::BTreeSet;

/// How far apart two probabilities, or two numbers of an embedding, may lie.
const TOLERANCE: f32 = 1e-3;
/// How many texts are compared.
const TEXTS: usize = 1000;

/// The probabilities and the embedding of every window of a text, by the full model.
fn read(models: &Models, text: &str) -> Vec<([f32; COUNT], Vec<f32>)> {
    let inner = &*models.0;
    let mut encoded = tokens::Encoded::default();
    inner.encoder.encode(&Passage { surface: Surface::Request, text, context: None }, &mut encoded).unwrap();
    let windows: Vec<usize> = (0..encoded.starts.len()).collect();
    let mut out = Vec::new();
    inner
        .read(&encoded, &windows, &mut Batch::default(), None, &mut |_, logits, embedding| {
            out.push((inner.calibration.full(logits), embedding.to_vec()));
        })
        .unwrap();
    out
}

/// Lines of the repository's own documents: short and long, plain and with markup.
fn texts() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut out = BTreeSet::new();
    for folder in ["tests/cases", "policies/default", "policies/model-spec", "docs"] {
        for file in std::fs::read_dir(root.join(folder)).unwrap() {
            let text = std::fs::read_to_string(file.unwrap().path()).unwrap_or_default();
            out.extend(text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_string));
        }
    }
    let step = (out.len() / TEXTS).max(1);
    out.into_iter().step_by(step).take(TEXTS).collect()
}

fn largest_difference(folder: &Path, texts: &[String]) -> (f32, f32) {
    let (left, right) =
        (Models::load(folder).unwrap(), Models::load_with(folder, BackendKind::OnnxRuntime).unwrap());
    let (mut probability, mut embedding) = (0.0f32, 0.0f32);
    for text in texts {
        let (left, right) = (read(&left, text), read(&right, text));
        assert_eq!(left.len(), right.len());
        for ((p, x), (q, y)) in left.iter().zip(&right) {
            probability = p.iter().zip(q).map(|(p, q)| (p - q).abs()).fold(probability, f32::max);
            embedding = x.iter().zip(y).map(|(x, y)| (x - y).abs()).fold(embedding, f32::max);
        }
    }
    (probability, embedding)
}

#[test]
fn backends_agree() {
    if std::env::var_os("ORT_DYLIB_PATH").is_none() {
        eprintln!("skipped: `ORT_DYLIB_PATH` is not set, there is no ONNX Runtime to compare with");
        return;
    }
    let texts = texts();
    assert_eq!(texts.len(), TEXTS);
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models");
    for folder in [folder(), shipped] {
        if !folder.join(MANIFEST).is_file() {
            eprintln!("skipped: there are no models in `{}`", folder.display());
            continue;
        }
        let (probability, embedding) = largest_difference(&folder, &texts);
        eprintln!("`{}`: {probability:.1e} apart, embeddings {embedding:.1e}", folder.display());
        assert!(probability < TOLERANCE && embedding < TOLERANCE, "{probability} {embedding}");
    }
}
