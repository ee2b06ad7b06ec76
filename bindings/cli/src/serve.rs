//! `brightline serve`: the gateway, from arguments.

use crate::args::{AuditArgs, LimitArgs, ServeArgs};
use crate::{Outcome, Stop, check, output};
use brightline::GuardOptions;
use brightline_http::ops::audit::{Audit, AuditOptions};
use brightline_http::ops::live::{Live, Source, WATCH_EVERY};
use brightline_http::ops::metrics::Metrics;
use brightline_http::ops::shadow::{Shadow, ShadowOptions};
use brightline_http::ops::signals::reload_on_hangup;
use brightline_http::ops::telemetry::exporter::Exporter;
use brightline_http::ops::telemetry::logs::{LogFormat, LogWriter};
use brightline_http::ops::{Observer, Role};
use brightline_http::{Config, Gateway, Judged, OnError, Upstream};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::level_filters::LevelFilter;

fn input(error: impl std::fmt::Display) -> Stop {
    Stop::Input(error.to_string())
}

pub(crate) fn run(args: &ServeArgs) -> Result<Outcome, Stop> {
    let config = config(args);
    let upstream = Upstream::new(&args.upstream, &config).map_err(input)?;
    let metrics = Arc::new(Metrics::default());
    let logs = LogWriter::new(std::io::stderr(), &metrics)?;
    let level: LevelFilter =
        args.log_level.parse().map_err(|_| Stop::Input(format!("unknown log level `{}`", args.log_level)))?;
    let format = if args.log_format == "text" { LogFormat::Text } else { LogFormat::Json };
    logs.install(format, level).map_err(input)?;

    let live = open(args, &args.policy.policy, Role::Live, &metrics)?;
    let about = check::about_models(&live.guard().guard);
    let observer = observer(args, metrics)?;
    let shadow = observer.shadow().map(|shadow| shadow.live().clone());
    let observer = Arc::new(observer);

    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let served = runtime.block_on(async {
        let listener = TcpListener::bind(&args.listen)
            .await
            .map_err(|error| Stop::Input(format!("cannot listen at `{}`: {error}", args.listen)))?;
        let address = listener.local_addr()?;
        reload_on_hangup([Some(live.clone()), shadow].into_iter().flatten().collect())?;
        let stop = stop(signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let name = live.guard().guard.policy().name().to_string();
        output::notice(&format!("policy {name}, in front of {}, at http://{address}", args.upstream));
        if let Some(about) = about {
            output::notice(&about);
        }
        let gateway = Gateway::new(live, observer.clone(), upstream, config);
        gateway.serve(listener, stop).await.map_err(input)
    });
    // A check that is still running has nobody to answer to.
    observer.close();
    runtime.shutdown_timeout(Duration::from_secs(1));
    logs.flush();
    served.map(|()| Outcome::Fine)
}

/// Everything that is told of decisions.
fn observer(args: &ServeArgs, metrics: Arc<Metrics>) -> Result<Observer, Stop> {
    let mut observer = Observer::new(metrics.clone());
    if let Some(options) = audit(&args.audit) {
        observer = observer.with_audit(Audit::open(options).map_err(input)?);
    }
    if let Some(policy) = &args.shadow {
        let shadow = open(args, policy, Role::Shadow, &metrics)?;
        observer = observer.with_shadow(Shadow::start(shadow, ShadowOptions::default(), metrics)?);
    }
    match Exporter::from_env() {
        Ok(None) => {}
        Ok(Some(exporter)) => observer = observer.with_exporter(exporter),
        // Many platforms set the variables for every process; that is no reason not to guard.
        Err(error) => tracing::warn!(%error, "no traces are exported"),
    }
    Ok(observer)
}

fn audit(args: &AuditArgs) -> Option<AuditOptions> {
    let mut options = AuditOptions::new(args.audit.as_ref()?);
    options.required = args.audit_required;
    options.text = args.audit_text;
    set(&mut options.queue, args.audit_queue.and_then(|it| usize::try_from(it).ok()));
    set(&mut options.wait, args.audit_wait.map(Duration::from_millis));
    set(&mut options.sync, args.audit_sync);
    Some(options)
}

/// A policy that is watched.
fn open(args: &ServeArgs, policy: &str, role: Role, metrics: &Arc<Metrics>) -> Result<Arc<Live>, Stop> {
    check::is_there(policy)?;
    let options = GuardOptions {
        require_models: args.require_models,
        deadline: args.policy.deadline.map(Duration::from_millis),
        ..GuardOptions::default()
    };
    let settings = args.shadow_settings.as_ref().filter(|_| role == Role::Shadow);
    let source = Source {
        policy: policy.to_string(),
        settings: settings.or(args.policy.settings.as_ref()).cloned(),
        models: check::models_folder(policy, &args.policy.models),
        backend: check::backend(&args.policy.models),
        options,
    };
    match Live::open(source, role, WATCH_EVERY, metrics.clone()) {
        Ok(live) => Ok(Arc::new(live)),
        Err(refused) if refused.diagnostics.is_empty() => Err(input(refused)),
        Err(refused) => Err(check::does_not_compile(&refused.diagnostics)?),
    }
}

/// Resolves at the first signal to end.
async fn stop(mut terminate: Signal, mut interrupt: Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

fn config(args: &ServeArgs) -> Config {
    let mut config = Config {
        judged: Judged { history: args.judge_history, system: args.judge_system },
        on_error: if args.on_error == "allow" { OnError::Allow } else { OnError::Block },
        pass_through: args.pass_through,
        trust_context: args.trust_context,
        ..Config::default()
    };
    let LimitArgs {
        max_request,
        max_response,
        max_connections,
        exchange_timeout,
        client_timeout,
        connect_timeout,
        first_byte_timeout,
        idle_timeout,
        drain_timeout,
    } = &args.limits;
    let limits = &mut config.limits;
    set(&mut limits.request_bytes, *max_request);
    set(&mut limits.response_bytes, *max_response);
    set(&mut limits.connections, max_connections.and_then(|it| usize::try_from(it).ok()));
    let deadlines = &mut config.deadlines;
    set(&mut deadlines.exchange, *exchange_timeout);
    set(&mut deadlines.client, *client_timeout);
    set(&mut deadlines.connect, *connect_timeout);
    set(&mut deadlines.first_byte, *first_byte_timeout);
    set(&mut deadlines.idle, *idle_timeout);
    set(&mut deadlines.drain, *drain_timeout);
    config
}

fn set<T>(place: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *place = value;
    }
}
