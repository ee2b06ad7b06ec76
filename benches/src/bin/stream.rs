//! What a stream costs, and how far it stays behind. Run by `make bench`.

#![expect(clippy::print_stdout, reason = "the table is what the program is for")]

use brightline::{Channel, Guard, Input};
use brightline_benches::{guard, prose};
use std::hint::black_box;
use std::time::{Duration, Instant};

/// A chunk of about five tokens.
const CHUNK: usize = 21;
/// How long an answer is, and how many are streamed.
const ANSWER: usize = 2_000;
const ANSWERS: usize = 200;

fn main() {
    println!(
        "| stream of prose in chunks of {CHUNK} bytes | time for a chunk | characters held back | bytes in memory |"
    );
    println!("| --- | --- | --- | --- |");
    for name in ["hundred", "default", "constitution", "model-spec"] {
        row(name, &guard(name));
    }
    println!();
    println!("| stream of 10 MB, default policy | time for a megabyte | most bytes in memory |");
    println!("| --- | --- | --- |");
    let default = guard("default");
    long("prose", &default, &prose(10_000_000));
    long("one word", &default, &"x".repeat(10_000_000));
    long("redacted keys", &default, &"AKIAQ2W3E4R5T6Y7U2I3 is the key. ".repeat(300_000));
}

/// Streams ten megabytes: the time for a megabyte, and the most that was held.
fn long(what: &str, guard: &Guard, text: &str) {
    let Ok(mut stream) = guard.stream(&Input::request("Tell me more.")) else { return };
    let started = Instant::now();
    let mut most = 0;
    for chunk in text.as_bytes().chunks(4096) {
        black_box(stream.push(Channel::Text, chunk));
        most = most.max(stream.held());
    }
    black_box(stream.finish());
    let seconds = started.elapsed().as_secs_f64() / (text.len() as f64 / 1e6);
    println!("| {what} | {:.0} ms | {most} |", seconds * 1e3);
}

fn row(name: &str, guard: &Guard) {
    let text = prose(ANSWER * ANSWERS);
    let context = Input::request("Please help me plan the first week in our new office.");
    let (mut times, mut behind, mut memory) = (Vec::new(), Vec::new(), Vec::new());
    for answer in text.as_bytes().chunks(ANSWER) {
        let Ok(mut stream) = guard.stream(&context) else { continue };
        let (mut pushed, mut released) = (0, 0);
        for chunk in answer.chunks(CHUNK) {
            let started = Instant::now();
            let step = black_box(stream.push(Channel::Text, black_box(chunk)));
            times.push(started.elapsed());
            pushed += chunk.len();
            released += step.released.iter().map(|(_, text)| text.len()).sum::<usize>();
            behind.push(pushed - released);
            memory.push(stream.held());
        }
        black_box(stream.finish());
    }
    let micros = |duration: Duration| duration.as_secs_f64() * 1e6;
    let (p50, p99) = (micros(percentile(&mut times, 50)), micros(percentile(&mut times, 99)));
    let (median, tail) = (percentile(&mut behind, 50), percentile(&mut behind, 99));
    let most = percentile(&mut memory, 100);
    println!("| {name} | p50 {p50:.1} µs, p99 {p99:.1} µs | p50 {median}, p99 {tail} | at most {most} |");
}

fn percentile<T: Ord + Copy + Default>(all: &mut [T], percent: usize) -> T {
    all.sort_unstable();
    all.get((all.len() * percent / 100).min(all.len().saturating_sub(1))).copied().unwrap_or_default()
}
