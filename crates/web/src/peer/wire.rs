//! One address and its connections: a request goes out once, and its answer begins or does not.
//! Leaves how long to wait, and where to try again, to `pool`.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{Request, Response, Uri};
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use super::{PeerFault, PeerUrlError};

/// No answer has begun.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Failed {
    /// What happened.
    pub(super) why: String,
    /// Whether it was reached: who was not has been told nothing.
    pub(super) reached: bool,
}

impl Failed {
    /// The same for whoever asked; `is_read` if it would have changed nothing.
    pub(super) fn fault(self, is_read: bool) -> PeerFault {
        PeerFault { why: self.why, maybe_done: self.reached && !is_read }
    }
}

/// How long the system may take to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// How long a connection is kept that nobody uses: shorter than a server waits for its next request, so that it is not closed
/// under one that is just being sent.
const IDLE_TIMEOUT: Duration = Duration::from_secs(10);

/// An address. Copies share its connections.
#[derive(Clone)]
pub(super) struct Wire {
    http: Client<HttpConnector, Full<Bytes>>,
    /// As `http://host:port/path`, without a slash at the end.
    base: Arc<str>,
}

impl Wire {
    /// To `base_url`; connects to nobody yet.
    pub(super) fn to(base_url: &str) -> Result<Self, PeerUrlError> {
        let wrong = |what: &str| PeerUrlError(format!("`{base_url}` {what}"));
        let url: Uri = base_url.parse().map_err(|error| wrong(&format!("is no URL: {error}")))?;
        let authority = url.authority().map_or("", |authority| authority.as_str());
        if url.scheme_str() != Some("http") || url.host().is_none_or(str::is_empty) {
            return Err(wrong("does not begin with http:// and a host"));
        }
        if authority.contains('@') || url.query().is_some() || base_url.contains('#') {
            return Err(wrong("holds more than a host, a port and a path"));
        }
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let mut builder = Client::builder(TokioExecutor::new());
        builder.pool_timer(TokioTimer::new()).pool_idle_timeout(IDLE_TIMEOUT);
        Ok(Self { http: builder.build(connector), base: base_url.trim_end_matches('/').into() })
    }

    /// Sends a request whose target is a path, once.
    pub(super) async fn send(&self, request: &Request<Bytes>) -> Result<Response<Incoming>, Failed> {
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        let target = format!("{}{path}", self.base);
        let mut sent = Request::new(Full::new(request.body().clone()));
        *sent.method_mut() = request.method().clone();
        *sent.headers_mut() = request.headers().clone();
        let wrong = |error| Failed { why: format!("`{target}` is no URL: {error}"), reached: false };
        *sent.uri_mut() = target.parse().map_err(wrong)?;
        let sent = self.http.request(sent).await;
        sent.map_err(|error| Failed { reached: !error.is_connect(), why: words_of(&error) })
    }
}

impl fmt::Display for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.base)
    }
}

/// An error with what lies under it: the outermost says only that sending failed.
pub(super) fn words_of(error: &(dyn std::error::Error + 'static)) -> String {
    let mut words = error.to_string();
    let mut under = error.source();
    while let Some(error) = under {
        words = format!("{words}: {error}");
        under = error.source();
    }
    words
}
