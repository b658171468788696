//! A service spoken to over HTTP that may stand in this process, at one address, or at several that stand for each other.
//! Leaves which of several addresses is tried, and when again, to `pool`, and one connection to `wire`; speaks HTTP/1.1
//! without TLS.

mod health;
mod pool;
mod wire;

use std::fmt;
use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, Method, Request, Response};
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use kernel::Runtime;
use serde::Serialize;
use tower::ServiceExt;

pub use pool::PeerLimits;

use pool::Pool;
use wire::{Wire, words_of};

/// How large an answer of a peer may be that is asked for as a whole.
pub const PEER_ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// Who is asked. Copies share their connections.
#[derive(Clone)]
pub struct Peer(Place);

#[derive(Clone)]
enum Place {
    /// Behind a router of this process, once there is one.
    Local(Arc<OnceLock<Router>>),
    /// At one address, which is tried once.
    Remote(Wire),
    /// At any of several addresses.
    Pool(Arc<Pool>),
}

/// What is asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PeerAsk {
    /// The method, as `POST`.
    pub method: &'static str,
    /// The path with or without a query; it begins with a slash.
    pub path: String,
    /// The headers; names in lower case.
    pub headers: Vec<(&'static str, String)>,
    /// The body; empty for none.
    pub body: Vec<u8>,
}

/// What was answered, whole and of a bounded size.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PeerAnswer {
    /// The status; a redirection is an answer like any other.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
}

/// There was no answer, or not all of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PeerFault {
    /// What happened.
    pub why: String,
    /// Whether what was asked for may have been done all the same: it was sent, and was no mere read.
    pub maybe_done: bool,
}

/// How one address of a peer stands.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct PeerStanding {
    /// The address.
    pub address: String,
    /// Whether it is asked.
    pub well: bool,
    /// What speaks against it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// The text is no address of a peer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PeerUrlError(String);

impl PeerFault {
    /// It was certainly not done.
    fn unsent(why: impl Into<String>) -> Self {
        Self { why: why.into(), maybe_done: false }
    }
}

impl fmt::Display for PeerFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no answer: {}", self.why)
    }
}

impl std::error::Error for PeerFault {}

impl fmt::Display for PeerUrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; an address as http://127.0.0.1:4242 is wanted", self.0)
    }
}

impl std::error::Error for PeerUrlError {}

impl Peer {
    /// The service behind `router`.
    #[must_use]
    pub fn local(router: Router) -> Self {
        let peer = Self::unconnected();
        peer.connect(router);
        peer
    }

    /// A service of this process whose router is not there yet: until [`Peer::connect`], nobody answers.
    #[must_use]
    pub fn unconnected() -> Self {
        Self(Place::Local(Arc::default()))
    }

    /// Puts `router` behind this peer and every copy of it; the first call counts. A remote peer stays where it is.
    pub fn connect(&self, router: Router) {
        if let Place::Local(place) = &self.0 {
            let _ = place.set(router);
        }
    }

    /// The service at `base_url`, an `http` address with or without a path. It is tried once, for as long as the connection
    /// lives: whoever asks bounds that, and asks again if they may.
    pub fn remote(base_url: &str) -> Result<Self, PeerUrlError> {
        Ok(Self(Place::Remote(Wire::to(base_url)?)))
    }

    /// The service at any of `base_urls`, which stand for each other: the well ones are asked in turn, each for a bounded time,
    /// and what is safe to repeat is repeated elsewhere. For as long as a copy of this peer lives, each address is looked at.
    pub fn pool(base_urls: &[String], limits: PeerLimits, runtime: Arc<dyn Runtime>) -> Result<Self, PeerUrlError> {
        let wires = base_urls.iter().map(|url| Wire::to(url)).collect::<Result<_, _>>()?;
        let pool = Arc::new(Pool::new(wires, limits, runtime));
        pool::look_after(&pool);
        Ok(Self(Place::Pool(pool)))
    }

    /// Asks, and reads the whole answer.
    pub async fn ask(&self, ask: PeerAsk) -> Result<PeerAnswer, PeerFault> {
        let request = request_of(ask)?;
        let maybe_done = !request.method().is_safe();
        let answer = self.send(request).await?;
        let status = answer.status().as_u16();
        let body = Limited::new(answer.into_body(), PEER_ANSWER_BYTES_MAX).collect().await;
        let body = body.map_err(|error| {
            let too_large = || format!("the answer has more than {PEER_ANSWER_BYTES_MAX} bytes");
            let why = if error.is::<LengthLimitError>() { too_large() } else { words_of(&*error) };
            PeerFault { why, maybe_done }
        })?;
        Ok(PeerAnswer { status, body: body.to_bytes().to_vec() })
    }

    /// Sends a request whose target is a path with or without a query, and gives the answer as it begins.
    pub async fn send(&self, request: Request<Bytes>) -> Result<Response<Body>, PeerFault> {
        match &self.0 {
            Place::Local(place) => match place.get() {
                Some(router) => {
                    let Ok(answer) = Box::pin(router.clone().oneshot(request.map(Body::from))).await;
                    Ok(answer)
                }
                None => Err(PeerFault::unsent("the service is not there yet")),
            },
            Place::Remote(wire) => {
                let sent = Box::pin(wire.send(&request)).await;
                Ok(sent.map_err(|failed| failed.fault(request.method().is_safe()))?.map(Body::new))
            }
            Place::Pool(pool) => Box::pin(pool.send(&request)).await,
        }
    }

    /// The processes behind this peer, each as a peer of its own: for what each of them must be asked.
    #[must_use]
    pub fn each(&self) -> Vec<Self> {
        match &self.0 {
            Place::Pool(pool) => pool.each().into_iter().map(|pool| Self(Place::Pool(Arc::new(pool)))).collect(),
            _ => vec![self.clone()],
        }
    }

    /// How each address of a pool stands; nothing of any other peer.
    #[must_use]
    pub fn standing(&self) -> Vec<PeerStanding> {
        match &self.0 {
            Place::Pool(pool) => pool.standing(),
            _ => Vec::new(),
        }
    }
}

impl Default for Peer {
    /// As [`Peer::unconnected`].
    fn default() -> Self {
        Self::unconnected()
    }
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Place::Local(_) => f.write_str("Peer::local"),
            Place::Remote(wire) => write!(f, "Peer::remote({wire})"),
            Place::Pool(pool) => write!(f, "Peer::pool({pool})"),
        }
    }
}

fn request_of(ask: PeerAsk) -> Result<Request<Bytes>, PeerFault> {
    let PeerAsk { method, path, headers, body } = ask;
    if !path.starts_with('/') {
        return Err(PeerFault::unsent(format!("`{path}` is no path")));
    }
    let mut request = Request::new(Bytes::from(body));
    *request.method_mut() = method.parse::<Method>().map_err(|_| PeerFault::unsent(format!("`{method}` is no method")))?;
    *request.uri_mut() = path.parse().map_err(|error| PeerFault::unsent(format!("`{path}` is no path: {error}")))?;
    for (name, value) in headers {
        let pair = HeaderName::try_from(name).ok().zip(HeaderValue::from_str(&value).ok());
        let (name, value) = pair.ok_or_else(|| PeerFault::unsent(format!("the header `{name}` cannot be sent")))?;
        request.headers_mut().append(name, value);
    }
    Ok(request)
}
