//! Both backends give the same probabilities for the same texts.
//!
//! `make test` runs this where it finds ONNX Runtime, on the models of the tests and, where they are there, on the shipped
//! ones: `cargo test -p brightline --features onnxruntime agreement` with `ORT_DYLIB_PATH`.

#![cfg(feature = "onnxruntime")]

use super::tests::folder;
use super::*;
use crate::message::Surface;
use std::collections::BTreeSet;

/// How far apart two probabilities may lie where nothing is rounded.
const TOLERANCE: f32 = 1e-3;
/// Of a quantized graph, how many windows lie within [`TOLERANCE`], and how far apart the others may lie at most. Activations
/// are rounded to eight bits in every layer: where the runtimes differ in the last bit of a float, one of them may round up
/// and the other down, and the rest of the graph follows. ONNX Runtime differs as much from itself with its fusions off.
const WITHIN: f64 = 0.7;
const FARTHEST: f32 = 0.25;
/// How many texts are compared.
const TEXTS: usize = 1000;

/// The probabilities of every window of a text, by the full model.
fn read(models: &Models, text: &str) -> Vec<[f32; COUNT]> {
    let inner = &*models.0;
    let mut encoded = tokens::Encoded::default();
    inner.encoder.encode(&Passage { surface: Surface::Request, text, context: None }, &mut encoded).unwrap();
    let windows: Vec<usize> = (0..encoded.starts.len()).collect();
    let mut out = Vec::new();
    inner
        .read(&encoded, &windows, &mut cascade::FullScratch::default(), None, &mut |_, logits, _| {
            out.push(inner.calibration.full(logits));
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

/// For every window, how far apart the two backends are at most.
fn differences(folder: &Path, texts: &[String]) -> Vec<f32> {
    let (left, right) =
        (Models::load(folder).unwrap(), Models::load_with(folder, BackendKind::OnnxRuntime).unwrap());
    let mut out = Vec::new();
    for text in texts {
        let (left, right) = (read(&left, text), read(&right, text));
        assert_eq!(left.len(), right.len());
        out.extend(
            left.iter()
                .zip(&right)
                .map(|(p, q)| p.iter().zip(q).map(|(p, q)| (p - q).abs()).fold(0.0, f32::max)),
        );
    }
    out.sort_by(f32::total_cmp);
    out
}

#[test]
fn backends_agree() {
    if std::env::var_os("ORT_DYLIB_PATH").is_none() {
        eprintln!("skipped: `ORT_DYLIB_PATH` is not set, there is no ONNX Runtime to compare with");
        return;
    }
    let texts = texts();
    assert_eq!(texts.len(), TEXTS);
    let exact = differences(&folder(), &texts);
    assert!(exact.iter().all(|it| *it < TOLERANCE), "{:?}", exact.last());
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models");
    let shipped = std::env::var_os(MODELS_VARIABLE).map_or(shipped, PathBuf::from);
    if !shipped.join(MANIFEST).is_file() {
        eprintln!("skipped: there are no models in `{}`", shipped.display());
        return;
    }
    let apart = differences(&shipped, &texts);
    let within = apart.partition_point(|it| *it < TOLERANCE) as f64 / apart.len() as f64;
    let (median, farthest) = (apart[apart.len() / 2], apart[apart.len() - 1]);
    eprintln!(
        "shipped models: {within:.2} of the windows within {TOLERANCE}, median {median:.1e}, farthest {farthest:.3}"
    );
    assert!(within >= WITHIN && farthest <= FARTHEST);
}
