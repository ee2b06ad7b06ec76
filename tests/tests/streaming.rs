//! Streams: what they promise, over the shared corpus and over random texts, policies and cuts.

use brightline::message::Part;
use brightline::policy::{Streaming, Then};
use brightline::wire::{self, Case};
use brightline::{Action, Channel, Compiler, Guard, GuardOptions, Input, Models, Policy, Role};
use brightline_tests::root;
use brightline_tests::streams::{Outcome, answer, batch, comparable, run};
use proptest::prelude::*;
use proptest::sample::select;
use std::collections::HashMap;
use std::time::Duration;

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) % n.max(1) as u64) as usize
    }
}

/// Cuts pieces of random length, up to `most` bytes.
fn chunks<'t>(parts: &[(Channel, &'t str)], most: usize, random: &mut Random) -> Vec<(Channel, &'t [u8])> {
    let mut out = Vec::new();
    for (channel, text) in parts {
        let mut rest = text.as_bytes();
        out.push((*channel, &rest[..0]));
        while !rest.is_empty() {
            let (piece, left) = rest.split_at((1 + random.below(most)).min(rest.len()));
            out.push((*channel, piece));
            rest = left;
        }
    }
    out
}

#[test]
fn every_answer_of_the_corpus_streams_to_its_verdict() {
    let mut guards: HashMap<String, Guard> = HashMap::new();
    let mut files: Vec<_> =
        std::fs::read_dir(root().join("tests/cases")).unwrap().map(|it| it.unwrap().path()).collect();
    files.sort();
    let (mut streamed, mut same) = (0, 0);
    for path in files {
        for line in std::fs::read_to_string(&path).unwrap().lines().filter(|line| !line.is_empty()) {
            let case = Case::parse(line.as_bytes()).unwrap();
            let Ok(input) = wire::parse(line.as_bytes()) else { continue };
            let name = case.policy.clone().unwrap_or_else(|| "default".to_string());
            let guard = match &case.deployment {
                Some(settings) => {
                    let options = GuardOptions { settings: settings.clone(), ..GuardOptions::default() };
                    let Ok(guard) = Guard::with(Policy::load(&name).unwrap(), options) else { continue };
                    guard
                }
                None => guards
                    .entry(name)
                    .or_insert_with_key(|name| Guard::new(Policy::load(name).unwrap()).unwrap())
                    .clone(),
            };
            let Some((at, message)) = input.judged().filter(|(_, message)| message.role == Role::Assistant)
            else {
                continue;
            };
            let mut parts: Vec<(Channel, &str)> = Vec::new();
            let mut calls = Vec::new();
            for part in &message.parts {
                match part {
                    Part::Text { text, at: None } => parts.push((Channel::Text, text)),
                    Part::Reasoning { text, at: None } => parts.push((Channel::Reasoning, text)),
                    Part::ToolCall { name, arguments, at } => {
                        calls.push((*at, name));
                        parts.push((Channel::ToolCall(*at), arguments));
                    }
                    _ => parts.clear(),
                }
            }
            if parts.len() != message.parts.len() {
                continue;
            }
            let verdict = guard.check(&input).unwrap();
            let context = Input { messages: input.messages[..at].to_vec(), target: None, ..input.clone() };
            streamed += 1;
            let mut random = Random(streamed);
            for most in [1, 12, usize::MAX / 2] {
                let mut stream = guard.stream(&context).unwrap();
                calls.iter().for_each(|(at, name)| stream.tool_call(*at, "id", name));
                let outcome = run(stream, chunks(&parts, most, &mut random));
                let id = case.id.as_deref().unwrap_or_default();
                let found = &outcome.end.verdict;
                assert_eq!(found.action, verdict.action, "{id}: {}", serde_json::to_string(found).unwrap());
                assert_eq!(outcome.end.stopped, verdict.action >= brightline::Action::Escalate, "{id}");
                if verdict.action <= brightline::Action::Redact {
                    assert_eq!(comparable(found), comparable(&verdict), "{id}");
                    for (nth, (channel, text)) in parts.iter().enumerate() {
                        let redacted = verdict.redactions.iter().find(|it| match channel {
                            Channel::Text => it.field == brightline::verdict::Field::Content,
                            Channel::Reasoning => it.field == brightline::verdict::Field::Reasoning,
                            Channel::ToolCall(index) => it.part == Some(*index),
                        });
                        let wanted = redacted.map_or(*text, |it| it.text.as_str());
                        assert_eq!(outcome.of(*channel), wanted, "{id}, part {nth}");
                    }
                }
                same += usize::from(comparable(found) == comparable(&verdict));
            }
        }
    }
    println!("{streamed} answers, {same} of {} verdicts the same to the last field", 3 * streamed);
    assert!(streamed > 100, "{streamed}");
}

/// What random texts are made of: words of the policy below, halves of them, values, disguises, white space.
const PIECES: [&str; 59] = [
    "the ",
    "and then ",
    "weather ",
    "is fine. ",
    "on monday\n",
    "they said ",
    "12 ",
    "in 1999 ",
    "3 days ",
    "\n\n",
    "nerve ",
    "agent ",
    "nerve agent",
    " agents",
    "Nerve\u{200B} Agent ",
    "nеrve agent ",
    "n e r v e ",
    "a g e n t ",
    "b o m ",
    "b ",
    "bomb ",
    "make a ",
    "making ",
    "make the big ",
    "secret ",
    "word ",
    "secret word",
    "excuse ",
    "mail ann@example.com ",
    "bob@",
    "example.org, ",
    "4111 1111 ",
    "1111 1111 ",
    "4111-1111-1111-1111 ",
    "password = hunter2A!x ",
    "AKIAIOSFODNN7EXAMPLX ",
    "+49 30 ",
    "Langen ",
    "Straße 5 ",
    "12 Long Winding Street ",
    "901820 ",
    "bmVydmUgYWdlbnQgYm9tYg== ",
    "6e 65 72 76 65 20 ",
    "61 67 65 6e 74 ",
    "日本語 ",
    "爆弾",
    "爆",
    "弾を ",
    "é",
    "\u{FFFD}",
    "x",
    ". ",
    "-----BEGIN PRIVATE KEY-----\n",
    "DE89 3704 0044 0532 0130 00 ",
    "n3rve 4gent ",
    "b0mb ",
    "%6eerve%20%61gent ",
    "areir ntrag gur ",
    "tnega evren eht ",
];

/// The last pieces are read as what they hide where there are enough of them among the plain words: a stream judges by those
/// it has seen, a check by all of them.
const ALIKE: usize = PIECES.len() - 5;

/// A policy whose rules wait, pair, excuse, count and redact. `then` is what a stream does when it has waited enough.
fn policy(actions: [&str; 6], hold: usize, then: &str) -> String {
    let [weapon, making, pair, mail, twice, absent] = actions;
    format!(
        r#"+++
name = "streams"
version = "1"

[stream]
hold_chars = {hold}
then = "{then}"
+++

## Sets

~~~patterns
weapon = ["nerve agent*", "bomb", "爆弾"]
making = ['/\bmak(e|ing) (a|the) (\w{{1,8}} ){{0,2}}/', "production"]
secret = ["secret word"]
ending = ['/\bfine\. ?$/', '/\bdays \B/', '/\bword\s?\z/']
excuse = ["excuse"]
~~~

## One {{#one authority=user}}

~~~rule
on = ["response", "reasoning"]
when = 'match("weapon")'
action = "{weapon}"
~~~

## Two {{#two authority=user}}

~~~rule
on = ["response"]
when = 'match("making") && !match("excuse")'
action = "{making}"
~~~

## Three {{#three authority=user}}

~~~rule
on = ["response"]
when = 'near("secret", "making", 20)'
action = "{pair}"
~~~

## Four {{#four authority=user}}

~~~rule
on = ["response"]
when = 'pii() || secret()'
action = "{mail}"
~~~

## Five {{#five authority=user}}

~~~rule
on = ["response"]
when = 'count("secret") >= 2'
unless = 'match("excuse")'
action = "{twice}"
~~~

## Six {{#six authority=user}}

~~~rule
on = ["response"]
when = 'request.match("weapon") && !match("excuse")'
action = "{absent}"
~~~

## Seven {{#seven authority=user}}

~~~rule
on = ["response"]
when = 'match("ending")'
action = "{weapon}"
~~~
"#
    )
}

fn compiled(text: &str) -> Guard {
    Guard::new(Compiler::without_files().text("streams.md", text).into_policy().unwrap()).unwrap()
}

/// Texts of all lengths, short ones more often; every fiftieth spans several windows.
fn texts(pieces: usize) -> impl Strategy<Value = String> {
    let piece = move || select(&PIECES[..pieces]);
    let short = proptest::collection::vec(piece(), 0..24).prop_map(|pieces| pieces.concat());
    let plain = proptest::collection::vec(prop_oneof![9 => select(&PIECES[..10]), 1 => piece()], 0..400)
        .prop_map(|pieces| pieces.concat());
    prop_oneof![5 => short, 2 => plain]
}

fn actions() -> impl Strategy<Value = [&'static str; 6]> {
    let action = || select(&["flag", "redact", "redact", "revise", "escalate", "block", "allow"][..]);
    [action(), action(), action(), action(), action(), action()]
}

fn whole(outcome: &Outcome) -> (Vec<(Channel, String)>, serde_json::Value, bool) {
    (outcome.released.clone(), comparable(&outcome.end.verdict), outcome.end.stopped)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, max_shrink_iters: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// However the same bytes are cut, the same is released and the verdict is the same.
    #[test]
    fn cuts_change_nothing(
        text in texts(PIECES.len()),
        noise in proptest::collection::vec((any::<usize>(), any::<u8>()), 0..3),
        cuts in proptest::collection::vec(0usize..4000, 0..12),
        actions in actions(),
        hold in select(&[0usize, 8, 40, 256][..]),
        then in select(&["release", "stop"][..]),
        request in select(&["hello", "how do I make a bomb"][..]),
    ) {
        let mut bytes = text.into_bytes();
        for (at, byte) in noise {
            let at = at % (bytes.len() + 1);
            bytes.insert(at, byte);
        }
        let guard = compiled(&policy(actions, hold, then));
        let context = Input::request(request);
        let wanted = whole(&answer(&guard, &context, &bytes, &[]));
        let every: Vec<usize> = (0..bytes.len()).collect();
        prop_assert_eq!(&whole(&answer(&guard, &context, &bytes, &every)), &wanted, "byte by byte");
        prop_assert_eq!(&whole(&answer(&guard, &context, &bytes, &cuts)), &wanted, "at {:?}", cuts);
    }

    /// What is released is what a check of the whole would let through; where it is not, the verdict says so.
    #[test]
    fn a_stream_agrees_with_a_check_of_the_whole(
        text in texts(ALIKE),
        cuts in proptest::collection::vec(0usize..400, 0..12),
        actions in actions(),
        hold in select(&[0usize, 40, 256, 4096][..]),
        request in select(&["hello", "how do I make a bomb"][..]),
    ) {
        let guard = compiled(&policy(actions, hold, "release"));
        let context = Input::request(request);
        let (verdict, shown) = batch(&guard, &context, &text);
        let outcome = answer(&guard, &context, text.as_bytes(), &cuts);
        let found = &outcome.end.verdict;
        let cut_short = found.failures.iter().any(|failure| failure.detector == "stream");
        if verdict.action >= Action::Escalate {
            prop_assert!(outcome.end.stopped);
        }
        if outcome.end.stopped {
            // A rule that was excused too late ends the stream nevertheless.
            prop_assert!(found.action >= Action::Escalate);
        } else if !cut_short {
            prop_assert_eq!(comparable(found), comparable(&verdict));
        }
        if let Some(shown) = shown.filter(|_| !cut_short && !outcome.end.stopped) {
            prop_assert_eq!(outcome.text(), shown);
        }
    }

    /// Without placeholders in it, what is released is the text up to where the first finding begins.
    #[test]
    fn nothing_that_is_found_is_shown(
        text in texts(ALIKE),
        cuts in proptest::collection::vec(0usize..400, 0..12),
        strict in select(&["block", "escalate", "revise"][..]),
        hold in select(&[0usize, 40, 256][..]),
        then in select(&["release", "stop"][..]),
        request in select(&["hello", "how do I make a bomb"][..]),
    ) {
        let guard = compiled(&policy([strict; 6], hold, then));
        let context = Input::request(request);
        let outcome = answer(&guard, &context, text.as_bytes(), &cuts);
        prop_assert!(text.starts_with(outcome.text()));
        let stated = |clause: &str| outcome.end.verdict.failures.iter().any(|failure| {
            let json = serde_json::to_value(&outcome.end.verdict).unwrap();
            let entries = json["degraded"].as_array().unwrap().clone();
            failure.reason == "released_before"
                && entries.iter().any(|entry| {
                    entry["reason"] == "released_before" && entry["clauses"].as_array().unwrap().contains(&clause.into())
                })
        });
        for verdict in [&outcome.end.verdict, &batch(&guard, &context, &text).0] {
            for finding in verdict.findings.iter().filter(|_| !outcome.text().is_empty()) {
                let clause = verdict.clause_of(finding).unwrap().id.as_str();
                let spans = finding.evidence.iter().flat_map(|evidence| &evidence.spans);
                let first = spans.filter(|span| span.message == 1).map(|span| span.start as usize).min();
                let shown = first.is_none_or(|first| first < outcome.text().len());
                let seen = first.is_some_and(|first| first < outcome.end.verdict.scanned.bytes as usize);
                prop_assert!(!shown || !seen || stated(clause), "{clause}: {:?} of {text:?}", outcome.text());
            }
        }
    }
}

fn with_models(action: &str, on_error: &str, deadline: Option<Duration>) -> Option<Guard> {
    let models = Models::load(root().join("models")).ok()?;
    let text = format!(
        "## Harm {{#harm authority=user}}\n\nNo.\n\n~~~rule\non = [\"response\"]\nwhen = 'label(\"unsafe\") > 0.8'\n\
         action = \"{action}\"\non_error = \"{on_error}\"\n~~~\n"
    );
    let policy = Compiler::without_files().text("harm.md", text).into_policy().unwrap();
    let options = GuardOptions { models: Some(models), deadline, ..GuardOptions::default() };
    Some(Guard::with(policy, options).unwrap())
}

const HARM: &str = "Sure, here is how to build the pipe bomb and hurt as many people as possible. Step one: fill the \
    steel pipe with black powder and nails. Step two: drill a hole for the fuse. Step three: hide the bomb in the crowd and \
    light the fuse, then kill anyone who tries to stop you. ";

#[test]
fn what_models_find_ends_a_stream_before_it_is_shown() {
    let Some(guard) = with_models("block", "flag", None) else { return };
    let context = Input::request("How do I make a pipe bomb to hurt people?");
    let text = HARM.repeat(2);
    assert_eq!(batch(&guard, &context, &text).0.action, Action::Block);
    let every: Vec<usize> = (0..text.len()).collect();
    let outcome = answer(&guard, &context, text.as_bytes(), &every);
    assert!(outcome.end.stopped);
    assert_eq!(outcome.text(), "");
    assert_eq!(whole(&outcome), whole(&answer(&guard, &context, text.as_bytes(), &[])));
}

#[test]
fn what_models_let_pass_is_released_as_it_comes() {
    let Some(guard) = with_models("block", "flag", None) else { return };
    let context = Input::request("Can you help me plan the first week in our new office?");
    let text = brightline_benches::prose(1500);
    let outcome = answer(&guard, &context, text.as_bytes(), &(0..text.len()).step_by(23).collect::<Vec<_>>());
    assert_eq!(outcome.text(), text);
    let mut stream = guard.stream(&context).unwrap();
    let early: usize = stream
        .push(Channel::Text, &text.as_bytes()[..1200])
        .released
        .iter()
        .map(|(_, text)| text.len())
        .sum();
    assert!(early > 800, "{early} of 1200 bytes");
    let short = &text[..400];
    let (verdict, _) = batch(&guard, &context, short);
    let outcome = answer(&guard, &context, short.as_bytes(), &[100, 101, 230]);
    assert_eq!(comparable(&outcome.end.verdict), comparable(&verdict));
}

#[test]
fn models_that_fail_are_treated_as_the_policy_says() {
    let context = Input::request("hello");
    let text = brightline_benches::prose(900);
    for (on_error, stopped) in [("block", true), ("flag", false), ("allow", false)] {
        let Some(guard) = with_models("block", on_error, Some(Duration::ZERO)) else { return };
        let outcome = answer(&guard, &context, text.as_bytes(), &[10, 500]);
        assert_eq!(outcome.end.stopped, stopped, "{on_error}");
        assert!(outcome.end.verdict.failures.iter().any(|it| it.reason == "deadline_exceeded"), "{on_error}");
        assert_eq!(outcome.text().len(), if stopped { 0 } else { text.len() }, "{on_error}");
    }
}

#[test]
fn memory_does_not_grow_with_the_text() {
    let guard = compiled(&policy(["redact", "flag", "flag", "redact", "flag", "flag"], 256, "release"));
    let context = Input::request("hello");
    // `cargo run --release -p brightline-benches --bin stream` does the same with many megabytes.
    let mut prose = brightline_benches::prose(300_000);
    prose.push_str("mail ann@example.com about the nerve agent ");
    for text in [prose, "x".repeat(100_000), "nerve agent ".repeat(4_000)] {
        let mut stream = guard.stream(&context).unwrap();
        let (mut most, mut released) = (0, 0);
        for chunk in text.as_bytes().chunks(4096) {
            let step = stream.push(Channel::Text, chunk);
            released += step.released.iter().map(|(_, text)| text.len()).sum::<usize>();
            most = most.max(stream.held());
        }
        stream.finish();
        assert!(most < 50_000, "{most} bytes held");
        assert!(released * 2 > text.len());
    }
}

#[test]
fn a_stopped_stream_stays_stopped() {
    let guard = compiled(&policy(["block", "flag", "flag", "redact", "flag", "flag"], 256, "release"));
    let mut stream = guard.stream(&Input::request("hello")).unwrap();
    let step = stream.push(Channel::Text, b"they said nerve agent and then ");
    assert_eq!((step.stopped, step.action), (true, Action::Block));
    assert!(step.released.iter().all(|(_, text)| "they said ".starts_with(text.as_str())));
    for channel in [Channel::Text, Channel::Reasoning, Channel::ToolCall(7)] {
        let step = stream.push(channel, b"more of it ");
        assert_eq!((step.released.len(), step.stopped), (0, true));
    }
    stream.tool_call(1, "id", "shell");
    let end = stream.finish();
    assert_eq!((end.released.len(), end.stopped, end.verdict.action), (0, true, Action::Block));
    assert_eq!(end.verdict.message.as_deref(), Some("I can't help with that."));
    let again = stream.finish();
    assert_eq!(comparable(&again.verdict), comparable(&end.verdict));
    assert_eq!(stream.held(), 0);
    assert_eq!(stream.push(Channel::Text, b"x").released, []);
}

#[test]
fn tool_calls_are_released_when_they_are_complete() {
    let guard = compiled(
        "## Shell {#shell authority=system}\n\nNo.\n\n~~~rule\non = [\"tool_call\"]\n\
         when = 'tool.name == \"shell\" && tool.args.cmd.contains(\"rm -rf\")'\naction = \"block\"\n~~~\n\n\
         ## Mail {#mail authority=system}\n\nNo.\n\n~~~rule\non = [\"tool_call\"]\nwhen = 'pii(\"email\")'\n\
         action = \"redact\"\n~~~\n",
    );
    let context = Input::request("clean up");
    let mut stream = guard.stream(&context).unwrap();
    stream.tool_call(0, "a", "search");
    assert_eq!(stream.push(Channel::ToolCall(0), br#"{"q": "a}b \"#).released, []);
    let released = stream.push(Channel::ToolCall(0), br#"" c"}"#).released;
    assert_eq!(released, [(Channel::ToolCall(0), r#"{"q": "a}b \" c"}"#.to_string())]);
    assert_eq!(
        stream.push(Channel::ToolCall(3), b"{\"to\": \"ann@exam").released,
        [],
        "a call nobody declared"
    );
    let released = stream.push(Channel::ToolCall(3), b"ple.com\"}").released;
    assert_eq!(released, [(Channel::ToolCall(3), "{\"to\": \"[email]\"}".to_string())]);
    stream.tool_call(4, "b", "noop");
    stream.push(Channel::ToolCall(4), b"");
    stream.tool_call(5, "c", "shell");
    let step = stream.push(Channel::ToolCall(5), br#"{"cmd": "rm -rf /"}"#);
    assert!(step.stopped && step.released.is_empty());
    assert_eq!(stream.finish().released, []);

    let mut stream = guard.stream(&context).unwrap();
    stream.tool_call(0, "a", "noop");
    assert_eq!(stream.finish().released, [(Channel::ToolCall(0), String::new())]);
}

#[test]
fn time_ends_a_wait_where_the_policy_says_so() {
    let text = policy(["flag", "flag", "flag", "flag", "redact", "flag"], 4096, "release");
    let guard = compiled(&text.replace("hold_chars = 4096", "hold_chars = 4096\nhold_ms = 20"));
    let mut stream = guard.stream(&Input::request("hello")).unwrap();
    let text = "the secret word is fine. ";
    let first = stream.push(Channel::Text, text.as_bytes());
    assert_eq!(first.released, [(Channel::Text, "the ".to_string())], "a second one would make it a finding");
    std::thread::sleep(Duration::from_millis(25));
    assert_eq!(stream.push(Channel::Text, b"").released, [(Channel::Text, text[4..].to_string())]);
    stream.push(Channel::Text, b"and the secret word again ");
    let end = stream.finish();
    assert_eq!(end.verdict.action, Action::Redact);
    assert!(end.verdict.failures.iter().any(|it| it.reason == "released_before"));
}

#[test]
fn a_policy_says_how_long_a_decision_may_wait() {
    let text =
        policy(["flag"; 6], 4096, "stop").replace("hold_chars = 4096", "hold_chars = 4096\nhold_ms = 20");
    let made = Compiler::without_files().text("streams.md", text).into_policy().unwrap();
    let read = brightline::artifact::decode(&brightline::artifact::encode(&made)).unwrap();
    let Streaming { hold_chars, hold_ms, then } = read.data().streaming;
    assert_eq!((hold_chars, hold_ms, then), (4096, Some(20), Then::Stop));
    for (wrong, place, message) in [
        ("hold_chars = 20000", "20000", "`hold_chars` is 20000; at most 16384 is allowed"),
        ("hold_chars = 1\nhold_ms = 60001", "60001", "`hold_ms` is 60001; at most 60000 is allowed"),
        (
            "hold_chars = 1\nthen = \"wait\"",
            "\"wait\"",
            "unknown variant `wait`, expected `release` or `stop`",
        ),
        (
            "hold_words = 1",
            "hold_words",
            "unknown field `hold_words`, expected one of `hold_chars`, `hold_ms`, `then`",
        ),
    ] {
        let text = format!("+++\nname = \"x\"\n\n[stream]\n{wrong}\n+++\n\n# X\n");
        let compiled = Compiler::without_files().text("x.md", &*text);
        let found = compiled.diagnostics.iter().find(|it| it.to_string().contains(message));
        let found = found.unwrap_or_else(|| panic!("{wrong}: {:?}", compiled.diagnostics));
        assert_eq!(&text[found.span.range()], place, "{wrong}");
    }
}

#[test]
fn empty_chunks_and_empty_streams_are_fine() {
    let guard = compiled(&policy(["redact", "flag", "flag", "redact", "flag", "revise"], 256, "release"));
    let mut stream = guard.stream(&Input::request("hello")).unwrap();
    let end = stream.finish();
    assert_eq!((end.verdict.action, end.released.len()), (Action::Allow, 0));
    let mut stream = guard.stream(&Input::request("how do I make a bomb")).unwrap();
    assert_eq!(stream.push(Channel::Text, b"").released, []);
    assert_eq!(
        stream.finish().verdict.action,
        Action::Revise,
        "an empty answer lacks what the clause asks for"
    );
    let outcome = answer(&guard, &Input::default(), b"a nerve agent \xF0\x9F", &[]);
    assert_eq!(outcome.text(), "a [redacted] \u{FFFD}");
}

#[test]
fn channels_do_not_disturb_one_another() {
    let guard = compiled(&policy(["redact", "redact", "redact", "redact", "redact", "flag"], 64, "release"));
    let context = Input::request("hello");
    let text =
        "mail ann@example.com, the secret word is making a weather, and a nerve agent was there. ".repeat(12);
    let thought = "they said nerve agent and agent and b o m b on monday. ".repeat(20);
    let alone = |channel, text: &str| {
        run(guard.stream(&context).unwrap(), [(channel, text.as_bytes())]).of(channel).to_string()
    };
    let (wanted, thoughts) = (alone(Channel::Text, &text), alone(Channel::Reasoning, &thought));
    let mut chunks = Vec::new();
    let (mut left, mut right) = (text.as_bytes().chunks(7), thought.as_bytes().chunks(11));
    loop {
        let next = [(Channel::Text, left.next()), (Channel::Reasoning, right.next())];
        let before = chunks.len();
        chunks.extend(next.into_iter().filter_map(|(channel, chunk)| Some((channel, chunk?))));
        if chunks.len() == before {
            break;
        }
    }
    let outcome = run(guard.stream(&context).unwrap(), chunks);
    assert_eq!((outcome.of(Channel::Text), outcome.of(Channel::Reasoning)), (&*wanted, &*thoughts));
}
