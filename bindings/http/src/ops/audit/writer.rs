//! The one thread that writes an audit log.

use super::file::{LogFile, OpenError, Torn};
use super::record::Record;
use super::{AuditOptions, Chain, Line, Message, State, SyncPolicy};
use crate::ops::clock::rfc3339;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant, SystemTime};

/// How much is written at once, in bytes and lines.
const BATCH_BYTES: usize = 1 << 20;
const BATCH_LINES: usize = 1_024;
/// How often the file's name is looked at, so that a rotated file is noticed without traffic.
const LOOK: Duration = Duration::from_secs(1);
/// How long to wait after a failed attempt.
const RETRY: Duration = Duration::from_millis(200);
/// How often a failure that lasts is reported.
const REPORT: Duration = Duration::from_secs(10);
/// How long writing is tried once the process stops.
const GRACE: Duration = Duration::from_secs(2);

pub(super) struct Writer {
    file: LogFile,
    chain: Chain,
    sync: SyncPolicy,
    state: Arc<State>,
    /// Lines that are numbered and not yet written.
    batch: Vec<u8>,
    lines: Vec<Line>,
    /// Lost decisions that the log already speaks of.
    told: u64,
    /// The file's new name could not be followed, and that was reported.
    astray: bool,
    synced: Instant,
    dirty: bool,
}

/// The process stops and nothing can be written any more.
struct GivenUp;

impl Writer {
    /// Opens the file and writes that a process begins, which shows that it can be written.
    pub(super) fn open(options: &AuditOptions, state: Arc<State>) -> Result<Self, OpenError> {
        let (file, chain, torn) = LogFile::open(&options.path)?;
        let mut writer = Self {
            file,
            chain,
            sync: options.sync,
            state,
            batch: Vec::new(),
            lines: Vec::new(),
            told: 0,
            astray: false,
            synced: Instant::now(),
            dirty: false,
        };
        if let Some(Torn { bytes, hash, kept }) = &torn {
            let kept = kept.to_string_lossy();
            tracing::error!(bytes, %kept, "the audit log ended within a line, which was set aside; the chain goes on");
            let blake3 = hash.to_hex();
            writer.note(&Record::Recovered { bytes: *bytes, blake3: &blake3, kept: &kept });
        }
        writer.note(&Record::Start { version: env!("CARGO_PKG_VERSION") });
        let first = writer.file.append(&writer.batch).and_then(|()| writer.file.sync());
        first.map_err(|error| OpenError::File { path: options.path.clone(), error })?;
        writer.batch.clear();
        Ok(writer)
    }

    pub(super) fn run(mut self, messages: &Receiver<Message>) {
        let mut stop = false;
        while !stop {
            let message = messages.recv_timeout(self.patience());
            self.follow();
            stop = match message {
                Ok(first) => self.gather(first, messages),
                Err(RecvTimeoutError::Timeout) => false,
                Err(RecvTimeoutError::Disconnected) => true,
            };
            if stop {
                self.note(&Record::Stop);
            }
            if self.write(stop).is_err() {
                break;
            }
        }
        self.give_up(messages);
    }

    /// How long nothing has to be done.
    fn patience(&self) -> Duration {
        match self.sync {
            SyncPolicy::Every(every) if self.dirty => LOOK.min(every.saturating_sub(self.synced.elapsed())),
            _ => LOOK,
        }
    }

    /// Numbers what is queued, up to the size of a batch; says whether the writer is to stop.
    fn gather(&mut self, first: Message, messages: &Receiver<Message>) -> bool {
        let lost = self.state.lost.load(Ordering::Relaxed);
        if lost > self.told {
            let decisions = lost - self.told;
            tracing::error!(decisions, "decisions are missing from the audit log: its queue was full");
            self.note(&Record::Lost { decisions });
            self.told = lost;
        }
        let mut next = Some(first);
        while let Some(message) = next {
            let Message::Line(line) = message else { return true };
            self.chain.append(&rfc3339(line.at), &line.members, &mut self.batch);
            self.lines.push(line);
            let full = self.batch.len() >= BATCH_BYTES || self.lines.len() >= BATCH_LINES;
            next = if full { None } else { messages.try_recv().ok() };
        }
        false
    }

    /// A line of the writer's own.
    fn note(&mut self, record: &Record<'_>) {
        self.chain.append(&rfc3339(SystemTime::now()), &record.members(), &mut self.batch);
    }

    /// Follows the file's name to a new file.
    fn follow(&mut self) {
        match self.file.follow_rotation() {
            Ok(false) => self.astray = false,
            Ok(true) => {
                self.astray = false;
                tracing::info!("the audit log was rotated; the chain goes on in the new file");
                self.note(&Record::Rotated);
            }
            Err(error) if !self.astray => {
                self.astray = true;
                tracing::error!(%error, "the audit log goes on in the file that was renamed");
            }
            Err(_) => {}
        }
    }

    /// Writes the batch, however long that takes; gives up only where the process stops.
    fn write(&mut self, stop: bool) -> Result<(), GivenUp> {
        let started = Instant::now();
        let mut reported = None;
        while !self.batch.is_empty() {
            let Err(error) = self.attempt() else { break };
            self.state.failing.store(true, Ordering::Relaxed);
            if reported.is_none_or(|at: Instant| at.elapsed() >= REPORT) {
                reported = Some(Instant::now());
                let (waiting, lost) = (self.lines.len(), self.state.lost.load(Ordering::Relaxed));
                tracing::error!(%error, waiting, lost, "cannot write the audit log; trying on");
            }
            if self.state.stopping.load(Ordering::Relaxed) && started.elapsed() >= GRACE {
                return Err(GivenUp);
            }
            std::thread::sleep(RETRY);
            // Room is often made by rotating this very file.
            self.follow();
        }
        if reported.is_some() {
            tracing::info!("the audit log can be written again");
        }
        let due = match self.sync {
            SyncPolicy::Always => false,
            SyncPolicy::Every(every) => self.dirty && (stop || self.synced.elapsed() >= every),
            SyncPolicy::Never => false,
        };
        if due {
            self.synced = Instant::now();
            self.dirty = false;
            if let Err(error) = self.file.sync() {
                tracing::error!(%error, "the audit log could not be forced to the disk");
            }
        }
        Ok(())
    }

    /// Writes the batch once, and tells those who wait.
    fn attempt(&mut self) -> std::io::Result<()> {
        self.file.append(&self.batch)?;
        self.batch.clear();
        self.dirty = true;
        self.state.failing.store(false, Ordering::Relaxed);
        self.state.written.fetch_add(self.lines.len() as u64, Ordering::Relaxed);
        let durable = match self.sync {
            SyncPolicy::Always => self.file.sync(),
            _ => Ok(()),
        };
        for line in self.lines.drain(..) {
            if let (Some(done), true) = (line.done, durable.is_ok()) {
                // Whoever waited may have gone.
                let _ = done.send(());
            }
        }
        if let Err(error) = durable {
            tracing::error!(%error, "the audit log could not be forced to the disk");
        }
        Ok(())
    }

    /// Counts everything that waits as lost.
    fn give_up(self, messages: &Receiver<Message>) {
        let queued = messages.try_iter().filter(|message| matches!(message, Message::Line(_))).count();
        let lost = (self.lines.len() + queued) as u64;
        self.state.lose(lost);
        if lost > 0 {
            tracing::error!(
                decisions = lost,
                "the process stops and these decisions are not in the audit log"
            );
        }
    }
}
