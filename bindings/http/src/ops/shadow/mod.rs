//! A second policy that judges what the first one judged, and is never acted on.
//!
//! ```text
//! decided -> copy of the input -> queue (bounded) -> judged by the shadow policy -> difference counted and logged
//! ```
//! The answer to a client is on its way before the shadow policy sees the message. A full queue sheds decisions, and the
//! metrics say how many.

mod transcript;

pub use transcript::{MAX_TRANSCRIPT, Transcript};

use super::live::Live;
use super::metrics::{Metrics, clauses_of, degraded};
use super::{Decision, Role};
use brightline::message::{Part, Surface};
use brightline::{Action, Input, Verdict};
use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How much is compared.
#[derive(Clone, Copy, Debug)]
pub struct ShadowOptions {
    /// How many decisions may wait.
    pub queue: usize,
    /// How many bytes of messages may wait.
    pub bytes: usize,
    /// How many threads judge; each takes a core from the live policy where there is no spare one.
    pub threads: usize,
}

impl Default for ShadowOptions {
    fn default() -> Self {
        Self { queue: 1_024, bytes: 64 << 20, threads: 1 }
    }
}

/// The shadow policy at work.
pub struct Shadow {
    live: Arc<Live>,
    queue: Sender<Job>,
    load: Arc<Load>,
    options: ShadowOptions,
    metrics: Arc<Metrics>,
}

/// What waits or is being judged.
#[derive(Default)]
struct Load {
    jobs: AtomicUsize,
    bytes: AtomicUsize,
}

struct Job {
    input: Input<'static>,
    bytes: usize,
    exchange: String,
    endpoint: &'static str,
    surface: Surface,
    action: Action,
    clauses: Vec<String>,
    degraded: bool,
}

/// How the two policies differ on one message.
#[derive(Debug)]
pub(super) struct Difference<'a> {
    pub live: Action,
    pub shadow: Action,
    /// Clauses that only the shadow policy finds.
    pub added: Vec<&'a str>,
    /// Clauses that only the policy in force found.
    pub removed: Vec<&'a str>,
}

impl Shadow {
    /// Starts judging with the policy of `live`, which reloads like the one in force.
    ///
    /// # Errors
    /// If no thread can be started.
    pub fn start(live: Arc<Live>, options: ShadowOptions, metrics: Arc<Metrics>) -> std::io::Result<Self> {
        metrics.loaded(Role::Shadow, live.guard().guard.policy());
        let (queue, jobs) = bounded(options.queue.max(1));
        let load = Arc::<Load>::default();
        for _ in 0..options.threads.max(1) {
            let (live, jobs, load, metrics) = (live.clone(), jobs.clone(), load.clone(), metrics.clone());
            std::thread::Builder::new()
                .name("shadow".into())
                .spawn(move || work(&live, &jobs, &load, &metrics))?;
        }
        Ok(Self { live, queue, load, options, metrics })
    }

    /// The shadow policy.
    pub fn live(&self) -> &Arc<Live> {
        &self.live
    }

    /// How many decisions wait or are being judged.
    pub fn pending(&self) -> usize {
        self.load.jobs.load(Ordering::Acquire)
    }

    pub(super) fn decided(&self, decision: &Decision<'_>) {
        let Some(input) = decision.input else { return self.metrics.shed("not_kept") };
        let bytes = size(input);
        if self.load.bytes.load(Ordering::Relaxed).saturating_add(bytes) > self.options.bytes {
            return self.metrics.shed("bytes");
        }
        if self.queue.is_full() {
            return self.metrics.shed("queue");
        }
        let job = Job {
            input: input.to_static(),
            bytes,
            exchange: decision.exchange.to_string(),
            endpoint: decision.endpoint,
            surface: decision.verdict.surface,
            action: decision.verdict.action,
            clauses: clauses_of(decision.verdict).into_iter().map(str::to_string).collect(),
            degraded: !degraded(decision.verdict).is_empty(),
        };
        self.load.jobs.fetch_add(1, Ordering::AcqRel);
        self.load.bytes.fetch_add(bytes, Ordering::Relaxed);
        if let Err(TrySendError::Full(job) | TrySendError::Disconnected(job)) = self.queue.try_send(job) {
            self.load.done(job.bytes);
            self.metrics.shed("queue");
        }
    }
}

impl Load {
    fn done(&self, bytes: usize) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        self.jobs.fetch_sub(1, Ordering::AcqRel);
    }
}

fn work(live: &Live, jobs: &Receiver<Job>, load: &Load, metrics: &Metrics) {
    for job in jobs {
        let loaded = live.guard();
        match loaded.guard.check(&job.input) {
            Ok(verdict) => compare(&job, &verdict, metrics),
            Err(_) => metrics.shed("not_judged"),
        }
        load.done(job.bytes);
    }
}

fn compare(job: &Job, verdict: &Verdict, metrics: &Metrics) {
    let shadow = clauses_of(verdict);
    let live: Vec<&str> = job.clauses.iter().map(String::as_str).collect();
    let difference = Difference {
        live: job.action,
        shadow: verdict.action,
        added: shadow.iter().filter(|clause| !live.contains(clause)).copied().collect(),
        removed: live.iter().filter(|clause| !shadow.contains(clause)).copied().collect(),
    };
    metrics.compared(&difference);
    let Difference { live, shadow, added, removed } = difference;
    if live != shadow || !added.is_empty() || !removed.is_empty() {
        tracing::info!(
            exchange = job.exchange,
            endpoint = job.endpoint,
            surface = job.surface.as_str(),
            live = live.as_str(),
            shadow = shadow.as_str(),
            added = added.join(","),
            removed = removed.join(","),
            degraded = job.degraded || !degraded(verdict).is_empty(),
            hash = verdict.policy().hash(),
            "the shadow policy decides otherwise"
        );
    }
}

/// The bytes of text in an input.
fn size(input: &Input<'_>) -> usize {
    let part = |part: &Part<'_>| match part {
        Part::Text { text, .. } | Part::Reasoning { text, .. } | Part::ToolResult { text, .. } => text.len(),
        Part::ToolCall { name, arguments, .. } => name.len() + arguments.len(),
        _ => 0,
    };
    let text: usize = input.messages.iter().flat_map(|message| &message.parts).map(part).sum();
    text + input.system.as_ref().map_or(0, |system| system.len())
}
