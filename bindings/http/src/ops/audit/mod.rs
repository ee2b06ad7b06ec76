//! Decision → **audit log**: JSON lines, each bound to the one before it by its hash.
//!
//! ```text
//! decided -> queue (bounded) -> one writer thread: chain, append, sync -> file
//! ```
//!
//! # What happens when the disk is full?
//! The writer keeps what it has and tries again until it succeeds; nothing that was queued is dropped. The queue fills, and
//! then each decision waits up to [`AuditOptions::wait`] for a place. After that it is *lost*: counted, reported on standard
//! error and, once writing works again, in the log itself. With [`AuditOptions::required`] it is refused instead.
//!
//! # What does `required` change?
//! [`Receipt::settled`] then waits until the line stands in the file, and fails where it does not in time: the gateway
//! answers 503 and passes nothing on. A refused decision may still be written later.

mod chain;
mod file;
mod record;
mod writer;

pub use chain::{Break, Chain, Flaw, MAX_LINE_BYTES, VerifyError, verify};
pub use file::OpenError;

use super::Decision;
use parking_lot::Mutex;
use prometheus_client::metrics::counter::Counter;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

/// How long the last lines may take when the process ends.
const CLOSING: Duration = Duration::from_secs(3);

/// When lines are forced to the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncPolicy {
    /// After every batch, before any of its decisions counts as written. A power failure loses no settled decision.
    Always,
    /// At most once in this time, and at the end. A power failure loses what was written since; a killed process nothing.
    Every(Duration),
    /// When the system gets round to it.
    Never,
}

/// How decisions are logged.
#[derive(Clone, Debug)]
pub struct AuditOptions {
    /// The file. It is created, or continued where it is there.
    pub path: PathBuf,
    /// Refuse what cannot be written.
    pub required: bool,
    /// How many decisions may wait to be written.
    pub queue: usize,
    /// How long a decision waits for a place in a full queue, and with `required` until it is written.
    pub wait: Duration,
    /// When lines are forced to the disk.
    pub sync: SyncPolicy,
    /// Write redacted texts and whatever else callers wrote into a verdict.
    pub text: bool,
}

impl AuditOptions {
    /// The defaults for a file: not required, 4,096 waiting, 250 ms, synced every second, no text.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            required: false,
            queue: 4_096,
            wait: Duration::from_millis(250),
            sync: SyncPolicy::Every(Duration::from_secs(1)),
            text: false,
        }
    }
}

/// A decision could not be written in time, and the log is required.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the decision could not be written to the audit log in time")]
pub struct Unrecorded;

/// The log of a process. Cheap to clone; shared by all tasks.
#[derive(Clone)]
pub struct Audit(Arc<Inner>);

struct Inner {
    options: AuditOptions,
    slots: Arc<Semaphore>,
    queue: Sender<Message>,
    state: Arc<State>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

/// What the writer and everyone else tell each other.
#[derive(Default)]
struct State {
    written: AtomicU64,
    lost: AtomicU64,
    failing: AtomicBool,
    stopping: AtomicBool,
    /// Lost decisions count as degraded checks, too.
    degraded: OnceLock<Counter>,
}

impl State {
    fn lose(&self, decisions: u64) {
        self.lost.fetch_add(decisions, Ordering::Relaxed);
        if let Some(degraded) = self.degraded.get() {
            degraded.inc_by(decisions);
        }
    }
}

/// What the writer is told.
enum Message {
    Line(Line),
    Stop,
}

/// A decision on its way to the file.
struct Line {
    at: SystemTime,
    members: Vec<u8>,
    done: Option<oneshot::Sender<()>>,
    /// Given back when the line is written, which makes room in the queue.
    slot: Option<OwnedSemaphorePermit>,
}

/// How an audit log is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuditStatus {
    /// Decisions that wait to be written.
    pub queued: usize,
    /// Decisions written since the start.
    pub written: u64,
    /// Decisions that are not in the log.
    pub lost: u64,
    /// Whether the last attempt to write failed.
    pub failing: bool,
    /// Whether what cannot be written is refused.
    pub required: bool,
}

impl Audit {
    /// Opens the log and starts its writer.
    ///
    /// # Errors
    /// If the file cannot be opened or written, is in use, or its last line does not verify.
    pub fn open(options: AuditOptions) -> Result<Self, OpenError> {
        let state = Arc::<State>::default();
        let writer = writer::Writer::open(&options, Arc::clone(&state))?;
        let (queue, messages) = channel();
        let thread = std::thread::Builder::new().name("audit".into()).spawn(move || writer.run(&messages));
        let thread = thread.map_err(|error| OpenError::File { path: options.path.clone(), error })?;
        let slots = Arc::new(Semaphore::new(options.queue.clamp(1, Semaphore::MAX_PERMITS)));
        Ok(Self(Arc::new(Inner { options, slots, queue, state, writer: Mutex::new(Some(thread)) })))
    }

    /// Hands a decision to the writer. Never waits; [`Receipt::settled`] does, where there is something to wait for.
    pub fn record(&self, decision: &Decision<'_>) -> Receipt {
        let inner = &self.0;
        let (done, written) = if inner.options.required {
            let (done, written) = oneshot::channel();
            (Some(done), Some(written))
        } else {
            (None, None)
        };
        let members = record::decision(decision, inner.options.text);
        let mut line = Line { at: SystemTime::now(), members, done, slot: None };
        match Arc::clone(&inner.slots).try_acquire_owned() {
            Ok(slot) => {
                line.slot = Some(slot);
                if !inner.send(line) {
                    return Receipt(Pending::Lost(inner.options.required));
                }
                match written {
                    None => Receipt(Pending::Nothing),
                    Some(written) => Receipt(Pending::Written { written, wait: inner.options.wait }),
                }
            }
            Err(_) => Receipt(Pending::Slot(Box::new(Waiting {
                inner: Arc::clone(inner),
                line: Some(line),
                written,
            }))),
        }
    }

    /// Counts lost decisions in a metric as well.
    pub(super) fn count_lost(&self, counter: Counter) {
        // An observer does so once.
        let _ = self.0.state.degraded.set(counter);
    }

    /// How the log is doing.
    pub fn status(&self) -> AuditStatus {
        let Inner { options, slots, state, .. } = &*self.0;
        AuditStatus {
            queued: options.queue.max(1).saturating_sub(slots.available_permits()),
            written: state.written.load(Ordering::Relaxed),
            lost: state.lost.load(Ordering::Relaxed),
            failing: state.failing.load(Ordering::Relaxed),
            required: options.required,
        }
    }

    /// Writes what is queued, ends the log with a `stop` line and waits for the disk, for at most three seconds.
    /// Decisions that come later are lost.
    pub fn close(&self) {
        self.0.stop();
    }
}

impl std::fmt::Debug for Audit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Audit({})", self.0.options.path.display())
    }
}

impl Inner {
    fn stop(&self) {
        let Some(writer) = self.writer.lock().take() else { return };
        self.state.stopping.store(true, Ordering::Relaxed);
        // The writer may have stopped already.
        let _ = self.queue.send(Message::Stop);
        let deadline = Instant::now() + CLOSING;
        while !writer.is_finished() {
            if Instant::now() >= deadline {
                tracing::error!("the audit log did not take its last lines in time");
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Whether the writer still takes lines; where it does not, the line is lost.
    fn send(&self, line: Line) -> bool {
        let sent = self.queue.send(Message::Line(line)).is_ok();
        if !sent {
            self.state.lose(1);
        }
        sent
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A decision's way into the log.
///
/// Dropped without [`settled`](Self::settled), a decision that found the queue full is lost, and counted as such.
#[derive(Default)]
pub struct Receipt(Pending);

#[derive(Default)]
enum Pending {
    /// Nothing to wait for.
    #[default]
    Nothing,
    /// The writer is gone.
    Lost(bool),
    /// Queued; the log is required.
    Written { written: oneshot::Receiver<()>, wait: Duration },
    /// Not queued yet.
    Slot(Box<Waiting>),
}

struct Waiting {
    inner: Arc<Inner>,
    line: Option<Line>,
    written: Option<oneshot::Receiver<()>>,
}

impl Receipt {
    /// Whether there is nothing to wait for.
    pub fn is_settled(&self) -> bool {
        matches!(self.0, Pending::Nothing)
    }

    /// Waits for a place in the queue and, where the log is required, until the line is written.
    ///
    /// # Errors
    /// Where the log is required and the line was not written in time: the caller passes nothing on.
    pub async fn settled(self) -> Result<(), Unrecorded> {
        match self.0 {
            Pending::Nothing | Pending::Lost(false) => Ok(()),
            Pending::Lost(true) => Err(Unrecorded),
            Pending::Written { written, wait } => acknowledged(written, wait).await,
            Pending::Slot(mut waiting) => {
                let (wait, required) = (waiting.inner.options.wait, waiting.inner.options.required);
                let slots = Arc::clone(&waiting.inner.slots);
                let slot = tokio::time::timeout(wait, slots.acquire_owned()).await;
                let (Ok(Ok(slot)), Some(mut line)) = (slot, waiting.line.take()) else {
                    waiting.inner.state.lose(1);
                    return if required { Err(Unrecorded) } else { Ok(()) };
                };
                line.slot = Some(slot);
                let sent = waiting.inner.send(line);
                match waiting.written.take() {
                    None => Ok(()),
                    Some(_) if !sent => Err(Unrecorded),
                    Some(written) => acknowledged(written, wait).await,
                }
            }
        }
    }
}

async fn acknowledged(written: oneshot::Receiver<()>, wait: Duration) -> Result<(), Unrecorded> {
    match tokio::time::timeout(wait, written).await {
        Ok(Ok(())) => Ok(()),
        _ => Err(Unrecorded),
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if self.line.take().is_some() {
            self.inner.state.lose(1);
        }
    }
}
