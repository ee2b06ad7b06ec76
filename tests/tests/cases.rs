//! The shared corpus through the library.

use brightline::wire::{self, Case};
use brightline::{Guard, GuardOptions, Policy};
use brightline_tests::root;
use std::collections::{BTreeSet, HashMap};

fn corpus() -> Vec<(String, Vec<u8>)> {
    let mut out = Vec::new();
    let mut files: Vec<_> =
        std::fs::read_dir(root().join("tests/cases")).unwrap().map(|it| it.unwrap().path()).collect();
    files.sort();
    for path in files {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let bytes = std::fs::read(&path).unwrap();
        for (index, line) in
            bytes.split(|byte| *byte == b'\n').enumerate().filter(|(_, line)| !line.is_empty())
        {
            out.push((format!("{name}:{}", index + 1), line.to_vec()));
        }
    }
    out
}

#[test]
fn every_case_gets_the_verdict_it_expects() {
    let mut guards: HashMap<String, Guard> = HashMap::new();
    let mut problems = Vec::new();
    for (place, line) in corpus() {
        let case = Case::parse(&line).unwrap_or_else(|error| panic!("{place}: {error}"));
        let name = case.policy.clone().unwrap_or_else(|| "default".to_string());
        let found = match &case.deployment {
            Some(settings) => {
                let options = GuardOptions { settings: settings.clone(), ..GuardOptions::default() };
                let guard =
                    Guard::with(Policy::load(&name).unwrap(), options).map_err(|error| error.to_string());
                case.problems(guard.as_ref().map_err(String::as_str), &line)
            }
            None => {
                let guard = guards
                    .entry(name)
                    .or_insert_with_key(|name| Guard::new(Policy::load(name).unwrap()).unwrap());
                case.problems(Ok(guard), &line)
            }
        };
        problems.extend(
            found
                .into_iter()
                .map(|problem| format!("{place} ({}): {problem}", case.why.as_deref().unwrap_or(""))),
        );
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn the_corpus_is_large_and_says_why() {
    let corpus = corpus();
    assert!(corpus.len() >= 150, "{} cases", corpus.len());
    let mut ids = BTreeSet::new();
    for (place, line) in &corpus {
        let case = Case::parse(line).unwrap();
        assert!(case.why.is_some_and(|why| why.len() > 10), "{place} does not say why it is there");
        let id = case.id.unwrap_or_else(|| panic!("{place} has no id"));
        assert!(ids.insert(id.clone()), "{place}: a second case `{id}`");
        let asserts =
            serde_json::from_slice::<serde_json::Value>(line).unwrap()["expect"].as_object().unwrap().len();
        assert!(asserts > 0, "{place} expects nothing");
    }
}

#[test]
fn a_verdict_on_the_wire_can_be_read_again() {
    let guard = Guard::new(Policy::load("default").unwrap()).unwrap();
    for (place, line) in corpus() {
        let Ok(input) = wire::parse(&line) else { continue };
        let verdict = guard.check(&input).unwrap();
        let value: serde_json::Value =
            serde_json::from_slice(&serde_json::to_vec(&verdict).unwrap()).unwrap();
        for field in ["action", "surface", "policy", "findings", "scanned", "degraded", "elapsed_us"] {
            assert!(value.get(field).is_some(), "{place} lacks `{field}`");
        }
    }
}
