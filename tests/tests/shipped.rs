//! The shipped policies: each compiles, survives its artifact, and judges every example as it stands in the document.
//!
//! The compiler judges examples by the rules of their clause alone. Here a plain reading of the lines goes through a
//! whole check, with everything else the policy holds.

use brightline::compiler::{Compiler, SHIPPED, shipped};
use brightline::diagnostic::Severity;
use brightline::message::{Message, Part};
use brightline::policy::Kind;
use brightline::{Action, Guard, Input, Policy, Role, Settings, Verdict, artifact};
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::LazyLock;

/// One line of an `examples` fence.
struct Example {
    clause: String,
    hits: bool,
    line: usize,
    input: Input<'static>,
}

fn example(clause: &str, line: &str, number: usize) -> Example {
    let (head, rest) = line.split_once(':').unwrap();
    let hits = head.starts_with("hits");
    assert!(hits || head.starts_with("misses"), "line {number}: {line}");
    let tags = head.split_once('[').map_or("", |(_, tags)| tags.trim_end().trim_end_matches(']'));
    let tags = tags.split(',').map(str::trim).filter(|tag| !tag.is_empty());
    let messages = rest.split(" => ").map(|piece| {
        let (surface, text) = piece.split_once(':').unwrap();
        let (surface, text) = (surface.trim(), text.trim());
        let broken = text.replace("\\n", "\n");
        match surface {
            "request" => Message::text(Role::User, broken),
            "response" => Message::text(Role::Assistant, broken),
            "tool_result" => Message::text(Role::Tool, broken),
            "reasoning" => {
                let part = Part::Reasoning { text: broken.into(), at: None };
                Message { role: Role::Assistant, parts: vec![part] }
            }
            "tool_call" => {
                let (name, arguments) = text.split_once(' ').unwrap_or((text, ""));
                Message::tool_call(name.to_string(), arguments.trim().to_string())
            }
            other => panic!("line {number}: unknown surface {other}"),
        }
    });
    let input = Input {
        messages: messages.collect(),
        tags: tags.map(|tag| tag.to_string().into()).collect(),
        ..Input::default()
    };
    Example { clause: clause.to_string(), hits, line: number, input }
}

/// The examples of a document, read line by line.
fn examples(text: &str) -> Vec<Example> {
    let mut out = Vec::new();
    let (mut clause, mut fence) = ("", None);
    for (at, line) in text.lines().enumerate() {
        match (fence, line.strip_prefix("~~~").or_else(|| line.strip_prefix("```"))) {
            (None, Some(info)) => fence = Some(info.trim()),
            (Some(_), Some("")) => fence = None,
            (None, None) if line.starts_with('#') => {
                let id = line.split_once("{#").and_then(|(_, rest)| rest.split([' ', '}']).next());
                clause = id.unwrap_or("");
            }
            (Some("examples"), None) if !line.trim().is_empty() && !line.trim().starts_with('#') => {
                out.push(example(clause, line.trim(), at + 1));
            }
            _ => {}
        }
    }
    out
}

/// What a verdict says on the wire, but for the time it took.
fn said(verdict: &Verdict) -> Value {
    let mut value = serde_json::to_value(verdict).unwrap();
    value.as_object_mut().unwrap().remove("elapsed_us");
    value
}

/// Every shipped policy, compiled once. None has anything to warn of.
fn policies() -> impl Iterator<Item = (&'static str, Policy)> {
    static POLICIES: LazyLock<Vec<(&str, Policy)>> = LazyLock::new(|| {
        let compile = |name: &&'static str| {
            let compiled = Compiler::new().file(name);
            let problems = compiled.diagnostics.iter().filter(|it| it.severity() >= Severity::Warning);
            let problems: Vec<String> = problems.map(ToString::to_string).collect();
            assert!(problems.is_empty(), "{name}: {}", problems.join("\n"));
            (*name, compiled.into_policy().unwrap())
        };
        SHIPPED.iter().map(compile).collect()
    });
    POLICIES.iter().cloned()
}

/// A shipped policy without the settings that travel with it, which examples are not judged by.
fn neutral(name: &str) -> Policy {
    let text = shipped(name).unwrap();
    let front_end = 3 + text[3..].find("+++").unwrap();
    let settings = ["[system]", "[operator]", "[context]", "[scope]"];
    let from = settings.iter().filter_map(|table| text[..front_end].find(table)).min();
    let text = format!("{}{}", &text[..from.unwrap_or(front_end)], &text[front_end..]);
    Compiler::new().text(format!("{name}.md"), text).into_policy().unwrap()
}

/// The clauses with a finding, in force or not.
fn found(verdict: &Verdict) -> BTreeSet<&str> {
    let findings = verdict.findings.iter().filter_map(|it| verdict.clause_of(it));
    let lifted = verdict.lifted.iter().filter_map(|it| verdict.clause_of_lifted(it));
    findings.chain(lifted).map(|clause| clause.id.as_str()).collect()
}

#[test]
fn every_example_gets_the_verdict_it_states() {
    let (mut all, mut judged) = (0, 0);
    for name in SHIPPED {
        let policy = neutral(name);
        let guard = Guard::new(policy.clone()).unwrap();
        let mut problems = Vec::new();
        for Example { clause, hits, line, input } in examples(shipped(name).unwrap()) {
            all += 1;
            let verdict = guard.check(&input).unwrap();
            let known = policy.clause(&clause).unwrap_or_else(|| panic!("{name}:{line}: no `{clause}`"));
            // An exception makes no findings, and an undecided example says nothing until there is a model.
            if known.kind == Kind::Exception || verdict.undecided().any(|it| it.id == clause) {
                continue;
            }
            judged += 1;
            let found = found(&verdict);
            if found.contains(clause.as_str()) != hits {
                problems.push(format!("{name}:{line}: `{clause}` should be {hits}, found {found:?}"));
            }
            let strictest = verdict.findings.iter().map(|finding| finding.action).max();
            assert_eq!(verdict.action, strictest.unwrap_or(Action::Allow), "{name}:{line}");
        }
        assert!(problems.is_empty(), "{}", problems.join("\n"));
    }
    assert!(judged > 500 && judged * 4 > all * 3, "{judged} of {all} examples are judged");
}

#[test]
fn an_artifact_judges_as_its_document() {
    for (name, policy) in policies() {
        let bytes = artifact::encode(&policy);
        let decoded = artifact::decode(&bytes).unwrap();
        assert_eq!(decoded.data(), policy.data(), "{name}");
        assert_eq!(
            (decoded.hash(), decoded.name(), decoded.version()),
            (policy.hash(), policy.name(), policy.version())
        );
        assert_eq!(artifact::encode(&decoded), bytes, "{name}: encoding is deterministic");
        let (left, right) = (Guard::new(policy).unwrap(), Guard::new(decoded).unwrap());
        for example in examples(shipped(name).unwrap()) {
            let verdicts = [&left, &right].map(|guard| said(&guard.check(&example.input).unwrap()));
            assert_eq!(verdicts[0], verdicts[1], "{name}:{}", example.line);
        }
    }
}

#[test]
fn compiling_is_deterministic() {
    for (name, policy) in policies() {
        assert_eq!(Policy::load(name).unwrap().hash(), policy.hash(), "{name}");
    }
}

/// Hard clauses of the shipped policies stay in force whatever a deployment tries.
#[test]
fn no_deployment_switches_off_a_hard_clause() {
    for (name, policy) in policies() {
        for clause in policy.clauses().iter().filter(|clause| clause.kind == Kind::Hard) {
            for who in ["system", "operator"] {
                let settings =
                    Settings::from_toml(&format!("[{who}]\nswitch = {{ {} = \"off\" }}\n", clause.id))
                        .unwrap();
                let options = brightline::GuardOptions { settings, ..Default::default() };
                assert!(Guard::with(policy.clone(), options).is_err(), "{name}: {who} lifts `{}`", clause.id);
            }
        }
    }
}
