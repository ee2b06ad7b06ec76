//! Random conditions against a direct interpreter in three-valued logic: what the compiler lowers, what its search for
//! contradictions claims, what the engine finds and what it lists as undecided.

use brightline::compiler::Compiler;
use brightline::diagnostic::{Code, Severity};
use brightline::{Guard, Input};
use brightline_tests::interpreter::{Atom, EMAIL, Expr, MODELS, OPERATORS, Text, Word, World, and, rule};
use proptest::prelude::*;
use proptest::sample::select;

fn text() -> impl Strategy<Value = Text> {
    let words = select(vec!["alpha", "beta", "gamma", "lorem", EMAIL]);
    proptest::collection::vec((words, proptest::bool::weighted(0.2)), 0..5).prop_map(|pieces| {
        let (mut text, mut words) = (String::new(), Vec::new());
        for (word, foreign) in pieces {
            text.push_str(if foreign { "<untrusted>" } else { "" });
            words.push(Word { word, start: text.len(), foreign });
            text.push_str(word);
            text.push_str(if foreign { "</untrusted> " } else { " " });
        }
        Text { text, words }
    })
}

fn world(surface: &'static str) -> impl Strategy<Value = World> {
    let tags = proptest::sample::subsequence(vec!["x", "y"], 0..=2);
    let signal = |name| (-2i8..3).prop_map(move |value| (name, f64::from(value) + 0.5));
    let signals = proptest::option::of(signal("s")).prop_map(|signal| signal.into_iter().collect());
    (proptest::option::of(text()), proptest::option::of(text()), text(), tags, signals).prop_map(
        move |(request, response, judged, tags, signals)| World {
            surface,
            request,
            response,
            judged,
            tags,
            signals,
            unquoted: false,
        },
    )
}

fn expr() -> impl Strategy<Value = Expr> {
    let place = || select(vec!["", "", "request.", "response.", "untrusted.", "trusted."]);
    let whole = select(vec!["", "request.", "response."]);
    let set = || select(vec!["a", "b", "c"]);
    let operator = || select(&OPERATORS[..]);
    let atom = prop_oneof![
        4 => (place(), set()).prop_map(|(place, set)| Atom::Match(place, set)),
        3 => (place(), set(), operator(), 0u8..3).prop_map(|(p, set, op, n)| Atom::Count(p, set, op, n)),
        1 => (place(), select(vec![0u8, 1, 7, 30])).prop_map(|(place, gap)| Atom::Near(place, gap)),
        1 => place().prop_map(Atom::Email),
        2 => (whole, operator(), 0u8..40).prop_map(|(place, op, n)| Atom::Length(place, op, n)),
        1 => select(vec!["x", "y"]).prop_map(Atom::Tag),
        2 => (operator(), 0i8..2).prop_map(|(op, n)| Atom::Signal("s", op, n)),
        1 => Just(Atom::Untrusted),
        3 => (0..MODELS.len()).prop_map(Atom::Model),
    ];
    let leaf = prop_oneof![
        12 => (atom, any::<bool>()).prop_map(|(atom, flipped)| Expr::Atom(atom, flipped)),
        1 => any::<bool>().prop_map(Expr::Const),
    ];
    leaf.prop_recursive(4, 12, 3, |inner| {
        let inner = || inner.clone().prop_map(Box::new);
        prop_oneof![
            2 => inner().prop_map(Expr::Not),
            3 => (inner(), inner()).prop_map(|(left, right)| Expr::And(left, right)),
            3 => (inner(), inner()).prop_map(|(left, right)| Expr::Or(left, right)),
            1 => (inner(), inner(), inner()).prop_map(|(test, yes, no)| Expr::If(test, yes, no)),
            1 => (inner(), any::<bool>()).prop_map(|(inner, value)| Expr::Is(inner, value)),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    /// A condition that the compiler refuses because it always or never holds does so in every world.
    #[test]
    fn a_rule_matches_where_the_interpreter_says(
        (surface, worlds) in select(vec!["request", "response", "tool_result"])
            .prop_flat_map(|surface| (Just(surface), proptest::collection::vec(world(surface), 8))),
        when in expr(),
        unless in proptest::option::of(expr()),
        hate in select(vec![0.1, 0.4, 0.9]),
        others in any::<[bool; 3]>(),
    ) {
        let models = [hate > 0.5, hate <= 0.25, others[0], others[1], others[2]];
        let excuse = unless.as_ref().map_or(String::new(), |it| format!("unless = '{}'\n", it.written()));
        let text = format!(
            "## C {{#c authority=user}}\n\nBecause.\n\n~~~rule\non = [\"{surface}\"]\nwhen = '{}'\n{excuse}~~~\n\n\
             ~~~patterns\na = [\"alpha\"]\nb = [\"beta\", \"alpha\"]\nc = [\"gamma\"]\n~~~\n\n\
             ~~~examples\n# none\n~~~\n",
            when.written()
        );
        let value = |world: &World, models| {
            let excused = unless.as_ref().map_or(Some(false), |unless| unless.value(world, models));
            and(when.value(world, models), excused.map(|excused| !excused))
        };
        let compiled = Compiler::without_files().text("p.md", text.clone());
        for diagnostic in compiled.diagnostics.iter().filter(|it| it.severity() == Severity::Error) {
            let always = match diagnostic.code {
                Code::ConditionAlwaysTrue => true,
                Code::ConditionAlwaysFalse | Code::ConditionWrongSurface | Code::ClauseUnreachable => false,
                _ => return Err(TestCaseError::fail(format!("{diagnostic}\n{text}"))),
            };
            for world in &worlds {
                let refuted = value(world, Some(models)) != Some(always);
                prop_assert!(!refuted, "{}\n{}\n{:?}", diagnostic, text, world);
            }
        }
        let Some(policy) = compiled.policy else { return Ok(()) };
        let guard = Guard::new(policy).unwrap();
        for world in &worlds {
            let verdict = guard.check(&world.input()).unwrap();
            let expected = rule(&when, unless.as_ref(), world, None);
            prop_assert_eq!(verdict.findings.len(), usize::from(expected == Some(true)), "{}\n{:?}", text, world);
            let wire = serde_json::to_value(&verdict).unwrap();
            let listed = match expected {
                None => serde_json::json!([{"reason": "model_not_loaded", "clauses": ["c"]}]),
                Some(_) => serde_json::json!([]),
            };
            prop_assert_eq!(&wire["degraded"], &listed, "{}\n{:?}", text, world);
        }
    }
}

/// What is not there makes its atom false, and a count of it 0: the compiler knows that neither always holds.
#[test]
fn conditions_on_what_is_not_there_compile() {
    let compile = |on: &str, rule: &str| {
        let text = format!(
            "## C {{#c authority=user}}\n\nBecause.\n\n~~~rule\non = [\"{on}\"]\n{rule}\n~~~\n\n\
             ~~~patterns\na = [\"alpha\"]\n~~~\n"
        );
        Compiler::without_files().text("p.md", text)
    };
    for (on, when) in [
        ("request", "untrusted.count(\"a\") == 0 && !untrusted && tag(\"x\")"),
        ("response", "untrusted.count(\"a\") < 1 && tag(\"x\")"),
        ("response", "trusted.count(\"a\") <= 2 && tag(\"x\")"),
        ("response", "request.length() < 5 || request.length() >= 5"),
    ] {
        let policy = compile(on, &format!("when = '{when}'")).into_policy().unwrap();
        let input = if on == "request" { Input::request("beta") } else { Input::exchange("alpha", "beta") };
        let verdict = Guard::new(policy).unwrap().check(&Input { tags: vec!["x".into()], ..input }).unwrap();
        assert_eq!(verdict.findings.len(), 1, "{when}");
    }
    // A rule that never holds is refused, whatever its excuse rests on.
    let refused = compile("request", "when = 'match(\"a\") && false'\nunless = 'label(\"hate\") > 0.5'");
    assert!(refused.diagnostics.iter().any(|it| it.code == Code::ConditionAlwaysFalse));
}
