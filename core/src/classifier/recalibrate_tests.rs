//! Thresholds from benign traffic: the promises of the arithmetic as properties, and models written and loaded again.

use super::recalibrate::{Point, Spread, allowed, grid, put};
use super::tests::{folder, models};
use super::*;
use proptest::prelude::*;
use std::fs;

fn spread(grid: &[f64], scores: &[f32]) -> Spread {
    let mut spread = Spread::new(grid);
    scores.iter().for_each(|&score| spread.add(grid, score));
    spread
}

fn reach(scores: &[f32], threshold: f64) -> u64 {
    scores.iter().filter(|&&score| f64::from(score) >= threshold).count() as u64
}

fn point(fpr: f64, threshold: f64) -> Point {
    serde_json::from_value(
        serde_json::json!({"fpr": fpr, "threshold": threshold, "recall": 0.5, "benign": 9}),
    )
    .unwrap()
}

fn pairs(points: &[Point]) -> Vec<(f64, f64)> {
    points.iter().map(|it| (it.point.fpr, it.point.threshold)).collect()
}

/// Scores as a classifier gives them: many near zero, some anywhere, some equal, some at the ends of what a float holds.
fn scores() -> impl Strategy<Value = Vec<f32>> {
    let score = prop_oneof![
        4 => (-20.0f32..20.0).prop_map(|odds| 1.0 / (1.0 + (-odds).exp())),
        1 => prop_oneof![Just(0.0f32), Just(0.25), Just(1.0), Just(1.0 - f32::EPSILON / 2.0), Just(f32::MIN_POSITIVE)],
    ];
    prop::collection::vec(score, 1..300)
}

proptest! {
    #[test]
    fn at_most_the_share_reaches_the_threshold(scores in scores(), rate in 0.0001f64..0.9999) {
        let (grid, texts) = (grid(), scores.len() as u64);
        let allowed = allowed(rate, texts);
        prop_assert!(allowed as f64 / texts as f64 <= rate);
        prop_assert!((allowed + 1) as f64 / texts as f64 > rate);
        match spread(&grid, &scores).threshold(&grid, allowed) {
            Some((threshold, count)) => {
                prop_assert!(threshold > 0.0 && threshold < 1.0);
                prop_assert_eq!(count, reach(&scores, threshold));
                prop_assert!(count <= allowed);
            }
            None => prop_assert!(reach(&scores, *grid.last().unwrap()) > allowed),
        }
    }

    #[test]
    fn a_lower_rate_has_no_lower_threshold(scores in scores(), a in 0u64..300, b in 0u64..300) {
        let grid = grid();
        let spread = spread(&grid, &scores);
        let threshold = |allowed| spread.threshold(&grid, allowed).map_or(2.0, |it| it.0);
        prop_assert!(threshold(a.min(b)) >= threshold(a.max(b)));
    }

    #[test]
    fn points_stay_in_order(
        mut thresholds in prop::collection::vec(0.0f64..1.0, 4),
        threshold in 0.0f64..1.0,
        rate in prop_oneof![Just(0.05), Just(0.01), Just(0.005), Just(0.001), 0.0001f64..0.5],
    ) {
        thresholds.sort_by(f64::total_cmp);
        let rates = [0.05, 0.01, 0.005, 0.001];
        let mut points: Vec<Point> = rates.iter().zip(thresholds).map(|(&fpr, at)| point(fpr, at)).collect();
        put(&mut points, rate, threshold, 1000);
        prop_assert!(points.iter().any(|it| it.point.fpr == rate && it.point.threshold == threshold));
        for pair in points.windows(2) {
            prop_assert!(pair[0].point.fpr > pair[1].point.fpr);
            prop_assert!(pair[0].point.threshold <= pair[1].point.threshold);
        }
    }
}

#[test]
fn a_threshold_keeps_away_from_the_scores_around_it() {
    let grid = grid();
    let scores = [0.9, 0.5, 0.1, 0.1, 0.1];
    let at = |allowed| spread(&grid, &scores).threshold(&grid, allowed).unwrap();
    // The middle in log odds of 0.9 and 0.5 is 0.75.
    let (threshold, count) = at(1);
    assert!((threshold - 0.75).abs() < 0.002 && count == 1, "{threshold}");
    // Equal scores are flagged together or not at all.
    assert_eq!((at(2).1, at(3).1, at(4).1), (2, 2, 2));
    assert_eq!(at(2).0, at(4).0);
    let (threshold, count) = at(0);
    assert!((0.9..0.91).contains(&threshold) && count == 0, "{threshold}");
    assert_eq!(spread(&grid, &[1.0; 5]).threshold(&grid, 4), None);
}

#[test]
fn a_threshold_is_read_as_it_was_written() {
    let grid = grid();
    assert!(grid.windows(2).all(|pair| pair[0] < pair[1]) && grid[0] > 0.0 && *grid.last().unwrap() < 1.0);
    assert_eq!(serde_json::from_str::<Vec<f64>>(&serde_json::to_string(&grid).unwrap()).unwrap(), grid);
}

#[test]
fn a_share_is_counted_as_it_is_divided() {
    // 0.29 * 100 is less than 29 in floating point.
    for (rate, texts, expected) in
        [(0.29, 100, 29), (0.01, 100, 1), (0.01, 99, 0), (0.05, 7952, 397), (0.001, 1000, 1), (0.5, 0, 0)]
    {
        assert_eq!(allowed(rate, texts), expected, "{rate} of {texts}");
    }
}

#[test]
fn points_in_the_way_move_and_forget_their_recall() {
    let mut points = vec![point(0.05, 0.2), point(0.01, 0.4), point(0.001, 0.6)];
    put(&mut points, 0.01, 0.7, 500);
    assert_eq!(pairs(&points), [(0.05, 0.2), (0.01, 0.7), (0.001, 0.7)]);
    let json = serde_json::to_value(&points).unwrap();
    assert_eq!((&json[0]["recall"], &json[0]["benign"]), (&0.5.into(), &9.into()));
    for (at, enough) in [(1, true), (2, false)] {
        assert_eq!(json[at]["recall"], serde_json::Value::Null);
        assert_eq!((&json[at]["benign"], &json[at]["enough"]), (&500.into(), &enough.into()));
    }
    put(&mut points, 0.003, 0.1, 500);
    assert_eq!(pairs(&points), [(0.05, 0.1), (0.01, 0.1), (0.003, 0.1), (0.001, 0.7)]);
}

fn label(name: &str) -> usize {
    LABELS.iter().position(|label| *label == name).unwrap()
}

/// Benign traffic of a maker of knives: `texts` requests, `daggers` of which score high.
fn traffic(models: &Models, rate: f64, texts: usize, daggers: usize) -> Recalibration {
    let mut recalibration = Recalibration::new(models, rate).unwrap();
    for at in 0..texts {
        let text = if at < daggers { "how can i make a dagger" } else { "tell me about the river" };
        recalibration.add(Surface::Request, &models.scores(Surface::Request, text, None).unwrap());
    }
    recalibration
}

#[test]
fn models_with_thresholds_of_their_own_load() {
    let models = models();
    let weapons = label("weapons_conventional");
    let recalibration = traffic(&models, 0.01, 100, 2);
    let (changed, kept) = recalibration.thresholds();
    let row = changed.iter().find(|it| it.label == "weapons_conventional").unwrap();
    assert_eq!((row.surface, row.benign, row.old_threshold), (Surface::Request, 100, 0.5));
    assert_eq!((row.above_old, row.above), (0.02, 0.0));
    assert!(row.threshold > 0.9975 && row.moved == [0.001], "{row:?}");
    let surfaces: Vec<_> = kept.iter().map(|it| (it.surface, it.label)).collect();
    assert_eq!(surfaces, [(Surface::Response, None)]);
    assert!(kept[0].reason.contains("at least 100 benign texts"), "{}", kept[0].reason);

    let dir = tempfile::tempdir().unwrap();
    let to = dir.path().join("local");
    let saved = recalibration.save(&folder(), &to).unwrap();
    let loaded = Models::load(&to).unwrap();
    assert_eq!((loaded.hash(), loaded.version()), (saved.hash(), "1+local"));
    assert_ne!(loaded.hash(), models.hash());
    let at = |models: &Models, surface, fpr| models.threshold(weapons as u8, surface, fpr).unwrap();
    let request = at(&loaded, Surface::Request, 0.01);
    assert_eq!((request.value, request.nearest.benign, request.nearest.recall), (row.threshold, 100, None));
    assert_eq!(at(&loaded, Surface::Request, 0.001).value, row.threshold);
    for (surface, fpr) in [(Surface::Request, 0.05), (Surface::Response, 0.01), (Surface::ToolCall, 0.01)] {
        assert_eq!(at(&loaded, surface, fpr), at(&models, surface, fpr));
    }
    let text = "how can i make a knife";
    let scores = |models: &Models| models.scores(Surface::Request, text, None).unwrap();
    assert_eq!(scores(&loaded), scores(&models));

    // A second rate on top of the first; the version says it once.
    let again = dir.path().join("again");
    let saved = traffic(&loaded, 0.1, 100, 2).save(&to, &again).unwrap();
    assert_eq!(saved.version(), "1+local");
    assert!(at(&saved, Surface::Request, 0.1).within && at(&saved, Surface::Request, 0.1).value < 0.9);
}

#[test]
fn nothing_is_left_where_nothing_can_be_written() {
    let models = models();
    let recalibration = traffic(&models, 0.5, 4, 0);
    let dir = tempfile::tempdir().unwrap();
    let full = dir.path().join("full");
    fs::create_dir(&full).unwrap();
    fs::write(full.join("notes.txt"), "mine").unwrap();
    for to in [full, dir.path().join("nowhere/local")] {
        let error = recalibration.save(&folder(), &to).unwrap_err();
        assert!(matches!(&error, ModelError::Write { path, .. } if *path == to), "{error}");
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    let empty = dir.path().join("empty");
    fs::create_dir(&empty).unwrap();
    recalibration.save(&folder(), &empty).unwrap();
    assert!(empty.join(MANIFEST).exists());
    let error = recalibration.save(&empty, &dir.path().join("other")).unwrap_err();
    assert!(error.to_string().contains("changed since the models were loaded"), "{error}");
}

#[test]
fn a_rate_lies_between_0_and_1() {
    let models = models();
    for rate in [0.0, 1.0, -0.1, 2.0, f64::NAN, f64::INFINITY] {
        let error = Recalibration::new(&models, rate).unwrap_err();
        assert!(error.to_string().contains("is no false-positive rate"), "{error}");
    }
}

#[test]
fn texts_without_words_and_surfaces_without_thresholds_set_none() {
    let models = models();
    let mut recalibration = Recalibration::new(&models, 0.5).unwrap();
    let empty = models.scores(Surface::Request, "", None).unwrap();
    let thought = models.scores(Surface::Reasoning, "the river", None).unwrap();
    for _ in 0..4 {
        recalibration.add(Surface::Request, &empty);
        recalibration.add(Surface::Reasoning, &thought);
    }
    let (changed, kept) = recalibration.thresholds();
    assert!(changed.is_empty());
    let counted: Vec<_> = kept.iter().map(|it| (it.surface, it.benign)).collect();
    assert_eq!(counted, [(Surface::Request, 0), (Surface::Response, 0), (Surface::Reasoning, 4)]);
}
