//! `like("clause")`, from the examples of a document to a verdict, with the models of the classifier's own tests.

use crate::classifier::tests::{counted, models};
use crate::classifier::{ModelError, Models};
use crate::compiler::Compiled;
use crate::diagnostic::Code;
use crate::engine::GuardError;
use crate::message::Input;
use crate::policy::{Action, Atom, LABELS, Policy};
use crate::{Compiler, Guard, GuardOptions, Verdict, artifact};
use std::sync::atomic::Ordering;
use std::time::Duration;

const POLICY: &str = r#"
## Kitchen {#kitchen authority=developer}

We talk about places, not about food.

~~~rule
on     = ["request"]
when   = 'like("kitchen")'
action = "flag"
on_error = "block"
~~~

~~~examples
hits: request: how can i cook soup
hits: request: make a fish salad
hits: request: tell me about bread and rice
hits: request: cook the fish please
hits: request: make soup and bread
misses: request: tell me about the river
misses: request: what is in the garden
misses: request: how can i help the train
misses: request: the house and the tree
misses: request: who is in the car
~~~
"#;

/// The clause again, with another condition.
fn with_condition(when: &str) -> String {
    POLICY.replace("'like(\"kitchen\")'", &format!("'{when}'"))
}

fn compile(text: &str) -> Compiled {
    Compiler::without_files().with_models(models()).text("like.md", text)
}

fn guard_with(policy: Policy, models: Models) -> Guard {
    Guard::with(policy, GuardOptions { models: Some(models), ..GuardOptions::default() }).unwrap()
}

fn guard(text: &str) -> Guard {
    guard_with(compile(text).into_policy().unwrap(), models())
}

fn check(guard: &Guard, text: &str) -> Verdict {
    guard.check(&Input::request(text)).unwrap()
}

#[test]
fn what_resembles_the_bad_examples_is_found_and_the_verdict_says_how_much() {
    let guard = guard(POLICY);
    let text = "please cook rice and fish for me";
    let verdict = check(&guard, text);
    assert_eq!(verdict.action, Action::Flag);
    let json = serde_json::to_value(&verdict).unwrap();
    let evidence = &json["findings"][0]["evidence"][0];
    assert_eq!(evidence["detector"], "like:kitchen");
    assert_eq!(evidence["threshold"], 0.5);
    assert!(evidence["score"].as_f64().unwrap() > 0.5);
    assert_eq!(evidence["spans"][0]["end"], text.len());
    assert_eq!(json["scanned"]["tiers"], serde_json::json!(["rules", "screen", "full"]));
    assert_eq!(json["degraded"], serde_json::json!([]));
    let other = check(&guard, "the river in the garden");
    assert_eq!((other.action, other.undecided().count()), (Action::Allow, 0));
    assert_eq!(check(&guard, "").action, Action::Allow);
}

#[test]
fn the_report_says_how_the_examples_do_when_left_out() {
    let compiled = compile(POLICY);
    let quality = compiled.report.clauses[0].like.unwrap();
    assert_eq!((quality.hits, quality.misses), (5, 5));
    assert!(quality.balanced() >= 0.8 && quality.auroc >= 0.8, "{quality:?}");
    let codes: Vec<Code> = compiled.diagnostics.iter().map(|it| it.code).collect();
    assert!(!codes.contains(&Code::LikeTooFew) && !codes.contains(&Code::LikeDisagrees), "{codes:?}");
}

#[test]
fn too_few_examples_and_examples_that_disagree_are_reported() {
    let few = POLICY.lines().filter(|line| !line.contains("the ")).collect::<Vec<_>>().join("\n");
    let compiled = Compiler::without_files().text("few.md", few);
    assert!(compiled.diagnostics.iter().any(|it| it.code == Code::LikeTooFew));
    let mixed = POLICY
        .replace("misses: request: the house and the tree", "misses: request: cook soup please")
        .replace("misses: request: who is in the car", "misses: request: make bread and a salad")
        .replace("misses: request: what is in the garden", "misses: request: rice and fish");
    let compiled = compile(&mixed);
    let it = compiled.diagnostics.iter().find(|it| it.code == Code::LikeDisagrees).unwrap();
    assert!(it.message.contains("left out"), "{}", it.message);
    let one_kind = POLICY.lines().filter(|line| !line.starts_with("misses")).collect::<Vec<_>>().join("\n");
    let compiled = compile(&one_kind);
    assert!(compiled.report.clauses[0].like.is_none());
    let policy = compiled.into_policy().unwrap();
    let verdict = check(&guard_with(policy, models()), "cook soup");
    assert_eq!((verdict.action, verdict.undecided().count()), (Action::Allow, 1));
}

#[test]
fn heads_travel_in_the_artifact_with_the_hash_of_the_models() {
    let policy = compile(POLICY).into_policy().unwrap();
    let again = artifact::decode(&artifact::encode(&policy)).unwrap();
    assert_eq!(again.data(), policy.data());
    let calibrated = again.data().calibrated.as_ref().unwrap();
    assert_eq!((calibrated.heads.len(), calibrated.heads[0].weights.len()), (1, 8));
    assert_eq!(calibrated.hash, models().hash());
    let text = "make soup and rice";
    let (left, right) = (guard_with(policy.clone(), models()), guard_with(again, models()));
    assert_eq!(check(&left, text).findings, check(&right, text).findings);

    let mut short = policy.data().clone();
    short.calibrated.as_mut().unwrap().heads[0].weights.pop();
    let options = GuardOptions { models: Some(models()), ..GuardOptions::default() };
    let error = Guard::with(artifact::seal(short.clone()), options).err().unwrap();
    assert!(matches!(error, GuardError::Models(ModelError::Head { found: 7, expected: 8, .. })), "{error}");
    for spoil in [
        |head: &mut crate::policy::Head| head.clause = 7,
        |head: &mut crate::policy::Head| head.bias = f32::NAN,
        |head: &mut crate::policy::Head| head.weights = vec![0.0; 5000],
    ] {
        let mut data = policy.data().clone();
        spoil(&mut data.calibrated.as_mut().unwrap().heads[0]);
        let bytes = artifact::encode(&artifact::seal(data));
        assert!(matches!(artifact::decode(&bytes), Err(artifact::ArtifactError::Invalid(_))));
    }
    let mut twice = policy.data().clone();
    let heads = &mut twice.calibrated.as_mut().unwrap().heads;
    heads.push(heads[0].clone());
    assert!(artifact::decode(&artifact::encode(&artifact::seal(twice))).is_err());
}

#[test]
fn compiled_without_models_it_stays_undecided() {
    let policy = Compiler::without_files().text("like.md", POLICY).into_policy().unwrap();
    let verdict = check(&guard_with(policy, models()), "cook soup");
    assert_eq!(verdict.undecided().map(|clause| clause.id.as_str()).collect::<Vec<_>>(), ["kitchen"]);
}

#[test]
fn a_text_runs_through_the_full_model_once_and_labels_do_not_change() {
    let text = format!("{} how can i make a knife", "tell me about the garden and the river . ".repeat(6));
    let (labels, like) = ("label(\"weapons_conventional\") > 0.9", "like(\"kitchen\")");
    let run = |when: &str, scores: bool| {
        let policy = compile(&with_condition(when)).into_policy().unwrap();
        let (models, rows) = counted();
        let options = GuardOptions { models: Some(models), scores, ..GuardOptions::default() };
        let guard = Guard::with(policy, options).unwrap();
        let before = rows.load(Ordering::SeqCst);
        let verdict = check(&guard, &text);
        (rows.load(Ordering::SeqCst) - before, verdict.scores)
    };
    let (some, scores) = run(labels, true);
    let (all, with_like) = run(&format!("{labels} || {like}"), true);
    assert_eq!(scores.len(), LABELS.len());
    assert_eq!(scores, with_like);
    assert!(0 < some && some < all);
    // Each window once, in whichever order they are asked for.
    assert_eq!(run(like, false).0, all);
    assert_eq!(run(&format!("{like} || {labels}"), false).0, all);
    // Where a label has decided, nothing more is read.
    assert_eq!(run(&format!("{labels} && {like}"), false).0, some);
}

#[test]
fn a_deadline_that_passes_degrades() {
    let policy = compile(POLICY).into_policy().unwrap();
    let options =
        GuardOptions { models: Some(models()), deadline: Some(Duration::ZERO), ..GuardOptions::default() };
    let verdict = check(&Guard::with(policy, options).unwrap(), "soup");
    assert_eq!(verdict.action, Action::Block);
    let json = serde_json::to_value(&verdict).unwrap();
    assert_eq!(json["degraded"][0]["detector"], "like:kitchen");
    assert_eq!(json["degraded"][0]["reason"], "deadline_exceeded");
}

#[test]
fn the_window_that_is_most_like_the_examples_is_named() {
    let text = format!(
        "{}cook soup and bread and rice and fish please . {}",
        "tell me about the river and the garden . ".repeat(30),
        "the house and the tree . ".repeat(30)
    );
    let verdict = check(&guard(POLICY), &text);
    let place = &verdict.findings[0].evidence[0].spans[0];
    let found = &text[place.start as usize..place.end as usize];
    assert!(found.contains("soup") && found.len() < 150, "{found}");
}

#[test]
fn answers_marked_good_and_bad_are_examples_as_well() {
    let turns = |mark: &str, text: &str| {
        format!(
            "**Example**: one\n\n~~~xml\n<user>\ntell me\n</user>\n<assistant> <!-- {mark} -->\n{text}\n</assistant>\n~~~\n\n"
        )
    };
    let mut document = "## Food {#food authority=developer}\n\nNo.\n\n~~~rule\non = [\"response\"]\nwhen = 'like(\"food\")'\naction = \"flag\"\n~~~\n\n".to_string();
    for food in ["cook soup", "cook bread and rice", "make a salad", "fish and rice"] {
        document += &turns("BAD", food);
    }
    for place in ["the river", "a tree in the garden", "the house", "the train and the car"] {
        document += &turns("GOOD", place);
    }
    let compiled = compile(&document);
    let quality = compiled.report.clauses[0].like.unwrap();
    assert_eq!((quality.hits, quality.misses), (4, 4));
    let guard = guard_with(compiled.into_policy().unwrap(), models());
    let action = |answer: &str| guard.check(&Input::exchange("tell me", answer)).unwrap().action;
    assert_eq!((action("cook bread and soup"), action("the river")), (Action::Flag, Action::Allow));
}

#[test]
fn unverified_is_a_condition_of_its_own() {
    let text = "\n## Odd {#odd authority=developer}\n\nA person looks.\n\n~~~rule\non = [\"request\"]\nwhen = 'unverified'\naction = \"escalate\"\n~~~\n";
    let policy = Compiler::without_files().text("odd.md", text).into_policy().unwrap();
    assert!(policy.data().atoms.contains(&Atom::Unverified));
    let guard = guard_with(policy.clone(), models());
    assert_eq!(check(&guard, "tell me about the river").action, Action::Allow);
    for (text, how) in [("the river ".repeat(150), "length"), ("Где ближайшая больница ?".into(), "language")]
    {
        let verdict = check(&guard, &text);
        assert_eq!((verdict.action, verdict.unverified), (Action::Escalate, Some(how)), "{text}");
        assert_eq!(verdict.findings[0].evidence[0].detector, "unverified");
    }
    let without = Guard::new(policy).unwrap();
    assert_eq!(check(&without, "anything").undecided().count(), 1);
}
