//! Asking the guard: on the spot where that takes microseconds, on a core of its own where the full model reads.

use crate::config::Config;
use crate::conversation;
use crate::failure::Failure;
use crate::ops::audit::Receipt;
use crate::ops::live::{Live, Loaded};
use crate::ops::telemetry::trace::Trace;
use crate::ops::{Decision, Ended, Observer};
use brightline::engine::CheckError;
use brightline::{Action, Input, Verdict};
use http::HeaderMap;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;

/// What all exchanges share.
pub(crate) struct Judge {
    pub(crate) config: Config,
    live: Arc<Live>,
    observer: Arc<Observer>,
    cores: Arc<Semaphore>,
    waiting: AtomicUsize,
    in_flight: Arc<AtomicUsize>,
    seed: u64,
    count: AtomicU64,
}

/// A text up to this long is judged on the spot: it takes less than handing it over.
const ON_THE_SPOT: usize = 32 << 10;
/// The same where models are loaded: the screen reads it besides.
const SCREENED_ON_THE_SPOT: usize = 4 << 10;

/// How a check may run.
#[derive(Clone, Copy)]
pub(crate) enum Pace {
    /// On the thread that serves: it gives up where the full model would have to read.
    Quick,
    /// On a core of its own.
    Full,
}

impl Judge {
    pub(crate) fn new(live: Arc<Live>, observer: Arc<Observer>, config: Config) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            config,
            live,
            observer,
            cores: Arc::new(Semaphore::new(cores)),
            waiting: AtomicUsize::new(0),
            in_flight: Arc::default(),
            seed: std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), 0u8),
            count: AtomicU64::new(0),
        }
    }

    /// How many exchanges are being served.
    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Begins an exchange under the policy that is in force now.
    pub(crate) fn begin(self: &Arc<Self>, endpoint: &'static str, headers: &HeaderMap) -> Arc<Exchange> {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        let started = Instant::now();
        let id = format!("{:016x}", self.seed.wrapping_add(count.wrapping_mul(0x9E37_79B9_7F4A_7C15)));
        Arc::new(Exchange {
            trace: self.observer.began(&id, endpoint, headers),
            id,
            endpoint,
            loaded: self.live.guard(),
            started,
            deadline: started + self.config.deadlines.exchange,
            judging: AtomicU64::new(0),
            receipts: Mutex::default(),
            end: Mutex::new(None),
            judge: self.clone(),
        })
    }
}

/// One exchange, from its request to the end of its response. The observer is told of its end when the last part of the
/// gateway lets go of it, however that comes about.
pub(crate) struct Exchange {
    pub(crate) id: String,
    pub(crate) endpoint: &'static str,
    pub(crate) loaded: Arc<Loaded>,
    pub(crate) deadline: Instant,
    pub(crate) judge: Arc<Judge>,
    started: Instant,
    judging: AtomicU64,
    receipts: Mutex<Vec<Receipt>>,
    /// The place in the client's trace, for the upstream.
    pub(crate) trace: Trace,
    end: Mutex<Option<(u16, Option<&'static str>)>>,
}

impl Exchange {
    pub(crate) fn config(&self) -> &Config {
        &self.judge.config
    }

    /// Seconds since 1970, for the `created` fields of the APIs.
    pub(crate) fn now(&self) -> u64 {
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs())
    }

    /// Notes how the exchange ends; the first failure counts.
    pub(crate) fn ends(&self, status: u16, failure: Option<&Failure>) {
        let mut end = self.end.lock();
        match (&mut *end, failure) {
            (Some((_, Some(_))), _) => {}
            (_, failure) => *end = Some((status, failure.map(Failure::kind))),
        }
    }

    /// Runs work of the guard, on a core of its own where a model may be asked or `bytes` are many.
    pub(crate) async fn work<T: Send + 'static>(
        &self,
        bytes: usize,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Failure> {
        let started = Instant::now();
        let result = if bytes <= ON_THE_SPOT && self.loaded.guard.models().is_none() {
            Ok(work())
        } else {
            self.queue(work).await
        };
        self.worked(started, result).await
    }

    /// Runs checks on the spot, as far as that takes microseconds. Where they give `None`, they go on from there on a core
    /// of their own.
    pub(crate) async fn checks<T: Send + 'static>(
        &self,
        bytes: usize,
        mut checks: impl FnMut(Pace) -> Result<Option<T>, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        let started = Instant::now();
        let screened = self.loaded.guard.models().is_some();
        let quick = bytes <= if screened { SCREENED_ON_THE_SPOT } else { ON_THE_SPOT };
        let mut result = if quick { checks(Pace::Quick) } else { Ok(None) };
        if let Ok(None) = result {
            result = self.queue(move || checks(Pace::Full)).await.and_then(|result| result);
        }
        let result = result.and_then(|done| done.ok_or(Failure::NotJudged));
        self.worked(started, result).await
    }

    /// Notes the time, and waits for what is written down: where a log of decisions is required, nothing goes on before.
    async fn worked<T>(&self, started: Instant, result: Result<T, Failure>) -> Result<T, Failure> {
        let spent = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.judging.fetch_add(spent, Ordering::Relaxed);
        let receipts = std::mem::take(&mut *self.receipts.lock());
        for receipt in receipts {
            receipt.settled().await.map_err(|_| Failure::NotRecorded)?;
        }
        result
    }

    /// Runs work in proportion to `bytes`, on a core of its own where they are many.
    pub(crate) async fn apart<T: Send + 'static>(
        &self,
        bytes: usize,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Failure> {
        if bytes <= ON_THE_SPOT { Ok(work()) } else { self.hand_over(work).await }
    }

    /// Hands a check over, unless too many wait already.
    async fn queue<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Failure> {
        let waiting = Waiting::enter(&self.judge.waiting);
        if waiting.before >= self.config().limits.waiting_checks {
            return Err(Failure::Overloaded);
        }
        self.hand_over(work).await
    }

    async fn hand_over<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Failure> {
        let cores = self.judge.cores.clone();
        let permit = tokio::time::timeout_at(self.deadline.into(), cores.acquire_owned())
            .await
            .map_err(|_| Failure::Deadline)?
            .map_err(|_| Failure::NotJudged)?;
        let work = tokio::task::spawn_blocking(move || {
            let result = work();
            drop(permit);
            result
        });
        tokio::time::timeout_at(self.deadline.into(), work)
            .await
            .map_err(|_| Failure::Deadline)?
            .map_err(|_| Failure::NotJudged)
    }

    /// Judges messages of a conversation, one after the other, and gives the conversation back. Stops after the first that
    /// goes no further.
    pub(crate) async fn check(
        self: &Arc<Self>,
        mut input: Input<'static>,
        targets: Vec<usize>,
    ) -> Result<(Input<'static>, Vec<(usize, Verdict)>), Failure> {
        let bytes = targets.iter().filter_map(|at| input.messages.get(*at)).map(conversation::len).sum();
        let exchange = self.clone();
        let mut verdicts = Vec::new();
        self.checks(bytes, move |pace| {
            while let Some(&target) = targets.get(verdicts.len()) {
                let Some(verdict) = exchange.check_now(&mut input, target, None, pace)? else {
                    return Ok(None);
                };
                let refused = Outcome::of(verdict.action) == Outcome::Refuse;
                verdicts.push((target, verdict));
                if refused {
                    break;
                }
            }
            Ok(Some((std::mem::take(&mut input), std::mem::take(&mut verdicts))))
        })
        .await
    }

    /// Judges one message on this thread; `None` where that would take longer than its pace allows.
    pub(crate) fn check_now(
        &self,
        input: &mut Input<'_>,
        target: usize,
        choice: Option<u32>,
        pace: Pace,
    ) -> Result<Option<Verdict>, Failure> {
        input.target = Some(target);
        let verdict = self.paced(input, pace).map_err(|_| Failure::NotJudged)?;
        if let Some(verdict) = &verdict {
            self.decided(Some(input), verdict, choice);
        }
        Ok(verdict)
    }

    /// The guard's verdict; `None` where it would take longer than its pace allows.
    pub(crate) fn paced(&self, input: &Input<'_>, pace: Pace) -> Result<Option<Verdict>, CheckError> {
        match pace {
            Pace::Quick => self.loaded.guard.try_check(input),
            Pace::Full => self.loaded.guard.check(input).map(Some),
        }
    }

    /// Who is told of decisions.
    pub(crate) fn observer(&self) -> &Observer {
        &self.judge.observer
    }

    /// Tells the observer of a decision.
    pub(crate) fn decided(&self, input: Option<&Input<'_>>, verdict: &Verdict, choice: Option<u32>) {
        let receipt = self.judge.observer.decided(&Decision {
            exchange: &self.id,
            endpoint: self.endpoint,
            input,
            choice,
            verdict,
            loaded: &self.loaded,
        });
        if !receipt.is_settled() {
            self.receipts.lock().push(receipt);
        }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.judge.in_flight.fetch_sub(1, Ordering::Relaxed);
        // Nobody said how it ends where the client went away before.
        let (status, failure) = self.end.lock().take().unwrap_or((499, Some("client_closed")));
        self.judge.observer.ended(&Ended {
            exchange: &self.id,
            endpoint: self.endpoint,
            status,
            failure,
            elapsed: self.started.elapsed(),
            judging: Duration::from_micros(self.judging.load(Ordering::Relaxed)),
        });
    }
}

/// A check that was handed over and has not come back.
struct Waiting<'a> {
    count: &'a AtomicUsize,
    before: usize,
}

impl<'a> Waiting<'a> {
    fn enter(count: &'a AtomicUsize) -> Self {
        Self { count, before: count.fetch_add(1, Ordering::Relaxed) }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What the gateway does about a verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Pass,
    Redact,
    Refuse,
}

impl Outcome {
    pub(crate) fn of(action: Action) -> Self {
        match action {
            Action::Allow | Action::Flag => Self::Pass,
            Action::Redact => Self::Redact,
            // A proxy has no model to ask again and no person to ask.
            _ => Self::Refuse,
        }
    }
}

/// What the client is told where a message was refused and the policy has no words for it.
pub(crate) const REFUSAL: &str = "I can't help with that.";

/// The words of a refusal.
pub(crate) fn refusal_of(verdict: &Verdict) -> String {
    verdict.message.clone().unwrap_or_else(|| REFUSAL.to_string())
}
