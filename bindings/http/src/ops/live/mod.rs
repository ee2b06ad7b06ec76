//! Files → **policy in force**, which may be exchanged while requests are in flight.
//!
//! ```text
//! watch (every second, or SIGHUP) -> read, compile, build a guard -> exchange, or refuse and keep the old one
//! ```
//! One thread does all of it, so two reloads never cross. A request takes the policy once and keeps it to its end.

mod source;
mod watch;

pub use source::{Refused, Source};

use super::Role;
use super::clock::rfc3339;
use super::metrics::Metrics;
use brightline::{Guard, Models, Settings};
use parking_lot::RwLock;
use serde_json::json;
use source::Reading;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, SystemTime};
use watch::{Snapshot, Watch};

/// How often files are looked at where nothing else is said.
pub const WATCH_EVERY: Duration = Duration::from_secs(1);
/// How often one reload reads files that change under it.
const TRIES: usize = 3;
/// How many diagnostics are told one by one.
const MAX_TOLD: usize = 50;

/// One loaded policy.
pub struct Loaded {
    /// Ready to judge.
    pub guard: Guard,
    /// How many were loaded before it.
    pub generation: u64,
    /// When it was taken into use.
    pub since: SystemTime,
}

/// The policy in force. A request takes it once and keeps it to its end.
pub struct Live {
    shared: Arc<Shared>,
    reloads: Option<Sender<Command>>,
}

struct Shared {
    current: RwLock<Arc<Loaded>>,
    refused: RwLock<Option<(SystemTime, Arc<Refused>)>>,
}

/// What came of a reload.
#[derive(Clone, Debug)]
pub enum Reload {
    /// Another policy is in force.
    Exchanged,
    /// The files say what they said before.
    Unchanged,
    /// The policy in force stays, for this reason.
    Refused(Arc<Refused>),
}

struct Command {
    done: Option<Sender<Reload>>,
}

impl Live {
    /// Starts with a guard that never changes.
    pub fn new(guard: Guard) -> Self {
        Self { shared: Arc::new(Shared::new(guard)), reloads: None }
    }

    /// Reads and verifies the policy with its models, and watches its files from then on.
    ///
    /// # Errors
    /// If the policy does not compile, or settings or models cannot be used: nothing is served without them.
    pub fn open(source: Source, role: Role, every: Duration, metrics: Arc<Metrics>) -> Result<Self, Refused> {
        let mut files = source.files();
        let (reading, state) = settle(&source, None, &mut files);
        let (guard, settings) = reading?;
        metrics.loaded(role, guard.policy());
        announce(role, &guard, 0);
        let shared = Arc::new(Shared::new(guard));
        let (reloads, commands) = channel();
        let mut watch = Watch::default();
        watch.read(state);
        let reloader =
            Reloader { shared: Arc::clone(&shared), source, settings, role, metrics, watch, files };
        std::thread::Builder::new()
            .name("reload".into())
            .spawn(move || reloader.run(&commands, every))
            .map_err(|error| format!("cannot start a thread: {error}"))?;
        Ok(Self { shared, reloads: Some(reloads) })
    }

    /// The policy in force now.
    pub fn guard(&self) -> Arc<Loaded> {
        self.shared.current.read().clone()
    }

    /// Why the last change was not taken over; `None` where it was.
    pub fn refused(&self) -> Option<Arc<Refused>> {
        self.shared.refused.read().as_ref().map(|(_, refused)| Arc::clone(refused))
    }

    /// Asks for a reload and goes on: what a signal does.
    pub fn hang_up(&self) {
        if let Some(reloads) = &self.reloads {
            // The thread ends only with this value.
            let _ = reloads.send(Command { done: None });
        }
    }

    /// Reloads and waits for it; `None` for a policy that never changes.
    pub fn reload(&self) -> Option<Reload> {
        let (done, outcome) = channel();
        self.reloads.as_ref()?.send(Command { done: Some(done) }).ok()?;
        outcome.recv().ok()
    }

    /// What `/ready` says about it.
    pub fn status(&self) -> serde_json::Value {
        let loaded = self.guard();
        let policy = loaded.guard.policy();
        let mut status = json!({
            "policy": {"name": policy.name(), "version": policy.version(), "hash": policy.hash()},
            "since": rfc3339(loaded.since),
            "generation": loaded.generation,
        });
        if let (Some(models), Some(out)) = (loaded.guard.models(), status.as_object_mut()) {
            let models = json!({"name": models.name(), "version": models.version(), "hash": models.hash()});
            out.insert("model".into(), models);
        }
        if let (true, Some(out)) = (lacks_models(&loaded.guard), status.as_object_mut()) {
            out.insert("degraded".into(), json!(["model_not_loaded"]));
        }
        if let (Some((at, refused)), Some(out)) =
            (self.shared.refused.read().as_ref(), status.as_object_mut())
        {
            let first: Vec<_> = refused.diagnostics.iter().take(MAX_TOLD).collect();
            let reason = json!({
                "time": rfc3339(*at), "reason": refused.reason, "errors": refused.diagnostics.len(),
                "diagnostics": first,
            });
            out.insert("refused".into(), reason);
        }
        status
    }
}

impl Shared {
    fn new(guard: Guard) -> Self {
        let loaded = Loaded { guard, generation: 0, since: SystemTime::now() };
        Self { current: RwLock::new(Arc::new(loaded)), refused: RwLock::default() }
    }
}

struct Reloader {
    shared: Arc<Shared>,
    source: Source,
    settings: Settings,
    role: Role,
    metrics: Arc<Metrics>,
    watch: Watch,
    files: Vec<PathBuf>,
}

impl Reloader {
    fn run(mut self, commands: &Receiver<Command>, every: Duration) {
        loop {
            match commands.recv_timeout(every) {
                Ok(Command { done }) => {
                    let outcome = self.reload();
                    if let Some(done) = done {
                        // Whoever asked may have gone.
                        let _ = done.send(outcome);
                    }
                }
                Err(RecvTimeoutError::Timeout) if self.watch.look() => {
                    self.reload();
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn reload(&mut self) -> Reload {
        let current = self.shared.current.read().clone();
        let (read, state) = settle(&self.source, current.guard.models(), &mut self.files);
        self.watch.read(state);
        let outcome = match read {
            Err(refused) => self.refuse(refused),
            Ok((guard, settings)) => {
                *self.shared.refused.write() = None;
                let hash = |guard: &Guard| guard.models().map(|models| models.hash().to_string());
                let same = guard.policy().hash() == current.guard.policy().hash()
                    && settings == self.settings
                    && hash(&guard) == hash(&current.guard);
                if same { Reload::Unchanged } else { self.exchange(guard, settings, current.generation + 1) }
            }
        };
        self.metrics.reloaded(self.role, &outcome);
        outcome
    }

    fn exchange(&mut self, guard: Guard, settings: Settings, generation: u64) -> Reload {
        self.metrics.loaded(self.role, guard.policy());
        self.settings = settings;
        let loaded = Loaded { guard: guard.clone(), generation, since: SystemTime::now() };
        *self.shared.current.write() = Arc::new(loaded);
        announce(self.role, &guard, generation);
        Reload::Exchanged
    }

    fn refuse(&self, refused: Refused) -> Reload {
        let role = self.role.as_str();
        for diagnostic in refused.diagnostics.iter().take(MAX_TOLD) {
            tracing::error!(
                role,
                code = diagnostic.code.as_str(),
                document = diagnostic.source.name(),
                line = diagnostic.line(),
                help = diagnostic.help.as_deref(),
                "{}",
                diagnostic.message
            );
        }
        let errors = refused.diagnostics.len();
        tracing::error!(role, reason = %refused.reason, errors, "the new policy is refused; the old one stays in force");
        let refused = Arc::new(refused);
        *self.shared.refused.write() = Some((SystemTime::now(), Arc::clone(&refused)));
        Reload::Refused(refused)
    }
}

/// Whether some clause of the policy needs a model and there is none.
fn lacks_models(guard: &Guard) -> bool {
    guard.models().is_none() && guard.policy().needs_models()
}

fn announce(role: Role, guard: &Guard, generation: u64) {
    let (role, policy) = (role.as_str(), guard.policy());
    tracing::info!(
        role,
        policy = policy.name(),
        version = policy.version(),
        hash = policy.hash(),
        generation,
        "policy in force"
    );
    if lacks_models(guard) {
        tracing::warn!(role, "no model is loaded: clauses that need one stay undecided");
    }
}

/// Reads until the files are the same before and after, so that a policy is never made of two states of them.
fn settle(
    source: &Source,
    models: Option<&Models>,
    files: &mut Vec<PathBuf>,
) -> (Result<(Guard, Settings), Refused>, Snapshot) {
    let mut models = models.cloned();
    let mut before = Snapshot::of(files.iter().cloned());
    for _ in 0..TRIES {
        let Reading { guard, files: read } = source.read(models.as_ref());
        files.clone_from(&read);
        let after = Snapshot::of(read);
        if before == after {
            return (guard, after);
        }
        models = guard.ok().and_then(|(guard, _)| guard.models().cloned()).or(models);
        before = after;
    }
    let reason = format!("`{}` or a file it is made of changes while it is read", source.policy);
    (Err(reason.into()), before.unread())
}
