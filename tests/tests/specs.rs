//! The two published specs, as real input. They lie beside the repository; without them these tests say so and pass.

use brightline::authority::Level;
use brightline::compiler::Compiler;
use brightline::diagnostic::Severity;
use brightline::span::Source;
use brightline::spec::{self, Document, Label};
use brightline_tests::{root, shared};
use std::collections::BTreeSet;
use std::sync::Arc;

fn published(name: &str) -> Option<Arc<Source>> {
    let path = shared(&format!("specs/{name}"))?;
    Some(Arc::new(Source::new(name, std::fs::read_to_string(path).unwrap())))
}

fn at_level(document: &Document, level: Level) -> usize {
    let word = |section: &spec::Section| section.attributes.get("authority").and_then(Level::from_alias);
    document.clauses().filter(|section| word(section) == Some(level)).count()
}

#[test]
fn the_model_spec_parses_whole() {
    let Some(source) = published("openai-model-spec.md") else { return };
    let parsed = spec::parse(&source);
    assert!(parsed.diagnostics.is_empty(), "{:?}", parsed.diagnostics);
    let document = parsed.document;
    assert!(document.dangling(&[]).is_empty());
    assert_eq!(document.sections.len(), 80);
    assert!(document.sections.iter().all(|section| section.attributes.id.is_some()));
    assert_eq!(document.clauses().count(), 59);
    let levels = [Level::Root, Level::System, Level::Developer, Level::User, Level::Guideline];
    assert_eq!(levels.map(|level| at_level(&document, level)), [22, 3, 1, 15, 18]);
    let teens = document.section("prioritize_teen_safety").unwrap();
    assert_eq!((teens.attributes.get("tags"), teens.line), (Some("under_18"), 4578));
}

#[test]
fn the_model_spec_keeps_every_example() {
    let Some(source) = published("openai-model-spec.md") else { return };
    let document = spec::parse(&source).document;
    let examples: Vec<_> = document.sections.iter().flat_map(|section| &section.examples).collect();
    assert_eq!(examples.len(), 183);
    assert_eq!(examples.iter().map(|example| example.comparisons).sum::<u32>(), 189);
    let turns: Vec<_> = examples.iter().flat_map(|example| &example.turns).collect();
    let judged = |label| {
        turns.iter().filter(|turn| turn.judgment.as_ref().is_some_and(|it| it.label == label)).count()
    };
    assert_eq!([Label::Good, Label::Bad, Label::Ok].map(judged), [193, 196, 8]);
    let other = |clause: &str| {
        let names = turns.iter().filter_map(|turn| turn.judgment.as_ref()?.clause.as_deref());
        names.filter(|name| *name == clause).count()
    };
    assert_eq!((other("chain_of_command"), other("assume_objective_pov")), (13, 1));
    let comma = |turn: &&&spec::Turn| {
        let judgment = turn.judgment.as_ref();
        judgment.is_some_and(|it| source.slice(it.span).contains(&format!("{},", it.label)))
    };
    assert_eq!(turns.iter().filter(comma).count(), 3);
    let assistant = turns.iter().filter(|turn| turn.role == brightline::Role::Assistant).count();
    assert_eq!(assistant, 411);
    for turn in &turns {
        assert_eq!(source.slice(turn.span), turn.text, "a turn's span is its text");
    }
    let settings = turns.iter().filter(|turn| turn.text.contains("under_18: true")).count();
    assert_eq!(settings, 5);
}

#[test]
fn the_model_spec_keeps_its_footnotes_and_references() {
    let Some(source) = published("openai-model-spec.md") else { return };
    let document = spec::parse(&source).document;
    let footnotes: BTreeSet<_> = document
        .sections
        .iter()
        .flat_map(|section| &section.footnotes)
        .map(|note| note.id.as_str())
        .collect();
    assert_eq!(footnotes.len(), 116);
    assert!(footnotes.contains("zyu5"));
    let by_title =
        document.sections.iter().flat_map(|section| &section.references).filter(|it| it.by_title).count();
    let written = source.text().matches("[?](#").count();
    assert!(by_title > 20 && by_title <= written, "{by_title} of {written}");
    // Commentary is never the reason for a clause.
    assert!(document.sections.iter().all(|section| !section.rationale.contains("!!!")));
    assert!(!document.section("avoid_info_hazards").unwrap().rationale.is_empty());
}

#[test]
fn older_releases_call_the_highest_level_platform() {
    let Some(source) = published("openai-model-spec.md") else { return };
    let older = source.text().replace("authority=root", "authority=platform");
    let document = spec::parse(&Arc::new(Source::new("older.md", older))).document;
    assert_eq!(at_level(&document, Level::Root), 22);
}

#[test]
fn a_published_spec_compiles_as_it_is() {
    let Some(source) = published("openai-model-spec.md") else { return };
    let compiled = Compiler::without_files().text("openai-model-spec.md", source.text());
    let errors: Vec<_> = compiled.diagnostics.iter().filter(|it| it.severity() == Severity::Error).collect();
    assert!(errors.is_empty(), "{errors:?}");
    assert_eq!(
        compiled.report.count("unstated"),
        59,
        "nothing in it says how a clause is enforced, and that is listed"
    );
}

#[test]
fn the_constitution_has_headings_and_no_markup() {
    let Some(source) = published("claude-constitution.md") else { return };
    let parsed = spec::parse(&source);
    assert!(parsed.diagnostics.is_empty(), "{:?}", parsed.diagnostics);
    assert_eq!(parsed.document.sections.len(), 40);
    assert_eq!(parsed.document.clauses().count(), 0);
}

#[test]
fn shipped_policies_agree_with_the_documents_they_enforce() {
    for (policy, document, clauses) in
        [("model-spec", "openai-model-spec.md", 59), ("constitution", "claude-constitution.md", 26)]
    {
        let Some(source) = published(document) else { return };
        let compiled = Compiler::new().file(root().join("policies").join(policy).join("policy.md"));
        assert!(
            compiled.report.clauses.len() >= clauses,
            "{policy} has {} clauses",
            compiled.report.clauses.len()
        );
        let differences = compiled.against(&source).diagnostics;
        assert!(differences.is_empty(), "{policy}: {differences:?}");
    }
}

#[test]
fn a_change_under_a_clause_is_noticed() {
    let Some(source) = published("claude-constitution.md") else { return };
    let compiled = Compiler::new().file(root().join("policies/constitution/policy.md"));
    let changed = |text: String| {
        let source = Arc::new(Source::new("claude-constitution.md", text));
        let found = compiled.against(&source).diagnostics;
        found.into_iter().map(|it| it.code.as_str()).collect::<BTreeSet<_>>()
    };
    let moved = changed(format!("A new first line.\n{}", source.text()));
    assert_eq!(moved, BTreeSet::from(["BL0905"]), "text that moved is found where it stands now");
    let line = compiled
        .policy
        .as_ref()
        .unwrap()
        .clauses()
        .iter()
        .find(|it| it.source.fingerprint.is_some())
        .unwrap();
    let text = source.slice(source.line_span(line.source.line).unwrap()).to_string();
    let edited = changed(source.text().replace(text.trim_end(), &format!("{} Or not.", text.trim_end())));
    assert!(edited.contains("BL0904"), "{edited:?}");
}

#[test]
fn most_of_the_model_spec_is_enforced_and_the_rest_says_why() {
    let compiled = Compiler::new().file(root().join("policies/model-spec/policy.md"));
    let report = &compiled.report;
    assert_eq!(report.clauses.len(), 59);
    assert!(report.count("full") + report.count("partial") >= 30);
    assert_eq!(report.count("unstated"), 0);
    for clause in report.clauses.iter().filter(|clause| clause.coverage != "full") {
        assert!(
            clause.reason.as_ref().is_some_and(|reason| reason.len() > 20),
            "{} gives no reason",
            clause.id
        );
    }
}
