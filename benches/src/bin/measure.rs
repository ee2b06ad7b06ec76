//! The figures of the README: a Markdown table with the machine and the date. Run by `make bench`.

#![expect(clippy::print_stdout, reason = "the table is what the program is for")]

use brightline::{Guard, Input, artifact};
use brightline_benches::{
    ADVERSARIAL, Counting, adversarial, allocations, benign_request, guard, log, policy, prose,
};
use std::hint::black_box;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const LOG_BYTES: usize = 100_000_000;

fn main() {
    println!("{}, {}", processor(), said_by("date", &["-u", "+%Y-%m-%d"]).unwrap_or_default());
    println!();
    println!("| what | measured | aim |");
    println!("| --- | --- | --- |");
    for (name, aim) in
        [("hundred", "p50 < 10 µs, 0 allocations"), ("default", ""), ("constitution", ""), ("model-spec", "")]
    {
        let title = if name == "hundred" { "100 clauses" } else { name };
        row(&format!("check of a benign request of 1 kB, {title}"), &checks(&guard(name)), aim);
    }
    let bytes = artifact::encode(&policy("hundred"));
    let load = median(41, || artifact::decode(&bytes).map(Guard::new));
    row(&format!("load of 100 clauses ({} kB)", bytes.len() / 1_000), &milliseconds(load), "< 5 ms");
    let hundred = guard("hundred");
    row("10 MB of prose, over ten times 1 MB", &linearity(&hundred, prose), "about 1");
    for (name, _) in ADVERSARIAL {
        row(
            &format!("10 MB of {name}, over ten times 1 MB"),
            &linearity(&hundred, |bytes| adversarial(name, bytes)),
            "about 1",
        );
    }
    score();
}

fn row(what: &str, measured: &str, aim: &str) {
    println!("| {what} | {measured} | {aim} |");
}

fn processor() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let models = || info.lines().filter_map(|line| line.strip_prefix("model name")?.split_once(": "));
    match models().next() {
        Some((_, model)) => format!("{model}, {} threads", models().count()),
        None => "a machine without /proc/cpuinfo".to_string(),
    }
}

/// What a program prints, without the line break.
fn said_by(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_string())
}

fn timed<T>(work: impl FnOnce() -> T) -> Duration {
    let started = Instant::now();
    let result = black_box(work());
    let elapsed = started.elapsed();
    drop(result);
    elapsed
}

fn median<T>(times: usize, mut work: impl FnMut() -> T) -> Duration {
    let mut all: Vec<Duration> = (0..times).map(|_| timed(&mut work)).collect();
    percentile(&mut all, 50)
}

fn percentile(all: &mut [Duration], percent: usize) -> Duration {
    all.sort_unstable();
    all.get((all.len() * percent / 100).min(all.len().saturating_sub(1))).copied().unwrap_or_default()
}

fn milliseconds(duration: Duration) -> String {
    format!("{:.2} ms", duration.as_secs_f64() * 1e3)
}

fn checks(guard: &Guard) -> String {
    let input = Input::request(benign_request());
    let mut all: Vec<Duration> = (0..100_000).map(|_| timed(|| guard.check(black_box(&input)))).collect();
    let memory = allocations(|| guard.check(&input));
    let micros = |duration: Duration| duration.as_secs_f64() * 1e6;
    let (p50, p99) = (micros(percentile(&mut all, 50)), micros(percentile(&mut all, 99)));
    format!("p50 {p50:.1} µs, p99 {p99:.1} µs, {memory} allocations")
}

/// The time for 10 MB over ten times the time for 1 MB, and the speed at 10 MB.
fn linearity(guard: &Guard, text: impl Fn(usize) -> String) -> String {
    let [small, large] = [(1_000_000, 5), (10_000_000, 3)].map(|(bytes, times)| {
        let input = Input::request(text(bytes));
        median(times, || guard.check(black_box(&input))).as_secs_f64()
    });
    format!("{:.2} ({:.0} MB/s)", large / small / 10.0, 10.0 / large)
}

/// The command over a log of innocent records on one thread: its speed, by the clock and by the time of the processor
/// that it took, and the memory.
fn score() {
    let Some(program) = command() else {
        row("`brightline score` of 100 MB on one thread", "skipped: build the release binary first", "");
        return;
    };
    let Ok(folder) = tempfile::tempdir() else { return };
    let path = folder.path().join("log.jsonl");
    if std::fs::write(&path, log(LOG_BYTES)).is_err() {
        return;
    }
    let report = folder.path().join("report");
    let mut memory = 0.0f64;
    for (name, aim) in
        [("hundred", ">= 100 MB a second"), ("default", ""), ("constitution", ""), ("model-spec", "")]
    {
        let policy = folder.path().join("policy.blp");
        if std::fs::write(&policy, artifact::encode(&brightline_benches::policy(name))).is_err() {
            return;
        }
        let mut best: Option<[f64; 2]> = None;
        for _ in 0..3 {
            let mut run = Command::new("/usr/bin/time");
            run.args(["-f", "%e %U %S %M", "-o"]).arg(&report).arg(&program);
            run.args(["score", "--no-models", "--threads", "1", "--quiet", "--no-timing", "-p"])
                .arg(&policy)
                .arg(&path);
            let _ = run.stdout(Stdio::null()).stderr(Stdio::null()).status();
            let said = std::fs::read_to_string(&report).unwrap_or_default();
            let numbers: Vec<f64> = said
                .lines()
                .last()
                .unwrap_or_default()
                .split(' ')
                .filter_map(|word| word.parse().ok())
                .collect();
            let &[clock, user, system, kilobytes] = numbers.as_slice() else { continue };
            memory = memory.max(kilobytes / 1e3);
            let now = [clock, user + system];
            best = Some(best.map_or(now, |best| [best[0].min(now[0]), best[1].min(now[1])]));
        }
        let title = if name == "hundred" { "100 clauses" } else { name };
        let what = format!("`brightline score` of 100 MB on one thread, {title}");
        let Some([clock, processor]) = best else {
            row(&what, "skipped: /usr/bin/time is absent", aim);
            continue;
        };
        #[expect(clippy::cast_precision_loss, reason = "shown without decimals")]
        let speed = |seconds: f64| LOG_BYTES as f64 / 1e6 / seconds;
        row(
            &what,
            &format!("{:.0} MB/s; {:.0} MB a second of processor time", speed(clock), speed(processor)),
            aim,
        );
    }
    row("its peak memory", &format!("{memory:.0} MB"), "< 150 MB");
}

/// The release binary of the command, which lies beside this one.
fn command() -> Option<PathBuf> {
    let here = std::env::current_exe().ok()?;
    Some(here.with_file_name("brightline")).filter(|path| path.exists())
}
