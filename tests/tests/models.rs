//! The shipped models through the engine, held to what the recipe computes: `models/recipe/parity.py` writes the file.

use brightline::compiler::{Compiler, SHIPPED};
use brightline::diagnostic::Severity;
use brightline::message::Surface;
use brightline::policy::LABELS;
use brightline::{Action, Guard, GuardOptions, Input, Models};
use brightline_tests::root;
use serde::Deserialize;

/// int8 activations are rounded by other kernels here and there.
const TOLERANCE: f32 = 0.01;

#[derive(Deserialize)]
struct Row {
    surface: Surface,
    text: String,
    context: Option<String>,
    cascade: Vec<f32>,
}

fn models() -> Models {
    Models::load(root().join("models")).unwrap()
}

#[test]
fn the_engine_scores_as_the_recipe_does() {
    let models = models();
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

#[test]
fn every_shipped_policy_judges_its_examples_as_it_says_with_the_models_too() {
    let models = models();
    for name in SHIPPED {
        let compiled = Compiler::new().with_models(models.clone()).file(name);
        let errors: Vec<_> =
            compiled.diagnostics.iter().filter(|it| it.severity() == Severity::Error).collect();
        assert!(errors.is_empty(), "{name}: {errors:?}");
    }
}

#[test]
fn no_clause_of_a_shipped_policy_is_undecided_with_the_models() {
    for name in SHIPPED {
        let policy = Compiler::new().file(name).into_policy().unwrap();
        let options = GuardOptions { models: Some(models()), ..GuardOptions::default() };
        let guard = Guard::with(policy, options).unwrap();
        for input in [
            Input::request("What time does the bakery open on Sunday?"),
            Input::exchange("How do I bake bread?", "With flour, water, salt and time."),
        ] {
            let verdict = guard.check(&input).unwrap();
            assert_eq!(verdict.action, Action::Allow, "{name}");
            assert_eq!(verdict.undecided().count(), 0, "{name}");
            assert!(verdict.failures.is_empty(), "{name}");
        }
    }
}
