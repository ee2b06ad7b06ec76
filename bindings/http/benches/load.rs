//! What the gateway adds: the same requests straight to an upstream and through the gateway, in one run on one machine.
//!
//! `make bench-gateway` prints latencies at a fixed rate, then memory over many requests; `SOAK=600` goes on for so many
//! seconds. The gateway is a process of its own, so that its memory is its own; load and upstream share the other one.
//! Requests are sent when they are due, whatever became of those before them, and timed from then.
#![allow(unreachable_pub, reason = "shared with the tests")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a program for people"
)]

#[path = "../tests/gateway/support/mod.rs"]
mod support;

use brightline::{Compiler, Guard, GuardOptions, Models};
use brightline_http::ops::live::Live;
use brightline_http::{Config, Gateway, Upstream};
use serde_json::json;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use support::{Asked, Fake, script};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Requests a second in the comparison, with JSON for an answer.
const RATE: u64 = 1000;
/// The same with events: each answer has more than a hundred of them, sent at once.
const STREAMS: u64 = 100;
/// How long each side of the comparison takes, in seconds.
const SECONDS: u64 = 15;
/// Connections that send.
const CONNECTIONS: usize = 64;
/// Requests over which memory is watched.
const MANY: u64 = 200_000;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let Some(at) = arguments.iter().position(|it| it == "--gateway") {
        gateway(&arguments[at + 1], &arguments[at + 2]);
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(run());
}

/// The gateway's process: says where it listens, and serves until it is ended.
fn gateway(upstream: &str, models: &str) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let models = (models != "-").then(|| Models::load(models).unwrap());
        let compiler = Compiler::new().trust_examples();
        let compiler = models.iter().fold(compiler, |compiler, models| compiler.with_models(models.clone()));
        let policy = compiler.file("default").into_policy().unwrap();
        let guard = Guard::with(policy, GuardOptions { models, ..GuardOptions::default() }).unwrap();
        let config = Config::default();
        let upstream = Upstream::new(upstream, &config).unwrap();
        let gateway = Gateway::new(Arc::new(Live::new(guard)), Arc::default(), upstream, config);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        println!("{}", listener.local_addr().unwrap());
        gateway.serve(listener, std::future::pending()).await.unwrap();
    });
}

struct Running(Child, SocketAddr);

impl Running {
    fn start(upstream: &str, models: &str) -> Self {
        let program = std::env::current_exe().unwrap();
        let mut child = Command::new(program)
            .args(["--gateway", upstream, models])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self(child, line.trim().parse().unwrap())
    }

    /// Resident memory in MiB, where the system tells.
    fn memory(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0");
        line.trim().trim_end_matches(" kB").parse::<f64>().unwrap_or(0.0) / 1024.0
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// An answer of 60 words, whole or in events.
fn respond(asked: &Asked) -> Vec<support::Act> {
    let text = "A kettle boils faster with its lid on, since less heat is carried off by steam. ".repeat(4);
    if asked.json()["stream"] == true {
        script::stream(&script::chat("", &text, &[]), usize::MAX)
    } else {
        let answer = script::chat_json(&text, &[]).to_string();
        let mut bytes = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            answer.len()
        );
        bytes.push_str(&answer);
        vec![support::Act::Raw(bytes.into_bytes())]
    }
}

fn request(streaming: bool) -> Vec<u8> {
    let text = "I would like to know how long it takes to boil a liter of water in an ordinary kettle, whether it is worth \
                while to put the lid on, and how much that saves over a year if I make tea three times a day. Please \
                answer in plain words and show the sum.";
    let body = json!({"model": "m", "stream": streaming, "messages": [
        {"role": "system", "content": "You are a helpful assistant in a kitchen shop."},
        {"role": "user", "content": text}]})
    .to_string();
    let head = "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer x\r\ncontent-type: application/json\r\n";
    format!("{head}content-length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// Sends one request and reads its answer; false where that is no success.
async fn exchange(stream: &mut TcpStream, buffer: &mut Vec<u8>, request: &[u8]) -> bool {
    if stream.write_all(request).await.is_err() {
        return false;
    }
    buffer.clear();
    loop {
        if stream.read_buf(buffer).await.unwrap_or(0) == 0 {
            return false;
        }
        let Some(head) = buffer.windows(4).position(|it| it == b"\r\n\r\n") else { continue };
        let text = String::from_utf8_lossy(&buffer[..head]).to_ascii_lowercase();
        let length = text
            .split("content-length: ")
            .nth(1)
            .and_then(|it| it.split("\r\n").next()?.parse::<usize>().ok());
        let whole = match length {
            Some(length) => buffer.len() >= head + 4 + length,
            None => buffer.ends_with(b"\r\n0\r\n\r\n"),
        };
        if whole {
            return text.starts_with("http/1.1 200")
                && !buffer[head..].windows(10).any(|it| it == b"brightline");
        }
    }
}

struct Load {
    latencies: Vec<Duration>,
    failed: u64,
}

impl Load {
    fn at(&self, share: f64) -> f64 {
        let last = self.latencies.len().saturating_sub(1);
        self.latencies.get((last as f64 * share) as usize).map_or(0.0, |it| it.as_secs_f64() * 1e3)
    }
}

/// Requests at a rate, each timed from when it was due.
async fn paced(to: SocketAddr, request: Vec<u8>, rate: u64, count: u64) -> Load {
    let (due, waiting) = tokio::sync::mpsc::unbounded_channel::<Instant>();
    let waiting = Arc::new(tokio::sync::Mutex::new(waiting));
    let failed = Arc::new(AtomicU64::new(0));
    let request: Arc<[u8]> = request.into();
    let mut senders = tokio::task::JoinSet::new();
    for _ in 0..CONNECTIONS {
        let (waiting, failed, request) = (waiting.clone(), failed.clone(), request.clone());
        senders.spawn(async move {
            let mut stream = TcpStream::connect(to).await.unwrap();
            stream.set_nodelay(true).unwrap();
            let (mut buffer, mut latencies) = (Vec::new(), Vec::new());
            loop {
                let next = waiting.lock().await.recv().await;
                let Some(due) = next else { return latencies };
                if exchange(&mut stream, &mut buffer, &request).await {
                    latencies.push(due.elapsed());
                } else {
                    failed.fetch_add(1, Ordering::Relaxed);
                    stream = TcpStream::connect(to).await.unwrap();
                }
            }
        });
    }
    // A thread of its own: the timer of the runtime is coarser than what is measured.
    let pace = std::thread::spawn(move || {
        let start = Instant::now();
        for number in 0..count {
            let at = start + Duration::from_nanos(number * 1_000_000_000 / rate);
            if let Some(left) = at.checked_duration_since(Instant::now()) {
                std::thread::sleep(left);
            }
            let _ = due.send(Instant::now());
        }
    });
    let mut latencies: Vec<Duration> = senders.join_all().await.into_iter().flatten().collect();
    pace.join().unwrap();
    latencies.sort_unstable();
    Load { latencies, failed: failed.load(Ordering::Relaxed) }
}

/// Requests one after the other on each connection, as fast as they go.
async fn flat_out(to: SocketAddr, request: Vec<u8>, count: u64) -> u64 {
    let (left, failed) = (Arc::new(AtomicU64::new(count)), Arc::new(AtomicU64::new(0)));
    let request: Arc<[u8]> = request.into();
    let mut senders = tokio::task::JoinSet::new();
    for _ in 0..CONNECTIONS {
        let (left, failed, request) = (left.clone(), failed.clone(), request.clone());
        senders.spawn(async move {
            let mut stream = TcpStream::connect(to).await.unwrap();
            let mut buffer = Vec::new();
            while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
            {
                if !exchange(&mut stream, &mut buffer, &request).await {
                    failed.fetch_add(1, Ordering::Relaxed);
                    stream = TcpStream::connect(to).await.unwrap();
                }
            }
        });
    }
    senders.join_all().await;
    failed.load(Ordering::Relaxed)
}

async fn run() {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    println!("{cores} cores, {CONNECTIONS} connections, {SECONDS} s each, milliseconds to the last byte\n");
    let fake = Fake::start(respond).await;
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models");
    let models = if Path::new(folder).join("manifest.json").is_file() { folder } else { "-" };
    println!(
        "| policy `default` | answer | a second | direct p50 | p99 | gateway p50 | p99 | added p50 | added p99 | failed |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |");
    let mut sides = vec![("rules", "-")];
    if models != "-" {
        sides.push(("rules and models", models));
    }
    for (name, models) in sides {
        for streaming in [false, true] {
            let gateway = Running::start(&fake.url(), models);
            let rate = if streaming { STREAMS } else { RATE };
            // Caches, pools and connections are warm on both sides.
            for to in [fake.address, gateway.1] {
                paced(to, request(streaming), rate, rate * 2).await;
            }
            let direct = paced(fake.address, request(streaming), rate, rate * SECONDS).await;
            let through = paced(gateway.1, request(streaming), rate, rate * SECONDS).await;
            println!(
                "| {name} | {} | {rate} | {:.3} | {:.3} | {:.3} | {:.3} | {:.3} | {:.3} | {} |",
                if streaming { "events" } else { "JSON" },
                direct.at(0.5),
                direct.at(0.99),
                through.at(0.5),
                through.at(0.99),
                through.at(0.5) - direct.at(0.5),
                through.at(0.99) - direct.at(0.99),
                direct.failed + through.failed,
            );
        }
    }
    println!("\nMemory of the gateway over {MANY} requests, rules, every other one a stream:\n");
    println!("| requests | MiB | failed | requests a second |\n| --- | --- | --- | --- |");
    let gateway = Running::start(&fake.url(), "-");
    println!("| 0 | {:.1} | 0 | |", gateway.memory());
    let mut failed = 0;
    for step in 1..=10 {
        let started = Instant::now();
        failed += flat_out(gateway.1, request(step % 2 == 0), MANY / 10).await;
        let rate = (MANY / 10) as f64 / started.elapsed().as_secs_f64();
        println!("| {} | {:.1} | {failed} | {rate:.0} |", MANY / 10 * step, gateway.memory());
    }
    let soak = std::env::var("SOAK").ok().and_then(|it| it.parse::<u64>().ok()).unwrap_or(0);
    if soak > 0 {
        println!(
            "\nSoak of {soak} s, half a minute each of {} requests and {STREAMS} streams a second:\n\n| s | MiB | p50 | p99 | failed |\n| --- | --- | --- | --- | --- |",
            RATE / 2
        );
        let started = Instant::now();
        let mut turn = 0;
        while started.elapsed().as_secs() < soak {
            turn += 1;
            let streaming = turn % 2 == 0;
            let rate = if streaming { STREAMS } else { RATE / 2 };
            let load = paced(gateway.1, request(streaming), rate, rate * 30.min(soak)).await;
            println!(
                "| {} | {:.1} | {:.3} | {:.3} | {} |",
                started.elapsed().as_secs(),
                gateway.memory(),
                load.at(0.5),
                load.at(0.99),
                load.failed
            );
        }
    }
}
