//! The policy in force: exchanged whole, watched, and kept where the new one is refused.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use brightline::{Input, Verdict, artifact};
use brightline_http::ops::Role;
use brightline_http::ops::live::{Live, Reload, Source};
use brightline_http::ops::metrics::Metrics;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use support::{document, eventually, policy};

const FAST: Duration = Duration::from_millis(5);

fn open(source: Source) -> (Live, Arc<Metrics>) {
    let metrics = Arc::new(Metrics::new());
    (Live::open(source, Role::Live, FAST, metrics.clone()).unwrap(), metrics)
}

fn source(path: &Path) -> Source {
    Source::new(path.to_str().unwrap())
}

/// Puts a file in place of another, as editors and deployment tools do.
fn replace(path: &Path, text: &str) {
    let next = path.with_extension("next");
    fs::write(&next, text).unwrap();
    fs::rename(&next, path).unwrap();
}

fn hash(live: &Live) -> String {
    live.guard().guard.policy().hash().to_string()
}

fn clauses(verdict: &Verdict) -> Vec<&str> {
    verdict.findings.iter().map(|it| verdict.clause_of(it).unwrap().id.as_str()).collect()
}

#[test]
fn each_verdict_belongs_to_one_policy_while_policies_flip() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("policy.md");
    // Both policies find both words, under other names, so that a mixture of the two would show.
    let first =
        document("first", &[("first_tea", "darjeeling", "flag"), ("first_cake", "sachertorte", "block")]);
    let second =
        document("second", &[("second_cake", "sachertorte", "flag"), ("second_tea", "darjeeling", "block")]);
    fs::write(&path, &first).unwrap();
    let (live, _) = open(source(&path));
    let (stop, judged) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let loaded = live.guard();
                    let name = loaded.guard.policy().name().to_string();
                    for _ in 0..4 {
                        let verdict =
                            loaded.guard.check(&Input::request("darjeeling with sachertorte")).unwrap();
                        assert_eq!(verdict.policy().name(), name, "a request keeps its policy");
                        let expected = match name.as_str() {
                            "first" => ["first_cake", "first_tea"],
                            _ => ["second_tea", "second_cake"],
                        };
                        assert_eq!(clauses(&verdict), expected);
                        judged.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
        for flip in 0..20 {
            let before = live.guard().generation;
            replace(&path, if flip % 2 == 0 { &second } else { &first });
            eventually("the policy is exchanged", || live.guard().generation > before);
        }
        eventually("thousands were judged", || judged.load(Ordering::Relaxed) > 5_000);
        stop.store(true, Ordering::Relaxed);
    });
    assert_eq!(live.guard().generation, 20);
}

#[test]
fn a_policy_that_does_not_compile_is_refused_and_the_old_one_stays() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("policy.md");
    let good = document("house", &[("recipe", "sauce", "block")]);
    fs::write(&path, &good).unwrap();
    let (live, metrics) = open(source(&path));
    let before = hash(&live);

    replace(&path, &good.replace("authority=developer", "authority=emperor"));
    eventually("the change is refused", || live.refused().is_some());
    let refused = live.refused().unwrap();
    assert_eq!(refused.diagnostics.first().unwrap().code.as_str(), "BL0203", "{refused}");
    assert_eq!((hash(&live), live.guard().generation), (before.clone(), 0));
    let status = live.status();
    assert_eq!(status["refused"]["diagnostics"][0]["code"], "BL0203", "{status}");
    assert_eq!(status["policy"]["hash"], before.as_str());
    let numbers = metrics.encode();
    assert!(numbers.contains("brightline_reloads_total{role=\"live\",result=\"refused\"} 1"), "{numbers}");
    assert!(numbers.contains("brightline_policy_refused{role=\"live\"} 1"), "{numbers}");

    // The file is taken away, as some editors do for a moment, and then for good.
    fs::remove_file(&path).unwrap();
    eventually("its absence is noticed", || {
        live.refused().is_some_and(|it| it.to_string().contains("BL0002"))
    });
    assert_eq!(hash(&live), before);

    replace(&path, &good);
    eventually("the good policy is back", || live.refused().is_none());
    assert_eq!((hash(&live), live.guard().generation), (before, 0), "it is the one in force all along");
    assert!(metrics.encode().contains("brightline_policy_refused{role=\"live\"} 0"));
}

#[test]
fn nothing_is_served_with_a_policy_that_does_not_compile() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("policy.md");
    fs::write(&path, "## Title {#title authority=emperor}\n").unwrap();
    let metrics = Arc::new(Metrics::new());
    let error = Live::open(source(&path), Role::Live, FAST, metrics.clone()).err().unwrap();
    assert!(error.to_string().contains("BL0203"), "{error}");
    let absent = Source { models: Some(folder.path().join("models")), ..Source::new("default") };
    let error = Live::open(absent, Role::Live, FAST, metrics).err().unwrap();
    assert!(error.to_string().contains("models"), "{error}");
}

#[test]
fn what_a_policy_extends_is_watched_even_before_it_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let (path, base) = (folder.path().join("policy.md"), folder.path().join("base.md"));
    fs::write(&base, document("base", &[("tea", "darjeeling", "flag")])).unwrap();
    let main = document("main", &[("recipe", "sauce", "block")]);
    fs::write(&path, main.replace("version", "extends = [\"base.md\"]\nversion")).unwrap();
    let (live, _) = open(source(&path));
    let check =
        |live: &Live| clauses(&live.guard().guard.check(&Input::request("darjeeling")).unwrap()).len();
    assert_eq!(check(&live), 1);

    replace(&base, &document("base", &[("tea", "earl grey", "flag")]));
    eventually("the base is read again", || check(&live) == 0);

    replace(&path, &main.replace("version", "extends = [\"base.md\", \"more.md\"]\nversion"));
    eventually("the missing base is refused", || live.refused().is_some());
    fs::write(folder.path().join("more.md"), document("more", &[("tea2", "darjeeling", "flag")])).unwrap();
    eventually("it is there now", || live.refused().is_none() && check(&live) == 1);
}

#[test]
fn settings_are_watched_and_refused_like_a_policy() {
    let folder = tempfile::tempdir().unwrap();
    let (path, settings) = (folder.path().join("policy.md"), folder.path().join("settings.toml"));
    fs::write(&path, document("house", &[("recipe", "sauce", "block")])).unwrap();
    fs::write(&settings, "").unwrap();
    let (live, _) = open(Source { settings: Some(settings.clone()), ..source(&path) });
    let allowed = || live.guard().guard.check(&Input::request("the sauce")).unwrap().passes();
    assert!(!allowed());
    replace(&settings, "[operator]\nswitch = { recipe = \"off\" }\n");
    eventually("the switch is off", allowed);
    replace(&settings, "[operator]\nswitch = { nothing = \"off\" }\n");
    eventually("an unknown clause is refused", || live.refused().is_some());
    assert!(allowed(), "the settings of before stay");
    assert!(live.refused().unwrap().reason.contains("nothing"));
}

#[test]
fn a_signal_reloads_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("policy.blp");
    let write =
        |word| fs::write(&path, artifact::encode(&policy("house", &[("recipe", word, "block")]))).unwrap();
    write("sauce");
    let metrics = Arc::new(Metrics::new());
    let hour = Duration::from_secs(3_600);
    let live = Live::open(source(&path), Role::Live, hour, metrics.clone()).unwrap();
    assert!(matches!(live.reload(), Some(Reload::Unchanged)));
    write("gravy");
    live.hang_up();
    eventually("the policy is exchanged", || live.guard().generation == 1);
    fs::write(&path, b"BLP").unwrap();
    let Some(Reload::Refused(refused)) = live.reload() else { panic!("half an artifact was taken") };
    assert!(refused.reason.contains("policy.blp"), "{refused}");
    assert_eq!(live.guard().generation, 1);
    let numbers = metrics.encode();
    for (result, count) in [("unchanged", 1), ("exchanged", 1), ("refused", 1)] {
        let line = format!("brightline_reloads_total{{role=\"live\",result=\"{result}\"}} {count}");
        assert!(numbers.contains(&line), "{numbers}");
    }
}

#[test]
fn a_guard_that_was_given_never_changes() {
    let live = support::live("house", &[("recipe", "sauce", "block")]);
    assert!(live.reload().is_none());
    live.hang_up();
    assert_eq!(live.status()["generation"], 0);
}
