//! Time by stage: compile, encode, load, each stage of a check by size of text, whole checks, JSON in and out.
//!
//! `cargo bench -p brightline-benches`, with the name of a benchmark to run only that one.

use brightline::engine::personal::{self, PersonalKinds};
use brightline::engine::secrets::{self, SecretKinds};
use brightline::engine::views::{ViewOptions, Views};
use brightline::{Compiler, Guard, Input, Message, artifact, wire};
use brightline_benches::{benign_request, broken_request, foreign, guard, hundred_clauses, policy, prose};
use divan::counter::BytesCount;
use divan::{Bencher, black_box};

fn main() {
    divan::main();
}

const POLICIES: [&str; 4] = ["hundred", "default", "constitution", "model-spec"];
const SIZES: [usize; 5] = [100, 1_000, 10_000, 1_000_000, 10_000_000];

#[divan::bench(args = POLICIES, sample_count = 10)]
fn compile(bencher: Bencher<'_, '_>, name: &str) {
    let text = brightline::compiler::shipped(name).map_or_else(hundred_clauses, str::to_string);
    bencher
        .counter(BytesCount::of_str(text.as_str()))
        .bench(|| Compiler::without_files().text("policy.md", black_box(&text)));
}

#[divan::bench(args = POLICIES)]
fn encode(bencher: Bencher<'_, '_>, name: &str) {
    let policy = policy(name);
    bencher.bench(|| artifact::encode(black_box(&policy)));
}

#[divan::bench(args = POLICIES)]
fn load(bencher: Bencher<'_, '_>, name: &str) {
    let bytes = artifact::encode(&policy(name));
    bencher
        .counter(BytesCount::of_slice(&bytes))
        .bench(|| artifact::decode(black_box(&bytes)).map(Guard::new));
}

mod stage {
    use super::*;

    #[divan::bench(args = SIZES)]
    fn views(bencher: Bencher<'_, '_>, size: usize) {
        let (text, mut views) = (prose(size), Views::default());
        bencher
            .counter(BytesCount::new(size))
            .bench_local(|| views.build(black_box(&text), ViewOptions::default()));
    }

    /// One clause, one set: what is left of a check is the views and the pass for patterns.
    #[divan::bench(args = SIZES)]
    fn views_and_matcher(bencher: Bencher<'_, '_>, size: usize) {
        let all = policy("hundred");
        let written: Vec<String> = all
            .data()
            .patterns
            .iter()
            .map(|pattern| serde_json::Value::from(pattern.written.as_str()).to_string())
            .collect();
        let text = format!(
            "## All {{#all authority=developer}}\n\nOne.\n\n~~~rule\non = [\"request\"]\nwhen = 'count(\"all\") > 1000000'\n\
             ~~~\n\n~~~patterns\nall = [{}]\n~~~\n",
            written.join(", ")
        );
        let Ok(policy) = Compiler::without_files().text("one.md", &text).into_policy() else { return };
        let Ok(guard) = Guard::new(policy) else { return };
        let input = Input::request(prose(size));
        bencher.counter(BytesCount::new(size)).bench(|| guard.check(black_box(&input)));
    }

    #[divan::bench(args = SIZES)]
    fn personal_data(bencher: Bencher<'_, '_>, size: usize) {
        let (text, mut found) = (prose(size), Vec::new());
        bencher.counter(BytesCount::new(size)).bench_local(|| {
            found.clear();
            personal::scan(black_box(&text), PersonalKinds::all(), &mut found);
        });
    }

    #[divan::bench(args = SIZES)]
    fn secret_data(bencher: Bencher<'_, '_>, size: usize) {
        let (text, mut found) = (prose(size), Vec::new());
        bencher.counter(BytesCount::new(size)).bench_local(|| {
            found.clear();
            secrets::scan(black_box(&text), SecretKinds::all(), &mut found);
        });
    }

    #[divan::bench(args = SIZES)]
    fn whole_check(bencher: Bencher<'_, '_>, size: usize) {
        let (guard, input) = (guard("hundred"), Input::request(prose(size)));
        bencher.counter(BytesCount::new(size)).bench(|| guard.check(black_box(&input)));
    }
}

mod check {
    use super::*;

    fn measure(bencher: Bencher<'_, '_>, name: &str, input: &Input<'_>) {
        let guard = guard(name);
        bencher.bench(|| guard.check(black_box(input)));
    }

    #[divan::bench(args = POLICIES)]
    fn benign(bencher: Bencher<'_, '_>, name: &str) {
        measure(bencher, name, &Input::request(benign_request()));
    }

    #[divan::bench(args = POLICIES)]
    fn findings(bencher: Bencher<'_, '_>, name: &str) {
        measure(bencher, name, &Input::request(broken_request()));
    }

    #[divan::bench(args = POLICIES)]
    fn exchange(bencher: Bencher<'_, '_>, name: &str) {
        measure(bencher, name, &Input::exchange(benign_request(), benign_request()));
    }

    #[divan::bench(args = POLICIES)]
    fn tool_call(bencher: Bencher<'_, '_>, name: &str) {
        let arguments =
            r#"{"command": "tar -czf notes.tar.gz ./notes && ls -l", "cwd": "/home/anna", "timeout": 30}"#;
        let messages = vec![
            Message::text(brightline::Role::User, benign_request()),
            Message::tool_call("shell", arguments),
        ];
        measure(bencher, name, &Input { messages, ..Input::default() });
    }

    #[divan::bench(args = POLICIES)]
    fn foreign_text(bencher: Bencher<'_, '_>, name: &str) {
        measure(bencher, name, &Input::request(foreign(1_000)));
    }
}

mod json {
    use super::*;

    #[divan::bench]
    fn parse(bencher: Bencher<'_, '_>) {
        let record =
            format!("{{\"id\": \"r1\", \"request\": {}}}", serde_json::Value::from(benign_request()));
        bencher
            .counter(BytesCount::of_str(record.as_str()))
            .bench(|| wire::parse(black_box(record.as_bytes())));
    }

    #[divan::bench(args = ["benign", "findings"])]
    fn write(bencher: Bencher<'_, '_>, which: &str) {
        let text = if which == "benign" { benign_request() } else { broken_request() };
        let Ok(verdict) = guard("hundred").check(&Input::request(text)) else { return };
        let mut out = Vec::new();
        bencher.bench_local(|| {
            out.clear();
            serde_json::to_writer(&mut out, black_box(&verdict))
        });
    }
}
