//! The shipped models through the engine, held to what the recipe computes: `models/recipe/parity.py` writes the file.

use brightline::Models;
use brightline::message::Surface;
use brightline::policy::LABELS;
use serde::Deserialize;
use std::path::PathBuf;

/// int8 activations are rounded by other kernels here and there.
const TOLERANCE: f32 = 0.01;

#[derive(Deserialize)]
struct Row {
    surface: Surface,
    text: String,
    context: Option<String>,
    cascade: Vec<f32>,
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

#[test]
fn the_engine_scores_as_the_recipe_does() {
    let models = Models::load(root().join("models")).unwrap();
    let rows = std::fs::read(root().join("tests/golden/models.json")).unwrap();
    let rows: Vec<Row> = serde_json::from_slice(&rows).unwrap();
    assert!(rows.len() >= 20);
    for row in rows {
        let scores = models.scores(row.surface, &row.text, row.context.as_deref()).unwrap();
        for (label, (name, &expected)) in LABELS.iter().zip(&row.cascade).enumerate() {
            let score = scores.get(label);
            assert!(
                (score - expected).abs() <= TOLERANCE,
                "{name} of {:?}: {score}, in the recipe {expected}",
                row.text.chars().take(80).collect::<String>()
            );
        }
    }
}
