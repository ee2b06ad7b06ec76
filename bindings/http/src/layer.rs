//! The guard as a [`tower::Layer`]: around a service that speaks one of the chat APIs, or that forwards to one.
//!
//! ```text
//! request -> ask (read, judge) -> inner service -> answer (judge, or relay) -> response
//! ```

use crate::answer::answered;
use crate::api::Api;
use crate::ask::{Forward, Next, ask};
use crate::config::Config;
use crate::failure::Failure;
use crate::judge::Judge;
use crate::ops::Observer;
use crate::ops::live::Live;
use crate::reply::failed;
use axum::body::Body;
use brightline::Guard;
use http::{HeaderName, HeaderValue, Request, Response};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tower::{Layer, Service, ServiceExt};

/// The strictest action that was taken on a request, or on a response that is no stream.
pub const ACTION_HEADER: HeaderName = HeaderName::from_static("x-brightline-action");
/// The clauses that were found, separated by commas.
pub const CLAUSES_HEADER: HeaderName = HeaderName::from_static("x-brightline-clauses");
/// Types of parts that are no text and were not judged.
pub const NOT_JUDGED_HEADER: HeaderName = HeaderName::from_static("x-brightline-not-judged");
/// The gateway's id of the exchange, as in its logs.
pub const ID_HEADER: HeaderName = HeaderName::from_static("x-brightline-id");

/// Judges what goes through a service.
///
/// Requests to the paths of [`Api`] are judged before the inner service sees them, and its responses before the client does,
/// JSON and event streams alike. Requests to other paths are handed on as they are: what to do with those is for the router
/// around it.
///
/// ```
/// use axum::{Router, routing::post};
/// use brightline_http::GuardLayer;
///
/// # let policy = brightline::Compiler::new().file("default").into_policy()?;
/// let guard = brightline::Guard::new(policy)?;
/// let app: Router = Router::new()
///     .route("/v1/chat/completions", post(async || "{}"))
///     .layer(GuardLayer::new(guard));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct GuardLayer(Arc<Judge>);

impl GuardLayer {
    /// A layer with the default configuration.
    pub fn new(guard: Guard) -> Self {
        Self::with(Arc::new(Live::new(guard)), Arc::default(), Config::default())
    }

    /// A layer that follows a policy which may be exchanged, and tells an observer of every decision.
    pub fn with(live: Arc<Live>, observer: Arc<Observer>, config: Config) -> Self {
        Self(Arc::new(Judge::new(live, observer, config)))
    }

    /// How many exchanges are in flight.
    pub fn in_flight(&self) -> usize {
        self.0.in_flight()
    }

    pub(crate) fn judge(&self) -> &Arc<Judge> {
        &self.0
    }
}

impl<S> Layer<S> for GuardLayer {
    type Service = GuardService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        GuardService { inner, judge: self.0.clone() }
    }
}

/// What [`GuardLayer`] makes of a service.
#[derive(Clone)]
pub struct GuardService<S> {
    inner: S,
    judge: Arc<Judge>,
}

type Answering<E> = Pin<Box<dyn Future<Output = Result<Response<Body>, E>> + Send>>;

impl<S> Service<Request<Body>> for GuardService<S>
where
    S: Service<Request<Body>, Response = Response<Body>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Answering<S::Error>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        // The clone that was polled ready is the one that is called.
        let clone = self.inner.clone();
        let inner = std::mem::replace(&mut self.inner, clone);
        match Api::of(request.uri().path()) {
            Some(api) => {
                let judge = self.judge.clone();
                Box::pin(async move { serve(&judge, api, request, inner).await })
            }
            None => Box::pin(inner.oneshot(request)),
        }
    }
}

async fn serve<S>(
    judge: &Arc<Judge>,
    api: Api,
    request: Request<Body>,
    inner: S,
) -> Result<Response<Body>, S::Error>
where
    S: Service<Request<Body>, Response = Response<Body>> + Send,
    S::Future: Send,
    S::Error: Send,
{
    let exchange = judge.begin(api.path(), request.headers());
    let mut response = match ask(&exchange, api, request).await {
        Ok(Next::Answer(response)) => response,
        Err(failure) => failed(&exchange, api, &failure),
        Ok(Next::Forward(forward)) => {
            let Forward { request, asked, seen } = *forward;
            let first_byte = tokio::time::Instant::now() + judge.config.deadlines.first_byte;
            let until = first_byte.min(exchange.deadline.into());
            match tokio::time::timeout_at(until, inner.oneshot(request)).await {
                Err(_) => failed(&exchange, api, &Failure::UpstreamTimeout),
                Ok(Err(error)) => {
                    exchange.ends(502, Some(&Failure::Unreachable));
                    return Err(error);
                }
                Ok(Ok(answer)) => match answered(&exchange, api, asked, seen, answer).await {
                    Ok(response) => response,
                    Err(failure) => failed(&exchange, api, &failure),
                },
            }
        }
    };
    if let Ok(id) = HeaderValue::from_str(&exchange.id) {
        response.headers_mut().insert(ID_HEADER, id);
    }
    Ok(response)
}
