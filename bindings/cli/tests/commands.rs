//! The commands as a user runs them: output, files, exit status.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use brightline::{Guard, Policy, wire};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

const GOLDEN: &str = "tests/golden/documents/small.md";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn brightline(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_brightline"));
    command
        .args(args)
        .current_dir(root())
        .env_remove("CLICOLOR_FORCE")
        .env("BRIGHTLINE_MODELS", "")
        .stdin(Stdio::null());
    command
}

fn run(args: &[&str]) -> (i32, String, String) {
    let Output { status, stdout, stderr } = brightline(args).output().unwrap();
    (status.code().unwrap(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

/// Output without the time a check took.
fn untimed(text: &str) -> String {
    text.split(' ')
        .collect::<Vec<_>>()
        .windows(2)
        .map(|pair| if pair[1].starts_with("µs") { "N" } else { pair[0] })
        .chain(text.split(' ').next_back())
        .collect::<Vec<_>>()
        .join(" ")
}

#[test]
fn help_teaches_and_bad_usage_exits_with_2() {
    let (code, help, _) = run(&["--help"]);
    assert_eq!(code, 0);
    for command in ["inspect", "lint", "compile", "explain", "test", "score", "calibrate"] {
        assert!(help.contains(command), "{help}");
        let (code, help, _) = run(&[command, "--help"]);
        assert_eq!(code, 0);
        assert!(help.len() > 200, "{command}: {help}");
    }
    for args in [
        &["frobnicate"][..],
        &["score", "--threads", "0"],
        &["lint"],
        &["explain", "--text", "x", "--surface", "mail"],
    ] {
        assert_eq!(run(args).0, 2, "{args:?}");
    }
    let (code, _, error) = run(&["score", "-p", "nowhere", "-"]);
    assert_eq!(code, 2);
    assert!(error.contains("cannot find the policy `nowhere`") && error.contains("default"), "{error}");
    assert_eq!(run(&["score", "nowhere.jsonl"]).0, 2);
}

#[test]
fn inspect_lists_clauses() {
    let (code, text, _) = run(&["inspect", GOLDEN]);
    assert_eq!(code, 0);
    insta::assert_snapshot!("inspect", text);
    let (_, json, _) = run(&["inspect", GOLDEN, "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let vault = &json["clauses"][0];
    assert_eq!(
        (&vault["id"], &vault["authority"], &vault["kind"]),
        (&"vault".into(), &"root".into(), &"hard".into())
    );
    assert_eq!(
        (&json["headings"], &json["examples"], &json["answers"]["bad"]),
        (&5.into(), &1.into(), &1.into())
    );
}

#[test]
fn lint_reports_and_sets_the_exit_status() {
    let (code, text, _) = run(&["lint", GOLDEN, "--verbose"]);
    assert_eq!(code, 0, "{text}");
    insta::assert_snapshot!("lint", text.replace(&hash_in(&text), "HASH"));
    let (code, text, _) = run(&["lint", "tests/golden/diagnostics/condition_names.md"]);
    assert_eq!(code, 1);
    assert!(text.contains("BL0404") && text.contains("did you mean `hate`?"), "{text}");
    assert!(!text.contains('\u{1b}'), "no colors outside a terminal");
    let (code, json, _) = run(&["lint", "tests/golden/diagnostics/condition_names.md", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(code, 1);
    assert!(json["errors"].as_u64().unwrap() > 3);
    assert_eq!(run(&["lint", "tests/golden/diagnostics/examples_not_judged.md", "--strict"]).0, 0);
    assert_eq!(run(&["lint", "tests/golden/diagnostics/examples.md"]).0, 1);
}

/// The abbreviated hash in the line that names the policy.
fn hash_in(text: &str) -> String {
    text.lines().find_map(|line| line.strip_prefix("small 2.1 ")).unwrap_or("?").to_string()
}

#[test]
fn explain_shows_clause_rationale_and_evidence() {
    let text = "Please tell me\nhow do I quietly OPEN the  vault tonight";
    let (code, text, _) = run(&["explain", "-p", GOLDEN, "--text", text]);
    assert_eq!(code, 1);
    insta::assert_snapshot!("explain", untimed(&text));
    let (code, text, _) = run(&["explain", "-p", GOLDEN, "--text", "Who built it?"]);
    assert_eq!(code, 0);
    assert!(text.contains("No clause objects."), "{text}");
}

#[test]
fn an_artifact_scores_as_its_document_does() {
    let dir = tempfile::tempdir().unwrap();
    let (artifact, log) = (dir.path().join("small.blp"), dir.path().join("log.jsonl"));
    let artifact = artifact.to_str().unwrap();
    let (code, _, error) = run(&["compile", GOLDEN, "-o", artifact]);
    assert_eq!(code, 0, "{error}");
    std::fs::write(
        &log,
        "{\"id\":1,\"request\":\"how do I open the vault\"}\n{\"id\":2,\"request\":\"hello\"}\n",
    )
    .unwrap();
    let score = |policy: &str| run(&["score", "-p", policy, log.to_str().unwrap(), "--no-timing", "-q"]);
    let (from_document, from_artifact) = (score(GOLDEN), score(artifact));
    assert_eq!(from_document, from_artifact);
    assert_eq!(from_document.0, 1, "findings");
    assert_eq!(run(&["compile", "tests/golden/diagnostics/ids.md", "-o", artifact]).0, 1);
    std::fs::write(dir.path().join("bad.blp"), b"BLP\x01nonsense").unwrap();
    assert_eq!(
        run(&["score", "-p", dir.path().join("bad.blp").to_str().unwrap(), log.to_str().unwrap()]).0,
        2
    );
}

#[test]
fn test_runs_examples_and_cases() {
    let dir = tempfile::tempdir().unwrap();
    let cases = dir.path().join("cases.jsonl");
    let good = r#"{"id":"a","why":"w","request":"how do I open the vault","expect":{"action":"block","clauses":["vault"]}}"#;
    let bad = r#"{"id":"b","why":"must fail","request":"hello","expect":{"action":"block"}}"#;
    std::fs::write(&cases, format!("{good}\n")).unwrap();
    let cases_path = cases.to_str().unwrap();
    let (code, text, _) = run(&["test", "-p", GOLDEN, cases_path]);
    assert_eq!((code, text.contains("cases: 1 passed, 0 failed")), (0, true), "{text}");
    std::fs::write(&cases, format!("{good}\n{bad}\n")).unwrap();
    let (code, text, _) = run(&["test", "-p", GOLDEN, cases_path]);
    assert_eq!((code, text.contains("expected action block, got allow")), (1, true), "{text}");
    std::fs::write(&cases, "{\"expect\": {\"actoin\": \"block\"}}\n").unwrap();
    assert_eq!(run(&["test", "-p", GOLDEN, cases_path]).0, 2);
    assert_eq!(run(&["test", "-p", "tests/golden/diagnostics/examples_misjudged.md"]).0, 1);
}

/// The corpus gives the same bytes through the command as through the library.
#[test]
fn the_corpus_scores_as_through_the_library() {
    let dir = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(root().join("tests/cases")).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read(&path).unwrap();
        let out = dir.path().join("out.jsonl");
        let status =
            brightline(&["score", path.to_str().unwrap(), "-o", out.to_str().unwrap(), "--no-timing", "-q"])
                .status()
                .unwrap();
        assert!(status.code().is_some_and(|code| code <= 2));
        let guard = Guard::new(Policy::load("default").unwrap()).unwrap();
        let written = std::fs::read_to_string(&out).unwrap();
        let mut lines = written.lines();
        for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let line_out = lines.next().unwrap_or("");
            match wire::parse(line)
                .map_err(|error| error.to_string())
                .and_then(|input| guard.check(&input).map_err(|error| error.to_string()))
            {
                Ok(mut verdict) => {
                    verdict.elapsed_us = 0;
                    assert_eq!(line_out, serde_json::to_string(&verdict).unwrap(), "{}", path.display());
                }
                Err(_) => assert!(line_out.contains("\"error\":"), "{line_out}"),
            }
        }
        assert_eq!(lines.next(), None);
    }
}

const MODELS: &str = "core/src/classifier/testdata";

/// A policy with a label and a `like`, and a log that it finds something in.
fn with_models(dir: &Path) -> (PathBuf, PathBuf) {
    let policy = dir.join("policy.md");
    let text = "## Weapons {#weapons authority=root}\n\nThey hurt.\n\n~~~rule\non = [\"request\"]\nwhen = 'label(\"weapons_conventional\").at_fpr(0.01) || like(\"weapons\") > 0.9'\naction = \"block\"\n~~~\n\n~~~examples\nhits: request: how can i make a bomb\nhits: request: make me a bomb\nmisses: request: the river\nmisses: request: the garden\n~~~\n";
    std::fs::write(&policy, text).unwrap();
    let log = dir.join("log.jsonl");
    std::fs::write(&log, "{\"request\": \"make a dagger\"}\n{\"request\": \"the river\"}\n").unwrap();
    (policy, log)
}

fn copy_models(to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for file in std::fs::read_dir(root().join(MODELS)).unwrap() {
        let path = file.unwrap().path();
        std::fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
    }
}

#[test]
fn models_are_found_where_they_are_looked_for() {
    let dir = tempfile::tempdir().unwrap();
    let (policy, log) = with_models(dir.path());
    let arguments = ["score", "-p", policy.to_str().unwrap(), log.to_str().unwrap(), "--no-timing"];
    let score = |more: &[&str], variable: Option<&Path>| {
        let mut command = brightline(&[&arguments[..], more].concat());
        match variable {
            Some(folder) => command.env("BRIGHTLINE_MODELS", folder),
            None => command.env_remove("BRIGHTLINE_MODELS"),
        };
        let Output { status, stdout, stderr } = command.output().unwrap();
        (status.code().unwrap(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
    };
    let (code, out, error) = score(&["--no-models"], None);
    assert_eq!((code, out.matches("model_not_loaded").count()), (0, 2));
    assert!(error.contains("no models: clauses that need one stay undecided"), "{error}");
    let folder = root().join(MODELS);
    let (code, named, error) = score(&["--models", folder.to_str().unwrap()], None);
    assert_eq!((code, named.matches("{\"action\":\"block\"").count()), (1, 1), "{error}");
    assert!(error.contains("models test 1, rten"), "{error}");
    assert_eq!(score(&[], Some(&folder)).1, named);
    copy_models(&dir.path().join("models"));
    assert_eq!(score(&[], None).1, named);

    // What is found and broken is an error; what is named comes first.
    std::fs::write(dir.path().join("models/full.onnx"), "nothing").unwrap();
    let (code, out, error) = score(&[], None);
    assert_eq!((code, out.as_str()), (2, ""));
    assert!(error.contains("full.onnx") && error.contains("7 bytes"), "{error}");
    assert_eq!(score(&[], Some(&folder)).1, named);
    assert_eq!(score(&["--no-models"], None).0, 0);
    assert_eq!(score(&["--models", "nowhere"], None).0, 2);
    assert_eq!(score(&[], Some(Path::new("nowhere"))).0, 2);
}

#[test]
fn lint_says_what_models_make_of_operating_points_and_examples() {
    let dir = tempfile::tempdir().unwrap();
    let (policy, _) = with_models(dir.path());
    let arguments = ["lint", policy.to_str().unwrap(), "--models", MODELS];
    let (code, text, _) = run(&arguments);
    assert_eq!(code, 0);
    assert!(text.contains("weapons_conventional on request: 0.5000 at 0.01"), "{text}");
    assert!(text.contains("1 fitted `like`, each example judged by the others"), "{text}");
    assert!(text.contains("BL0607"), "{text}");
    let (_, json, _) = run(&[&arguments[..], &["--json"]].concat());
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["clauses"][0]["like"]["hits"], 2);
    assert_eq!(json["operating_points"][0]["threshold"], 0.5);
    let artifact = dir.path().join("policy.blp");
    let artifact = artifact.to_str().unwrap();
    assert_eq!(run(&["compile", policy.to_str().unwrap(), "--models", MODELS, "-o", artifact]).0, 0);
    let explain =
        |models: &[&str]| run(&[&["explain", "-p", artifact, "--text", "make a bomb"], models].concat());
    assert_eq!(explain(&["--models", MODELS]).0, 1);
    assert_eq!(explain(&["--no-models"]).0, 0);
}
