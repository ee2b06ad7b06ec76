//! The gateway: the guard in front of an upstream, endpoints of its own, and the connections.

use crate::config::Config;
use crate::failure::Failure;
use crate::layer::GuardLayer;
use crate::ops::Observer;
use crate::ops::live::Live;
use crate::ops::probes::Probes;
use crate::reply::failure_response;
use crate::routes;
use crate::stalls::Timed;
use crate::upstream::{Upstream, via};
use axum::Router;
use axum::body::Body;
use axum::routing::{any_service, get, post};
use http::{Method, Request, Response};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tower::{Layer, ServiceExt, service_fn};

/// Why the gateway cannot go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// Exchanges in flight were cut off, since they did not end within the time for it.
    #[error("{0} connections were cut off: they did not end within the time for draining")]
    Cut(usize),
}

/// What `brightline serve` runs.
pub struct Gateway {
    layer: GuardLayer,
    upstream: Upstream,
    probes: Probes,
    config: Config,
}

impl Gateway {
    /// A gateway in front of an upstream.
    pub fn new(live: Arc<Live>, observer: Arc<Observer>, upstream: Upstream, config: Config) -> Self {
        let layer = GuardLayer::with(live.clone(), observer.clone(), config.clone());
        Self { layer, upstream, probes: Probes::new(live, observer), config }
    }

    /// How many exchanges are in flight.
    pub fn in_flight(&self) -> usize {
        self.layer.in_flight()
    }

    /// The layer it judges with.
    pub fn layer(&self) -> &GuardLayer {
        &self.layer
    }

    /// All its routes, to be served or to be put into another router.
    pub fn router(&self) -> Router {
        let guarded = self.layer.layer(self.upstream.clone());
        let judge = self.layer.judge().clone();
        let plain = Plain { upstream: self.upstream.clone(), first_byte: self.config.deadlines.first_byte };
        let rest = self.config.pass_through.then(|| plain.clone());
        let models = any_service(service_fn(move |request: Request<Body>| {
            let plain = plain.clone();
            async move {
                if request.method() == Method::GET {
                    plain.pass(request).await
                } else {
                    Ok(failure_response(false, &Failure::Method))
                }
            }
        }));
        let mut router = Router::new();
        for api in crate::Api::ALL {
            router = router.route_service(api.path(), guarded.clone());
        }
        router
            .route("/v1/models", models.clone())
            .route("/v1/models/{*id}", models)
            .route("/v1/moderations", post(routes::moderations::moderations))
            .route("/v1/check", post(routes::check::one))
            .route("/v1/check/batch", post(routes::check::batch))
            .route("/beta/litellm_basic_guardrail_api", post(routes::litellm::litellm))
            .with_state(judge)
            .merge(self.probes.clone().router())
            .route("/", get(async || "brightline\n"))
            .method_not_allowed_fallback(async || failure_response(false, &Failure::Method))
            .fallback_service(service_fn(move |request| rest_of(rest.clone(), request)))
    }

    /// Serves connections until `stop`, then lets exchanges in flight end.
    ///
    /// # Errors
    /// If some were cut off at the end of the time for draining.
    pub async fn serve(
        self,
        listener: TcpListener,
        stop: impl Future<Output = ()>,
    ) -> Result<(), ServeError> {
        let service = TowerToHyperService::new(self.router());
        let permits = Arc::new(Semaphore::new(self.config.limits.connections));
        let graceful = GracefulShutdown::new();
        let mut connections = JoinSet::new();
        let mut server = http1::Builder::new();
        server
            .timer(TokioTimer::new())
            .header_read_timeout(self.config.deadlines.client)
            .max_buf_size(MAX_HEAD);
        let mut stop = std::pin::pin!(stop);
        loop {
            let accepted = async {
                let permit = permits.clone().acquire_owned().await;
                (listener.accept().await, permit)
            };
            tokio::select! {
                () = &mut stop => break,
                Some(_) = connections.join_next() => {}
                (accepted, permit) = accepted => match accepted {
                    Ok((stream, _)) => {
                        // A small answer should not wait for a full packet.
                        let _ = stream.set_nodelay(true);
                        let connection = server.serve_connection(TokioIo::new(Timed::new(stream, self.config.deadlines.client)), service.clone());
                        let connection = graceful.watch(connection);
                        connections.spawn(async move {
                            // How an exchange ended is told by the exchange; a broken connection has no more to say.
                            let _ = connection.await;
                            drop(permit);
                        });
                    }
                    // No more files, or the client is gone already: neither is helped by asking again at once.
                    Err(_) => tokio::time::sleep(BREATHER).await,
                },
            }
        }
        drop(listener);
        self.probes.drain();
        if tokio::time::timeout(self.config.deadlines.drain, graceful.shutdown()).await.is_err() {
            while connections.try_join_next().is_some() {}
            let cut = connections.len();
            connections.shutdown().await;
            return Err(ServeError::Cut(cut));
        }
        Ok(())
    }
}

/// The head of a request may have this many bytes.
const MAX_HEAD: usize = 64 << 10;
/// How long to wait after a connection could not be accepted.
const BREATHER: Duration = Duration::from_millis(50);

/// Hands requests on as they are.
#[derive(Clone)]
struct Plain {
    upstream: Upstream,
    first_byte: Duration,
}

impl Plain {
    async fn pass(self, request: Request<Body>) -> Result<Response<Body>, Infallible> {
        let anthropic = request.headers().contains_key("anthropic-version");
        let answer = tokio::time::timeout(self.first_byte, self.upstream.oneshot(request)).await;
        let Ok(answer) = answer else { return Ok(failure_response(anthropic, &Failure::UpstreamTimeout)) };
        let mut response = answer?;
        if let Some(failure) = response.extensions().get::<Failure>() {
            return Ok(failure_response(anthropic, failure));
        }
        via(response.headers_mut());
        Ok(response)
    }
}

/// What is on no known path. Below a judged path stand answers that the upstream has kept, unjudged: those are never passed on.
async fn rest_of(plain: Option<Plain>, request: Request<Body>) -> Result<Response<Body>, Infallible> {
    let path = request.uri().path();
    let kept = !COUNTS.contains(&path) && looks_judged(path);
    let anthropic = request.headers().contains_key("anthropic-version");
    match plain.filter(|_| !kept) {
        Some(plain) => plain.pass(request).await,
        None => Ok(failure_response(anthropic, &Failure::UnknownPath)),
    }
}

/// Below judged paths, what only counts tokens.
const COUNTS: [&str; 2] = ["/v1/messages/count_tokens", "/v1/responses/input_tokens"];

/// Whether some upstream could take a path for a judged one, or for one below it: in capitals, with escapes, with another
/// prefix, with more slashes.
fn looks_judged(path: &str) -> bool {
    let mut plain = String::with_capacity(path.len());
    let mut bytes = path.bytes();
    while let Some(byte) = bytes.next() {
        let byte = match byte {
            b'%' => {
                let digits = [bytes.next(), bytes.next()].map(|digit| digit.map(char::from));
                let digits = digits.map(|digit| digit.and_then(|digit| digit.to_digit(16)));
                match digits {
                    [Some(high), Some(low)] => u8::try_from(high << 4 | low).unwrap_or(b'%'),
                    // What is no escape is not guessed at.
                    _ => return true,
                }
            }
            byte => byte,
        };
        plain.push(char::from(byte.to_ascii_lowercase()));
    }
    let segments: Vec<&str> = plain.split(['/', '\\']).filter(|it| !matches!(*it, "" | ".")).collect();
    let has = |name: &[&str]| segments.windows(name.len()).any(|part| part == name);
    segments.contains(&"..")
        || plain.contains('%')
        || has(&["chat", "completions"])
        || has(&["responses"])
        || has(&["messages"])
}

#[cfg(test)]
mod tests {
    use super::looks_judged;

    #[test]
    fn no_spelling_goes_round_the_guard() {
        for path in [
            "/v1/chat/completions/",
            "/V1/Chat/Completions",
            "//v1//chat/./completions",
            "/v1/chat%2Fcompletions",
            "/v1/%63hat/completions",
            "/v1/chat%252Fcompletions",
            "/openai/deployments/m/chat/completions",
            "/v1/x/../responses",
            "/v1/responses/resp_1",
            "/v1/messages/batches",
            "/v1\\messages",
            "/v1/%zz",
        ] {
            assert!(looks_judged(path), "{path}");
        }
        for path in
            ["/v1/embeddings", "/v1/files", "/v1/chatter", "/v1/audio/speech", "/v1/files/file%20name"]
        {
            assert!(!looks_judged(path), "{path}");
        }
    }
}
