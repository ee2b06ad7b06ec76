//! Decisions → **numbers** for Prometheus.
//!
//! Every label takes one of a bounded set of values: endpoints and failures are the gateway's own words, clauses those of
//! the policies in force, at most [`MAX_CLAUSES`]; what is beyond them counts as `other`.

use super::audit::{Audit, AuditStatus};
use super::live::Reload;
use super::{Decision, Ended, Role};
use brightline::{Policy, Verdict};
use parking_lot::RwLock;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric, text};
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use std::collections::HashSet;
use std::sync::{Arc, OnceLock};

/// How many clauses have numbers of their own.
pub const MAX_CLAUSES: usize = 1_000;

/// Upper bounds of the time spent judging, in seconds: from rules alone to the full model on a long text.
const JUDGING: [f64; 16] =
    [5e-6, 1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1, 0.25, 1.0];
/// Upper bounds of the time of a whole exchange, in seconds: most of it is the model's that answers.
const EXCHANGE: [f64; 14] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Request {
    endpoint: &'static str,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Failure {
    endpoint: &'static str,
    failure: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Endpoint {
    endpoint: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Decided {
    surface: &'static str,
    action: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Clause {
    clause: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Tier {
    tier: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reloaded {
    role: &'static str,
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct InForce {
    role: &'static str,
    name: String,
    version: String,
    hash: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RoleLabel {
    role: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ActionChange {
    live: &'static str,
    shadow: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ClauseChange {
    clause: String,
    change: &'static str,
}

type Histograms<L> = Family<L, Histogram, fn() -> Histogram>;

/// All numbers of a process.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    requests: Family<Request, Counter>,
    failures: Family<Failure, Counter>,
    exchange: Histograms<Endpoint>,
    overhead: Histograms<Endpoint>,
    pub(super) in_flight: Gauge,
    decisions: Family<Decided, Counter>,
    findings: Family<Clause, Counter>,
    judging: Histograms<Tier>,
    degraded: Family<Reason, Counter>,
    unverified: Family<Reason, Counter>,
    pub(super) streams: Gauge,
    pub(super) held: Gauge,
    reloads: Family<Reloaded, Counter>,
    refused: Family<RoleLabel, Gauge>,
    in_force: Family<InForce, Gauge>,
    shadow_judged: Counter,
    shadow_shed: Family<Reason, Counter>,
    shadow_actions: Family<ActionChange, Counter>,
    shadow_clauses: Family<ClauseChange, Counter>,
    clauses: RwLock<Clauses>,
    pub(super) log_lines_lost: Counter,
    audit: Arc<OnceLock<Audit>>,
}

/// The policies that numbers are kept for.
#[derive(Debug, Default)]
struct Clauses {
    live: HashSet<String>,
    shadow: HashSet<String>,
    shown: Vec<InForce>,
}

impl Clauses {
    /// The clause as a label.
    fn label(&self, clause: &str) -> Clause {
        let known = self.live.contains(clause) || self.shadow.contains(clause);
        Clause { clause: if known { clause } else { "other" }.to_string() }
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Numbers that all begin at zero.
    pub fn new() -> Self {
        let judging: fn() -> Histogram = || Histogram::new(JUDGING);
        let exchange: fn() -> Histogram = || Histogram::new(EXCHANGE);
        let mut metrics = Self {
            registry: Registry::with_prefix("brightline"),
            requests: Family::default(),
            failures: Family::default(),
            exchange: Family::new_with_constructor(exchange),
            overhead: Family::new_with_constructor(judging),
            in_flight: Gauge::default(),
            decisions: Family::default(),
            findings: Family::default(),
            judging: Family::new_with_constructor(judging),
            degraded: Family::default(),
            unverified: Family::default(),
            streams: Gauge::default(),
            held: Gauge::default(),
            reloads: Family::default(),
            refused: Family::default(),
            in_force: Family::default(),
            shadow_judged: Counter::default(),
            shadow_shed: Family::default(),
            shadow_actions: Family::default(),
            shadow_clauses: Family::default(),
            clauses: RwLock::default(),
            log_lines_lost: Counter::default(),
            audit: Arc::default(),
        };
        metrics.register();
        metrics
    }

    fn register(&mut self) {
        let Self { registry, .. } = self;
        registry.register("requests", "Exchanges that ended, by endpoint and status", self.requests.clone());
        registry.register("failures", "Exchanges that failed, by kind of failure", self.failures.clone());
        let (exchange, overhead) = (self.exchange.clone(), self.overhead.clone());
        registry.register_with_unit(
            "exchange",
            "From the first byte in to the last byte out",
            Unit::Seconds,
            exchange,
        );
        registry.register_with_unit(
            "overhead",
            "Time an exchange spent being judged",
            Unit::Seconds,
            overhead,
        );
        registry.register(
            "exchanges_open",
            "Exchanges that have begun and not ended",
            self.in_flight.clone(),
        );
        registry.register("decisions", "Verdicts, by surface and action", self.decisions.clone());
        registry.register("findings", "Verdicts that name a clause", self.findings.clone());
        let judging = self.judging.clone();
        registry.register_with_unit(
            "check",
            "Time of one check, by the last tier that was asked",
            Unit::Seconds,
            judging,
        );
        registry.register(
            "degraded_checks",
            "Verdicts that a missing or failed detector limits",
            self.degraded.clone(),
        );
        registry.register(
            "unverified_checks",
            "Verdicts on texts unlike those that were measured",
            self.unverified.clone(),
        );
        registry.register("streams_open", "Streams that are being judged", self.streams.clone());
        registry.register(
            "held_bytes",
            "Bytes of messages that open streams hold in memory",
            self.held.clone(),
        );
        registry.register("reloads", "Attempts to reload a policy, by outcome", self.reloads.clone());
        registry.register(
            "policy_refused",
            "1 while the newest state of the files is refused",
            self.refused.clone(),
        );
        registry.register("policy", "1 for the policy in force", self.in_force.clone());
        registry.register(
            "shadow_judged",
            "Decisions compared with the shadow policy",
            self.shadow_judged.clone(),
        );
        registry.register(
            "shadow_shed",
            "Decisions not compared with the shadow policy",
            self.shadow_shed.clone(),
        );
        registry.register(
            "shadow_actions",
            "Decisions whose action the shadow policy changes",
            self.shadow_actions.clone(),
        );
        registry.register(
            "shadow_clauses",
            "Findings the shadow policy adds or removes",
            self.shadow_clauses.clone(),
        );
        registry.register(
            "log_lines_lost",
            "Lines dropped because nobody read the log",
            self.log_lines_lost.clone(),
        );
        registry.register_collector(Box::new(Outside { audit: Arc::clone(&self.audit) }));
    }

    /// All numbers in the OpenMetrics text format, which Prometheus reads.
    pub fn encode(&self) -> String {
        let mut out = String::new();
        // Writing to memory does not fail.
        let _ = text::encode(&mut out, &self.registry);
        out
    }

    /// Shows how an audit log is doing.
    pub(super) fn watch(&self, audit: Audit) {
        let reason = "not_recorded";
        audit.count_lost(self.degraded.get_or_create_owned(&Reason { reason }));
        // A process has one log.
        let _ = self.audit.set(audit);
    }

    pub(super) fn decided(&self, decision: &Decision<'_>) {
        let verdict = decision.verdict;
        let (surface, action) = (verdict.surface.as_str(), verdict.action.as_str());
        self.decisions.get_or_create(&Decided { surface, action }).inc();
        let tier = verdict.scanned.tiers.names().last().unwrap_or("rules");
        #[expect(clippy::cast_precision_loss, reason = "a duration in seconds")]
        let seconds = verdict.elapsed_us as f64 / 1e6;
        self.judging.get_or_create(&Tier { tier }).observe(seconds);
        if !verdict.findings.is_empty() {
            // A guard that was given rather than loaded is known from its first finding on.
            if self.clauses.read().live.is_empty() {
                self.loaded(Role::Live, verdict.policy());
            }
            let clauses = self.clauses.read();
            for clause in clauses_of(verdict) {
                self.findings.get_or_create(&clauses.label(clause)).inc();
            }
        }
        for reason in degraded(verdict) {
            self.degraded.get_or_create(&Reason { reason }).inc();
        }
        if let Some(reason) = verdict.unverified {
            self.unverified.get_or_create(&Reason { reason }).inc();
        }
    }

    pub(super) fn ended(&self, ended: &Ended<'_>) {
        let Ended { endpoint, status, failure, elapsed, judging, .. } = *ended;
        self.requests.get_or_create(&Request { endpoint, status }).inc();
        if let Some(failure) = failure {
            self.failures.get_or_create(&Failure { endpoint, failure }).inc();
        }
        self.exchange.get_or_create(&Endpoint { endpoint }).observe(elapsed.as_secs_f64());
        self.overhead.get_or_create(&Endpoint { endpoint }).observe(judging.as_secs_f64());
    }

    /// A policy is taken into use: its clauses are shown from now on, with zero, and those that are gone no more.
    pub(super) fn loaded(&self, role: Role, policy: &Policy) {
        let role_label = role.as_str();
        let mut clauses = self.clauses.write();
        let ids = policy.clauses().iter().take(MAX_CLAUSES).map(|clause| clause.id.clone()).collect();
        let gone = match role {
            Role::Live => std::mem::replace(&mut clauses.live, ids),
            Role::Shadow => std::mem::replace(&mut clauses.shadow, ids),
        };
        for clause in gone {
            if !clauses.live.contains(&clause) && !clauses.shadow.contains(&clause) {
                for change in ["added", "removed"] {
                    self.shadow_clauses.remove(&ClauseChange { clause: clause.clone(), change });
                }
            }
            if !clauses.live.contains(&clause) {
                self.findings.remove(&Clause { clause });
            }
        }
        for clause in &clauses.live {
            drop(self.findings.get_or_create(&Clause { clause: clause.clone() }));
        }
        clauses.shown.retain(|shown| shown.role != role_label || !self.in_force.remove(shown));
        let shown = InForce {
            role: role_label,
            name: policy.name().to_string(),
            version: policy.version().to_string(),
            hash: policy.hash().to_string(),
        };
        self.in_force.get_or_create(&shown).set(1);
        clauses.shown.push(shown);
        self.refused.get_or_create(&RoleLabel { role: role_label }).set(0);
    }

    pub(super) fn reloaded(&self, role: Role, outcome: &Reload) {
        let (result, refused) = match outcome {
            Reload::Exchanged => ("exchanged", 0),
            Reload::Unchanged => ("unchanged", 0),
            Reload::Refused(_) => ("refused", 1),
        };
        let role = role.as_str();
        self.reloads.get_or_create(&Reloaded { role, result }).inc();
        self.refused.get_or_create(&RoleLabel { role }).set(refused);
    }

    pub(super) fn compared(&self, difference: &super::shadow::Difference<'_>) {
        self.shadow_judged.inc();
        let (live, shadow) = (difference.live.as_str(), difference.shadow.as_str());
        if live != shadow {
            self.shadow_actions.get_or_create(&ActionChange { live, shadow }).inc();
        }
        let clauses = self.clauses.read();
        for (changed, change) in [(&difference.added, "added"), (&difference.removed, "removed")] {
            for clause in changed {
                let Clause { clause } = clauses.label(clause);
                self.shadow_clauses.get_or_create(&ClauseChange { clause, change }).inc();
            }
        }
    }

    pub(super) fn shed(&self, reason: &'static str) {
        self.shadow_shed.get_or_create(&Reason { reason }).inc();
    }
}

/// The clauses a verdict names, each once.
pub(super) fn clauses_of(verdict: &Verdict) -> Vec<&str> {
    let mut clauses: Vec<&str> = verdict
        .findings
        .iter()
        .filter_map(|finding| verdict.clause_of(finding))
        .map(|clause| clause.id.as_str())
        .collect();
    clauses.sort_unstable();
    clauses.dedup();
    clauses
}

/// Why a verdict is limited, each reason once.
pub(super) fn degraded(verdict: &Verdict) -> Vec<&'static str> {
    let undecided = verdict.undecided().next().map(|_| "model_not_loaded");
    let mut reasons: Vec<&str> = verdict.failures.iter().map(|it| it.reason).chain(undecided).collect();
    reasons.sort_unstable();
    reasons.dedup();
    reasons
}

/// Numbers that others keep, read when they are asked for.
struct Outside {
    audit: Arc<OnceLock<Audit>>,
}

impl std::fmt::Debug for Outside {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Outside")
    }
}

impl Collector for Outside {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let mut gauge = |name: &str, help: &str, value: usize| {
            let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
            let kind = gauge.metric_type();
            gauge.encode(encoder.encode_descriptor(name, help, None, kind)?)
        };
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            gauge("tasks", "Tasks that are alive", runtime.metrics().num_alive_tasks())?;
        }
        let Some(AuditStatus { queued, written, lost, failing, .. }) = self.audit.get().map(Audit::status)
        else {
            return Ok(());
        };
        gauge("audit_queued", "Decisions that wait to be written to the audit log", queued)?;
        gauge("audit_failing", "1 while the audit log cannot be written", usize::from(failing))?;
        let mut counter = |name: &str, help: &str, value: u64| {
            let counter = ConstCounter::new(value);
            let kind = counter.metric_type();
            counter.encode(encoder.encode_descriptor(name, help, None, kind)?)
        };
        counter("audit_written", "Decisions written to the audit log", written)?;
        counter("audit_lost", "Decisions missing from the audit log", lost)
    }
}
