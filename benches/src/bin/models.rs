//! What the classifier costs: `models DIR_BENIGN DIR_OPEN [TEXT..]` measures loading, a request that the screen settles and
//! requests that the full model reads, next to the bare runtime on as many tokens.
//!
//! The two folders may hold the same models; the second must leave the texts open for the full model to be measured.

use brightline::message::Surface;
use brightline::{Compiler, Guard, GuardOptions, Input, Models};
use rten::{ModelOptions, RunOptions, ThreadPool};
use rten_tensor::{AsView, NdTensor};
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

const POLICY: &str = "## A {#a authority=root}\n\nWhy.\n\n~~~rule\non = [\"request\"]\nwhen = 'label(\"unsafe\").at_fpr(0.001)'\naction = \"block\"\n~~~\n";

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

fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) / 1024
}

fn text(words: usize) -> String {
    let line = "please tell me how the river and the garden and the old house near the town look in the early spring ";
    line.split_inclusive(' ').cycle().take(words).collect()
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let (benign, open) = (args.next().ok_or("DIR_BENIGN")?, args.next().ok_or("DIR_OPEN")?);
    let before = resident();
    let started = Instant::now();
    let models = Models::load(&benign)?;
    let loaded = started.elapsed();
    let mut out = format!("load {loaded:.1?}, {} MiB more in memory\n", resident().saturating_sub(before));

    let policy = Compiler::without_files().text("bench.md", POLICY).into_policy()?;
    let guard = |models| {
        Guard::with(policy.clone(), GuardOptions { models: Some(models), ..GuardOptions::default() })
    };
    let request = text(54);
    let settled = guard(models.clone())?;
    let verdict = settled.check(&Input::request(request.as_str()))?;
    let tiers: Vec<_> = verdict.scanned.tiers.names().collect();
    let time = median(20_000, || {
        black_box(settled.check(&Input::request(request.as_str())).is_ok());
    });
    out += &format!("request of 60 tokens, tiers {tiers:?}: p50 {time:.1?}\n");
    drop((settled, models));

    let bytes = std::fs::read(Path::new(&open).join("full.onnx"))?;
    let raw = ModelOptions::with_all_ops().prepack_weights(true).load(bytes)?;
    let ids: Vec<_> = ["input_ids", "attention_mask"]
        .map(|name| raw.node_id(name))
        .into_iter()
        .collect::<Result<_, _>>()?;
    let outputs = [raw.node_id("logits")?, raw.node_id("embedding")?];
    let pool = Arc::new(ThreadPool::with_num_threads(1));
    let open = Models::load(&open)?;
    for words in [12, 28, 60, 120] {
        let request = text(words);
        let columns = words + 4;
        let full = median(60, || {
            black_box(open.scores(Surface::Request, &request, None).is_ok());
        });
        let tiers: Vec<_> = open
            .scores(Surface::Request, &request, None)
            .map_err(|it| it.as_str())?
            .tiers()
            .names()
            .collect();
        let input = NdTensor::<i32, 2>::full([1, columns], 1);
        let bare = median(60, || {
            let inputs = ids.iter().map(|&id| (id, input.view().into())).collect();
            let options = RunOptions::default().with_thread_pool(Some(pool.clone()));
            black_box(raw.run(inputs, &outputs, Some(options)).is_ok());
        });
        let ratio = full.as_secs_f64() / bare.as_secs_f64();
        out += &format!(
            "{columns} tokens, tiers {tiers:?}: {full:.2?}, bare rten {bare:.2?}, ratio {ratio:.3}\n"
        );
    }
    use std::io::Write;
    std::io::stdout().write_all(out.as_bytes())?;
    Ok(())
}
