//! One case a given number of times, for a tool that counts instructions. See `benches/run.sh`.

#![expect(clippy::print_stderr, reason = "a program that says how it is used")]

use brightline::{Guard, Input};
use brightline_benches::{benign_request, broken_request, foreign, guard};
use std::hint::black_box;
use std::process::ExitCode;

/// Text, policy.
const CASES: [(&str, &str); 8] = [
    ("benign", "hundred"),
    ("benign-default", "default"),
    ("benign-constitution", "constitution"),
    ("findings", "hundred"),
    ("foreign", "hundred"),
    ("record", "hundred"),
    ("exchange", "hundred"),
    ("tool-call", "hundred"),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match *arguments.as_slice() {
        ["list"] => CASES.iter().for_each(|(case, _)| list(case)),
        [case, times] => match (CASES.iter().find(|(known, _)| *known == case), times.parse()) {
            (Some((case, policy)), Ok(times)) => run(case, &guard(policy), times),
            _ => return usage(),
        },
        _ => return usage(),
    }
    ExitCode::SUCCESS
}

#[expect(clippy::print_stdout, reason = "read by the script")]
fn list(case: &str) {
    println!("{case}");
}

fn usage() -> ExitCode {
    eprintln!("usage: count list | count CASE TIMES");
    ExitCode::FAILURE
}

fn run(case: &str, guard: &Guard, times: usize) {
    let record = format!("{{\"id\": \"r1\", \"request\": {}}}", serde_json::Value::from(benign_request()));
    let input = match case {
        "findings" => Input::request(broken_request()),
        "foreign" => Input::request(foreign(1_000)),
        "exchange" => Input::exchange(benign_request(), benign_request()),
        "tool-call" => {
            let message = brightline::Message::tool_call("shell", ARGUMENTS);
            Input { messages: vec![message], ..Input::default() }
        }
        _ => Input::request(benign_request()),
    };
    let mut out = Vec::new();
    for _ in 0..times {
        if case == "record" {
            out.clear();
            if let Ok(Ok(verdict)) =
                brightline::wire::parse(record.as_bytes()).map(|input| guard.check(&input))
            {
                // Writing to memory does not fail.
                let _ = serde_json::to_writer(&mut out, &verdict);
            }
            black_box(&out);
        } else {
            let _ = black_box(guard.check(black_box(&input)));
        }
    }
}

const ARGUMENTS: &str =
    r#"{"command": "tar -czf notes.tar.gz ./notes && ls -l", "cwd": "/home/anna/work", "timeout": 30}"#;
