//! Pattern matching against an oracle that tries every pattern at every place, in the words of the language reference.

use brightline::compiler::Compiler;
use brightline::{Guard, Input, Verdict};
use brightline_tests::oracle::{Node, PIECES, Pattern, Text, apart};
use proptest::prelude::*;
use proptest::sample::select;
use std::collections::BTreeSet;

fn pieces(count: std::ops::Range<usize>) -> impl Strategy<Value = Text> {
    proptest::collection::vec(0..PIECES.len(), count).prop_map(|pieces| Text::new(&pieces))
}

fn literal() -> impl Strategy<Value = Pattern> {
    (any::<bool>(), pieces(1..5), any::<bool>())
        .prop_map(|(open_start, text, open_end)| Pattern::Literal { open_start, text, open_end })
        .prop_filter(
            "three bytes",
            |pattern| matches!(pattern, Pattern::Literal { text, .. } if text.normal.trim().len() >= 3),
        )
}

const PARTS: [&str; 9] = ["ka", "ki", "ku", "ka ki", "kak", "-", "_", "2", " "];

/// `bounded` expressions say what every byte of a match is, so they cannot match what is not in the alphabet.
fn regex(bounded: bool) -> impl Strategy<Value = Pattern> {
    let part = || select(&PARTS[..]);
    let node = prop_oneof![
        3 => part().prop_map(Node::Text),
        1 => Just(Node::Class),
        1 => (1usize..4).prop_map(move |most| if bounded { Node::Class } else { Node::Any(most) }),
        1 => part().prop_map(Node::Optional),
        1 => proptest::collection::vec(select(&PARTS[..8]), 2..4).prop_map(Node::Either),
        1 => Just(Node::Bound),
    ];
    proptest::collection::vec(node, 1..6)
        .prop_map(Pattern::Regex)
        .prop_filter("three bytes, and no two spaces, which is an error", |pattern| {
            let long = matches!(pattern, Pattern::Regex(nodes) if nodes.iter().map(Node::shortest).sum::<usize>() >= 3);
            long && !pattern.written().contains("  ")
        })
}

fn patterns(bounded: bool) -> impl Strategy<Value = Vec<Pattern>> {
    proptest::collection::vec(prop_oneof![2 => literal(), 1 => regex(bounded)], 1..5)
}

/// A policy with a clause for each condition over the sets `s0`, `s1`, …; clause number n is `c<n>`.
fn guard(sets: &[&[Pattern]], conditions: &[String]) -> Guard {
    let mut text = String::from("# Sets\n\n~~~patterns\n");
    for (nth, set) in sets.iter().enumerate() {
        let written: Vec<String> = set.iter().map(Pattern::written).collect();
        text.push_str(&format!("s{nth} = {}\n", serde_json::to_string(&written).unwrap()));
    }
    text.push_str("~~~\n");
    for (nth, condition) in conditions.iter().enumerate() {
        text.push_str(&format!(
            "\n## Clause {{#c{nth} authority=user}}\n\nBecause.\n\n~~~rule\non = [\"request\"]\nwhen = '{condition}'\n~~~\n"
        ));
    }
    let compiled = Compiler::without_files().text("p.md", text.clone());
    Guard::new(compiled.into_policy().unwrap_or_else(|error| panic!("{error}\n{text}"))).unwrap()
}

fn check(guard: &Guard, text: &str) -> Verdict {
    guard.check(&Input::request(text)).unwrap()
}

fn has(verdict: &Verdict, clause: usize) -> bool {
    let id = format!("c{clause}");
    verdict.findings.iter().any(|finding| verdict.clause_of(finding).unwrap().id == id)
}

/// The places of a clause's evidence, all of them in the normalized text.
fn places(verdict: &Verdict, clause: usize) -> Vec<(usize, usize)> {
    let id = format!("c{clause}");
    let of = verdict.findings.iter().filter(|finding| verdict.clause_of(finding).unwrap().id == id);
    let spans = of.flat_map(|finding| &finding.evidence).flat_map(|evidence| &evidence.spans);
    spans
        .map(|span| {
            assert_eq!(span.view, None, "the alphabet holds no disguise");
            (span.start as usize, span.end as usize)
        })
        .collect()
}

fn matching(sets: usize) -> Vec<String> {
    (0..sets).map(|nth| format!("match(\"s{nth}\")")).collect()
}

proptest! {
    /// A literal is found wherever it stands. An expression is found at every place of a search from left to right, and
    /// nowhere where it does not match; places inside of a longer match may be listed as well.
    #[test]
    fn a_set_matches_where_the_oracle_says(sets in proptest::collection::vec(patterns(false), 1..4), text in pieces(0..24)) {
        let borrowed: Vec<&[Pattern]> = sets.iter().map(Vec::as_slice).collect();
        let verdict = check(&guard(&borrowed, &matching(sets.len())), &text.original);
        for (nth, set) in sets.iter().enumerate() {
            let all: BTreeSet<_> =
                set.iter().flat_map(|pattern| pattern.matches(&text)).map(|found| text.place(found)).collect();
            let certain: BTreeSet<_> = set
                .iter()
                .flat_map(|pattern| {
                    let matches = pattern.matches(&text);
                    if pattern.is_literal() { matches } else { apart(matches) }
                })
                .map(|found| text.place(found))
                .collect();
            prop_assert_eq!(has(&verdict, nth), !all.is_empty(), "s{}", nth);
            let found = places(&verdict, nth);
            prop_assert!(found.is_sorted());
            let found_set: BTreeSet<_> = found.iter().copied().collect();
            prop_assert_eq!(found_set.len(), found.len(), "a place is listed twice");
            prop_assert!(found_set.is_subset(&all), "s{}: {:?} of {:?}", nth, found, all);
            let reach = if found.len() < 32 { usize::MAX } else { found[31].0 };
            let missed: Vec<_> =
                certain.iter().filter(|place| place.0 < reach && !found_set.contains(place)).collect();
            prop_assert!(missed.is_empty(), "s{}: {:?} are missing in {:?}", nth, missed, found);
        }
    }

    /// `near` wants two matches, one of each set; `count` counts what does not overlap.
    #[test]
    fn near_and_count_follow_from_the_matches(
        left in proptest::collection::vec(literal(), 1..4),
        right in proptest::collection::vec(literal(), 1..4),
        shared in proptest::option::of(literal()),
        gap in 0usize..12,
        wanted in 1usize..5,
        text in pieces(0..24),
    ) {
        let with_shared = |set: &[Pattern]| set.iter().chain(&shared).cloned().collect::<Vec<_>>();
        let (left, right) = (with_shared(&left), with_shared(&right));
        let conditions = [
            format!("near(\"s0\", \"s1\", {gap})"),
            format!("near(\"s1\", \"s0\", {gap})"),
            format!("count(\"s0\") >= {wanted}"),
            format!("count(\"s0\") == {wanted}"),
        ];
        let verdict = check(&guard(&[&left, &right], &conditions), &text.original);
        // The same literal in both sets is one pattern, and its match is one match.
        let named = |set: &[Pattern]| -> BTreeSet<((usize, usize), String)> {
            let of = |pattern: &Pattern| match pattern {
                Pattern::Literal { open_start, text, open_end } => {
                    format!("{open_start} {} {open_end}", text.normal.trim())
                }
                Pattern::Regex(_) => unreachable!("literals only"),
            };
            set.iter().flat_map(|it| it.matches(&text).into_iter().map(|found| (found, of(it)))).collect()
        };
        let (of_left, of_right) = (named(&left), named(&right));
        let mut pairs = BTreeSet::new();
        for a in &of_left {
            for b in of_right.iter().filter(|b| a != *b) {
                let between = a.0.0.max(b.0.0).saturating_sub(a.0.1.min(b.0.1));
                let overlap = a.0.0 < b.0.1 && b.0.0 < a.0.1;
                if overlap || between <= gap {
                    pairs.extend([text.place(a.0), text.place(b.0)]);
                }
            }
        }
        for clause in [0, 1] {
            prop_assert_eq!(has(&verdict, clause), !pairs.is_empty(), "{:?} {:?}", of_left, of_right);
            let found: BTreeSet<_> = places(&verdict, clause).into_iter().collect();
            prop_assert!(found.is_subset(&pairs), "{:?} of {:?}", found, pairs);
        }
        let count = apart(of_left.iter().map(|found| found.0).collect()).len();
        prop_assert_eq!((has(&verdict, 2), has(&verdict, 3)), (count >= wanted, count == wanted), "{}", count);
    }

    #[test]
    fn a_finding_does_not_depend_on_other_patterns(sets in proptest::collection::vec(patterns(false), 2..5), text in pieces(0..24)) {
        let borrowed: Vec<&[Pattern]> = sets.iter().map(Vec::as_slice).collect();
        let together = check(&guard(&borrowed, &matching(sets.len())), &text.original);
        for (nth, set) in borrowed.iter().enumerate() {
            let alone = check(&guard(&[set], &matching(1)), &text.original);
            prop_assert_eq!(has(&alone, 0), has(&together, nth));
            prop_assert_eq!(places(&alone, 0), places(&together, nth));
        }
    }

    /// Whatever stands before and after, behind a sign that no pattern holds.
    #[test]
    fn a_finding_does_not_depend_on_its_place(
        set in patterns(true),
        text in pieces(1..24),
        before in "[xyz ,.]{0,300}",
        after in "[xyz ,.]{0,100}",
    ) {
        let guard = guard(&[&set], &matching(1));
        let alone = check(&guard, &format!("|{}|", text.original));
        let long = check(&guard, &format!("{before}|{}|{after}", text.original));
        let moved: Vec<_> =
            places(&alone, 0).into_iter().map(|(start, end)| (start + before.len(), end + before.len())).collect();
        prop_assert_eq!(moved, places(&long, 0));
    }
}

/// An expression that is tried very often is run over the rest of the text instead, and finds the same.
#[test]
fn many_matches_are_all_counted() {
    const TIMES: usize = 5000;
    let nodes = vec![Node::Bound, Node::Text("kak"), Node::Either(vec!["-", "_"]), Node::Text("ki")];
    let set = [Pattern::Regex(nodes)];
    let conditions = [format!("count(\"s0\") == {TIMES}"), format!("count(\"s0\") > {TIMES}")];
    let guard = guard(&[&set], &conditions);
    for every in ["kak-ki ", "kakkak kak-ki ", "Kak_ki, kak ki. "] {
        let verdict = check(&guard, &every.repeat(TIMES));
        assert_eq!((has(&verdict, 0), has(&verdict, 1)), (true, false), "{every}");
        assert_eq!(places(&verdict, 0).len(), 32);
    }
}

fn literals<const N: usize>(written: [&'static str; N]) -> [Pattern; N] {
    written.map(|written| {
        let mut text = Text::default();
        text.push((written, written));
        Pattern::Literal { open_start: false, text, open_end: false }
    })
}

/// Beside `skill`, `kill` still wants a word of its own, and is found where it stands.
#[test]
fn a_pattern_that_ends_another_begins_where_it_begins() {
    let guard = guard(&[&literals(["kill"]), &literals(["skill", "to kill"])], &matching(2));
    let verdict = check(&guard, "a skill");
    assert_eq!((places(&verdict, 0), places(&verdict, 1)), (vec![], vec![(2, 7)]));
    let verdict = check(&guard, "how to kill");
    assert_eq!((places(&verdict, 0), places(&verdict, 1)), (vec![(7, 11)], vec![(4, 11)]));
}

/// What is in both sets of `near` is a partner of what is in one of them.
#[test]
fn near_sees_past_a_match_of_both_sets() {
    let condition = ["near(\"s0\", \"s1\", 5)".to_string()];
    let guard = guard(&[&literals(["lock", "pick"]), &literals(["pick"])], &condition);
    assert_eq!(places(&check(&guard, "a lock pick"), 0), [(2, 6), (7, 11)]);
    assert_eq!(places(&check(&guard, "pick a lock"), 0), [(0, 4), (7, 11)]);
    assert!(!has(&check(&guard, "pick one"), 0), "one match is no pair");
}
