//! `brightline calibrate` with the shipped models: thresholds from a log, and what a policy makes of them.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use brightline::policy::LABELS;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn run(args: &[&str]) -> (i32, String, String) {
    let Output { status, stdout, stderr } = Command::new(env!("CARGO_BIN_EXE_brightline"))
        .args(args)
        .current_dir(root())
        .env("BRIGHTLINE_MODELS", "")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    (status.code().unwrap(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

/// Benign questions and answers of a hardware store: what it sells sounds worse than it is.
fn log() -> String {
    let acts =
        ["sharpen", "shoot staples with", "cut wood with", "clean", "store", "return", "rent", "repair"];
    let things = ["a knife", "a nail gun", "an axe", "rat poison", "a blow torch"];
    let mut lines = String::new();
    for act in acts {
        for thing in things {
            let question = format!("How do I {act} {thing} without making a mess?");
            lines += &serde_json::json!({"request": question}).to_string();
            lines += "\n\n";
            let answer = format!("Read the manual of {thing} first, then {act} it outside.");
            lines += &serde_json::json!({"request": question, "response": answer}).to_string();
            lines += "\n";
        }
    }
    lines += &serde_json::json!({"tool_result": "Opening hours: 9 to 17."}).to_string();
    lines
}

/// A policy with a clause for each label, which flags what reaches the rate.
fn policy(rate: &str) -> String {
    let clause = |label: &&str| {
        let rule = format!(
            "on = [\"request\", \"response\"]\nwhen = 'label(\"{label}\").at_fpr({rate})'\naction = \"flag\""
        );
        format!("## {label} {{#{label} authority=developer}}\n\nA test.\n\n~~~rule\n{rule}\n~~~\n\n")
    };
    LABELS.iter().map(clause).collect()
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn a_policy_flags_at_most_the_share_of_the_log_that_was_asked_for() {
    const RATE: f64 = 0.05;
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_string();
    let (log_path, policy_path, local) = (path("benign.jsonl"), path("policy.md"), path("local"));
    std::fs::write(&log_path, log()).unwrap();
    std::fs::write(&policy_path, policy("0.05")).unwrap();
    let calibrate = ["calibrate", &log_path, "--fpr", "0.05", "--models", "models", "--json", "-o", &local];
    let (code, out, error) = run(&calibrate);
    assert_eq!(code, 0, "{error}");
    assert!(error.contains("`tool_result` keeps its thresholds: 1 text, a rate of 0.05 takes at least 20"));
    let report = json(&out);
    assert_eq!((&report["records"], &report["fpr"]), (&81.into(), &0.05.into()));
    assert!(report["models"]["version"].as_str().unwrap().ends_with("+local"));
    assert_eq!(report["kept"].as_array().unwrap().len(), 2, "tool calls and tool results");
    let thresholds: BTreeMap<(&str, &str), &Value> = report["thresholds"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| ((it["label"].as_str().unwrap(), it["surface"].as_str().unwrap()), it))
        .collect();
    assert_eq!(thresholds.len(), 2 * LABELS.len());
    for it in thresholds.values() {
        assert_eq!(it["benign"], 40);
        assert!(it["above"].as_f64().unwrap() <= RATE, "{it}");
    }

    // `at_fpr` finds what was written.
    let (code, out, error) = run(&["lint", &policy_path, "--models", &local, "--json"]);
    assert_eq!(code, 0, "{error}");
    let points = json(&out)["operating_points"].as_array().unwrap().clone();
    assert_eq!(points.len(), thresholds.len());
    for point in &points {
        let row = thresholds[&(point["label"].as_str().unwrap(), point["surface"].as_str().unwrap())];
        assert_eq!(point["threshold"], row["threshold"], "{point}");
        assert_eq!((&point["nearest"]["benign"], &point["nearest"]["recall"]), (&40.into(), &Value::Null));
    }

    // What was counted is what a guard flags, before and after.
    for (models, share) in [("models", "above_old"), (local.as_str(), "above")] {
        let (code, out, error) =
            run(&["score", "-q", "-p", &policy_path, "--models", models, "--no-timing", &log_path]);
        assert!(code <= 1, "{error}");
        let mut flagged: BTreeMap<(String, String), f64> = BTreeMap::new();
        for verdict in out.lines().map(json) {
            for finding in verdict["findings"].as_array().unwrap() {
                let key = ["clause", "surface"].map(|key| finding[key].as_str().unwrap().to_string());
                *flagged.entry(key.into()).or_default() += 1.0;
            }
        }
        for ((label, surface), row) in &thresholds {
            let count = flagged.get(&(label.to_string(), surface.to_string())).copied().unwrap_or(0.0);
            assert_eq!(row[share].as_f64().unwrap(), count / 40.0, "{models}: {row}");
        }
    }

    // Once written, it is left alone.
    let manifest = std::fs::read(Path::new(&local).join("manifest.json")).unwrap();
    let (code, _, error) = run(&calibrate);
    assert_eq!(code, 2);
    assert!(error.contains(&local) && error.contains("not empty"), "{error}");
    assert_eq!(std::fs::read(Path::new(&local).join("manifest.json")).unwrap(), manifest);
}

#[test]
fn the_table_names_every_threshold_that_changes() {
    let dir = tempfile::tempdir().unwrap();
    let (log_path, to) = (dir.path().join("benign.jsonl"), dir.path().join("local"));
    std::fs::write(&log_path, log()).unwrap();
    let (log_path, to) = (log_path.to_str().unwrap(), to.to_str().unwrap());
    let models = "core/src/classifier/testdata";
    let (code, out, error) =
        run(&["calibrate", log_path, "--fpr", "0.03", "--models", models, "-o", to, "--threads", "2"]);
    assert_eq!(code, 0, "{error}");
    for label in LABELS {
        for surface in ["request", "response"] {
            let row = |line: &&str| line.split_whitespace().take(2).eq([*label, surface]);
            assert_eq!(out.lines().filter(row).count(), 1, "{label} {surface}: {out}");
        }
    }
    assert!(out.contains("test 1+local") && out.contains("at a rate of 0.03"), "{out}");
}

#[test]
fn what_cannot_be_calibrated_says_why_and_writes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_string();
    let (good, bad, empty, few) =
        (path("good.jsonl"), path("bad.jsonl"), path("empty.jsonl"), path("few.jsonl"));
    std::fs::write(&good, log()).unwrap();
    std::fs::write(
        &bad,
        "{\"request\": \"the river\"}\n\n{\"messages\": [{\"role\": \"bot\", \"content\": \"x\"}]}\n",
    )
    .unwrap();
    std::fs::write(&empty, "\n  \n").unwrap();
    std::fs::write(&few, "{\"request\": \"the river\"}\n").unwrap();
    let (file, to, nowhere) = (path("good.jsonl"), path("local"), path("nowhere/local"));
    let models = "core/src/classifier/testdata";
    for (input, rate, models, output, parts) in [
        (&good, "x", models, &to, &["--fpr", "x"][..]),
        (&good, "0", models, &to, &["`0` is no false-positive rate", "between 0 and 1"]),
        (&good, "-0.1", models, &to, &["`-0.1` is no false-positive rate"]),
        (&good, "1", models, &to, &["`1` is no false-positive rate"]),
        (&good, "NaN", models, &to, &["`NaN` is no false-positive rate"]),
        (&bad, "0.5", models, &to, &["bad.jsonl", "line 3", "messages[0].role", "`bot`"]),
        (&empty, "0.5", models, &to, &["empty.jsonl", "holds no records"]),
        (
            &few,
            "0.01",
            models,
            &to,
            &["`request` keeps its thresholds", "at least 100", "nothing was written"],
        ),
        (&path("none.jsonl"), "0.5", models, &to, &["cannot read", "none.jsonl"]),
        (&good, "0.5", "docs", &to, &["manifest.json", "is missing"]),
        (&good, "0.5", models, &file, &["cannot write", "good.jsonl"]),
        (&good, "0.5", models, &nowhere, &["cannot write", "nowhere/local"]),
    ] {
        let arguments = ["calibrate", input, "--fpr", rate, "--models", models, "-o", output];
        let (code, out, error) = run(&arguments);
        assert_eq!((code, out.as_str()), (2, ""), "{arguments:?}: {error}");
        for part in parts {
            assert!(error.contains(part), "{arguments:?}: {error}");
        }
    }
    let (code, _, error) = run(&["calibrate", &good, "--fpr", "0.5", "--no-models", "-o", &to]);
    assert_eq!(code, 2);
    assert!(error.contains("no models to calibrate") && error.contains("--models"), "{error}");
    let mut left: Vec<_> = std::fs::read_dir(dir.path())
        .unwrap()
        .map(|it| it.unwrap().file_name().into_string().unwrap())
        .collect();
    left.sort();
    assert_eq!(left, ["bad.jsonl", "empty.jsonl", "few.jsonl", "good.jsonl"]);
}
