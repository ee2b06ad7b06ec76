//! The service at the end of the gateway: sends a request to the upstream.

use crate::config::Config;
use crate::failure::Failure;
use axum::body::Body;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, Uri, header};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tower::Service;

/// Sends requests to one upstream. Cheap to clone; connections are shared.
#[derive(Clone)]
pub struct Upstream {
    client: Client<HttpsConnector<HttpConnector>, Body>,
    scheme: Scheme,
    authority: Authority,
    /// What stands before the path, without a slash at its end.
    prefix: String,
}

/// Why an address cannot be an upstream.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "`{0}` is no address of an upstream: expected `http://host` or `https://host`, with a path before `/v1` at most"
)]
pub struct UpstreamError(String);

/// Connections are kept this long without use.
const KEPT: Duration = Duration::from_secs(60);

impl Upstream {
    /// An upstream at `address`, such as `https://api.openai.com`. A `/v1` at the end, as clients have it in their base
    /// address, is taken off.
    ///
    /// # Errors
    /// If the address has no scheme or host, a query, or another scheme than `http` and `https`.
    pub fn new(address: &str, config: &Config) -> Result<Self, UpstreamError> {
        let wrong = || UpstreamError(address.to_string());
        let uri: Uri = address.parse().map_err(|_| wrong())?;
        let (Some(scheme), Some(authority)) = (uri.scheme().cloned(), uri.authority().cloned()) else {
            return Err(wrong());
        };
        if !["http", "https"].contains(&scheme.as_str())
            || uri.query().is_some()
            || authority.as_str().contains('@')
        {
            return Err(wrong());
        }
        let path = uri.path().trim_end_matches('/');
        let prefix = path.strip_suffix("/v1").unwrap_or(path).to_string();
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(config.deadlines.connect));
        let https = HttpsConnectorBuilder::new()
            .with_webpki_roots()
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        let client = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(KEPT)
            .pool_timer(TokioTimer::new())
            .build(https);
        Ok(Self { client, scheme, authority, prefix })
    }

    fn uri(&self, uri: &Uri) -> Option<Uri> {
        let path = uri.path_and_query().map_or("/", PathAndQuery::as_str);
        Uri::builder()
            .scheme(self.scheme.clone())
            .authority(self.authority.clone())
            .path_and_query(format!("{}{path}", self.prefix))
            .build()
            .ok()
    }

    async fn send(self, mut request: Request<Body>) -> Response<Body> {
        let Some(uri) = self.uri(request.uri()) else { return failure(Failure::Unreachable) };
        *request.uri_mut() = uri;
        *request.version_mut() = http::Version::HTTP_11;
        hop_by_hop(request.headers_mut());
        request.headers_mut().remove(header::HOST);
        match self.client.request(request).await {
            Ok(response) => {
                let mut response = response.map(Body::new);
                hop_by_hop(response.headers_mut());
                response
            }
            Err(error) if error.is_connect() && is_timeout(&error) => failure(Failure::UpstreamTimeout),
            Err(_) => failure(Failure::Unreachable),
        }
    }
}

fn is_timeout(error: &(dyn std::error::Error + 'static)) -> bool {
    std::iter::successors(Some(error), |error| error.source()).any(|error| {
        error.downcast_ref::<std::io::Error>().is_some_and(|it| it.kind() == std::io::ErrorKind::TimedOut)
    })
}

/// A response that stands for a failure; the guard gives it the form of its API.
fn failure(failure: Failure) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = failure.status();
    response.extensions_mut().insert(failure);
    response
}

/// Headers that are meant for one connection only (RFC 9110, section 7.6.1).
fn hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    let known = [
        header::CONNECTION,
        header::TE,
        header::TRAILER,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
        header::PROXY_AUTHENTICATE,
        header::PROXY_AUTHORIZATION,
        HeaderName::from_static("keep-alive"),
        HeaderName::from_static("proxy-connection"),
    ];
    for name in known.into_iter().chain(named) {
        headers.remove(name);
    }
}

impl Service<Request<Body>> for Upstream {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let upstream = self.clone();
        Box::pin(async move { Ok(upstream.send(request).await) })
    }
}

/// Marks a response as coming through the gateway (RFC 9110, section 7.6.3).
pub(crate) fn via(headers: &mut HeaderMap) {
    headers.append(header::VIA, HeaderValue::from_static("1.1 brightline"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_as_clients_write_them() {
        let to = |address: &str, path: &str| {
            let upstream = Upstream::new(address, &Config::default()).unwrap();
            upstream.uri(&path.parse().unwrap()).unwrap().to_string()
        };
        assert_eq!(to("https://api.openai.com", "/v1/models?x=1"), "https://api.openai.com/v1/models?x=1");
        assert_eq!(to("https://api.openai.com/v1/", "/v1/models"), "https://api.openai.com/v1/models");
        assert_eq!(to("http://host:8000/proxy/v1", "/v1/messages"), "http://host:8000/proxy/v1/messages");
        for wrong in ["api.openai.com", "ftp://host", "http://host?x=1", "http://user:pass@host", ""] {
            assert!(Upstream::new(wrong, &Config::default()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn hop_by_hop_headers_stay_on_their_connection() {
        let mut headers = HeaderMap::new();
        for (name, value) in
            [("connection", "close, x-mine"), ("x-mine", "1"), ("te", "trailers"), ("authorization", "k")]
        {
            headers.insert(name, value.parse().unwrap());
        }
        hop_by_hop(&mut headers);
        assert_eq!(headers.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["authorization"]);
    }
}
