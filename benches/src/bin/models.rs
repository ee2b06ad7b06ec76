//! What the classifier costs: `models DIR [RAW]` prints a table. RAW is a file of lines `tokens milliseconds` that
//! `benches/raw_runtime.py` writes: bare ONNX Runtime on the same graph in the same run.

use brightline::message::Surface;
use brightline::{Compiler, Guard, GuardOptions, Input, Models};
use std::error::Error;
use std::hint::black_box;
use std::io::Write;
use std::time::{Duration, Instant};

const POLICY: &str = "## A {#a authority=root}\n\nWhy.\n\n~~~rule\non = [\"request\"]\nwhen = 'label(\"unsafe\").at_fpr(0.001)'\naction = \"block\"\n~~~\n";
/// Sixty tokens with the frame round them, and nothing that the screen would leave open.
const PLAIN: &str = "Could you suggest three easy recipes with rice and vegetables for a family of four? We have a pot, a \
                     pan and an oven, about half an hour on weekdays, and nobody likes mushrooms. Please list what to buy \
                     and how long each of them keeps in the fridge afterwards.";
const LENGTHS: [usize; 4] = [16, 32, 64, 124];

/// The median time of many calls.
fn median(times: usize, mut call: impl FnMut()) -> Duration {
    let mut all: Vec<Duration> = (0..times)
        .map(|_| {
            let started = Instant::now();
            call();
            started.elapsed()
        })
        .collect();
    all.sort_unstable();
    all.get(times / 2).copied().unwrap_or_default()
}

/// Resident memory in MiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) / 1024
}

/// A text of so many tokens, frame included, that the screen leaves to the full model.
fn open(models: &Models, tokens: usize) -> Option<String> {
    let lines = [
        "what would somebody say who wants to get into a locked house at night without a key and without any noise ",
        "tell me how the old man in the story was hurt and who of his neighbors had a reason to hate him so much ",
        "please tell me how the river and the garden and the old house near the town look in the early spring ",
    ];
    lines.into_iter().find_map(|line| {
        let text: String = line.split_inclusive(' ').cycle().take(tokens - 4).collect();
        let scores = models.scores(Surface::Request, &text, None).ok()?;
        scores.tiers().names().any(|tier| tier == "full").then_some(text)
    })
}

/// Requests of many kinds, one harmful in ten: our own rows that the models were trained on.
fn mixed() -> Result<Vec<String>, Box<dyn Error>> {
    let (mut safe, mut harmful) = (Vec::new(), Vec::new());
    for name in ["agents", "attacks", "crime", "harms", "people", "world"] {
        for line in std::fs::read_to_string(format!("models/recipe/data/{name}.jsonl"))?.lines() {
            let row: serde_json::Value = serde_json::from_str(line)?;
            let text = row.get("text").and_then(serde_json::Value::as_str).unwrap_or("");
            if row.get("kind").is_some_and(|kind| kind == "request") {
                let list =
                    if row.get("unsafe").is_some_and(|it| *it == 1) { &mut harmful } else { &mut safe };
                list.push(text.to_string());
            }
        }
    }
    let spread = |list: &[String], count: usize| -> Vec<String> {
        list.iter().step_by((list.len() / count).max(1)).take(count).cloned().collect()
    };
    Ok([spread(&safe, 230), spread(&harmful, 26)].concat())
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let folder = args.next().ok_or("the folder of the models")?;
    let raw = args.next().map(std::fs::read_to_string).transpose()?.unwrap_or_default();
    let raw = |tokens: usize| -> Option<f64> {
        let line = raw.lines().find_map(|line| line.strip_prefix(&format!("{tokens} ")));
        line?.trim().parse().ok()
    };
    let before = resident();
    let load = median(9, || {
        black_box(Models::load(&folder).is_ok());
    });
    let models = Models::load(&folder)?;
    let mut out = format!(
        "| what | measured | aim |\n| --- | --- | --- |\n| load of both models | {load:.0?}, {} MiB | < 100 ms, < 150 MiB |\n",
        resident().saturating_sub(before)
    );

    let policy = Compiler::without_files().text("bench.md", POLICY).into_policy()?;
    let guard =
        Guard::with(policy, GuardOptions { models: Some(models.clone()), ..GuardOptions::default() })?;
    let verdict = guard.check(&Input::request(PLAIN))?;
    let tiers: Vec<_> = verdict.scanned.tiers.names().collect();
    let time = median(20_000, || {
        black_box(guard.check(&Input::request(PLAIN)).is_ok());
    });
    out += &format!(
        "| benign request of 60 tokens, read by {} | p50 {time:.1?} | < 60 µs |\n",
        tiers.join(", ")
    );

    for tokens in LENGTHS {
        let Some(text) = open(&models, tokens) else {
            out += &format!("| request of {tokens} tokens | none is left open | |\n");
            continue;
        };
        let time = median(60, || {
            black_box(models.scores(Surface::Request, &text, None).is_ok());
        });
        let ratio = raw(tokens).map_or("not measured".into(), |raw| {
            format!("{:.2} times bare ONNX Runtime's {raw:.2} ms", time.as_secs_f64() * 1e3 / raw)
        });
        out += &format!(
            "| request of {tokens} tokens, both tiers | p50 {time:.2?}, {ratio} | <= 1.15 times |\n"
        );
    }

    let batch = mixed()?;
    let verdicts = batch.iter().map(|text| guard.check(&Input::request(text.as_str())));
    let opened =
        verdicts.filter(|it| it.as_ref().is_ok_and(|it| it.scanned.tiers.names().any(|tier| tier == "full")));
    let opened = opened.count();
    let time = median(5, || {
        for text in &batch {
            black_box(guard.check(&Input::request(text.as_str())).is_ok());
        }
    });
    let rate = batch.len() as f64 / time.as_secs_f64();
    out += &format!(
        "| {} mixed requests, {opened} of them for the full model | {rate:.0} a second on one core | >= 3,000 |\n",
        batch.len()
    );
    std::io::stdout().write_all(out.as_bytes())?;
    Ok(())
}
