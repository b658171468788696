//! A service spoken to over HTTP that may stand in this process or elsewhere: one question, one answer, or none.
//! Leaves how long to wait and when to ask again to whoever asks; speaks HTTP/1.1 without TLS.

use std::fmt;
use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::http::{HeaderName, Method};
use http_body_util::{BodyExt, Limited};
use kernel::Fault;

use crate::call::Call;

/// How large an answer of a peer may be.
pub const PEER_ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// Who is asked. Copies share their connections.
#[derive(Clone)]
pub struct Peer(Place);

#[derive(Clone)]
enum Place {
    /// Behind a router of this process, once there is one.
    Local(Arc<OnceLock<Router>>),
    Remote {
        http: reqwest::Client,
        base: Arc<str>,
    },
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

/// There was no answer, or not all of it: what was asked for may or may not have been done. The text says what happened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PeerFault(pub String);

/// The text is no address of a peer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PeerUrlError(String);

impl fmt::Display for PeerFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no answer: {}", self.0)
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

    /// The service at `base_url`, an `http` address with or without a path.
    pub fn remote(base_url: &str) -> Result<Self, PeerUrlError> {
        let wrong = |what: &str| PeerUrlError(format!("`{base_url}` {what}"));
        let url = reqwest::Url::parse(base_url).map_err(|error| wrong(&format!("is no URL: {error}")))?;
        if url.scheme() != "http" || !url.has_host() {
            return Err(wrong("does not begin with http:// and a host"));
        }
        if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
            return Err(wrong("holds more than a host, a port and a path"));
        }
        // The peer is addressed by name; a proxy of the environment or a redirection would lead elsewhere.
        let client = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build();
        let http = client.map_err(|error| PeerUrlError(format!("no client can be made: {error}")))?;
        Ok(Self(Place::Remote { http, base: url.as_str().trim_end_matches('/').into() }))
    }

    /// Asks once. It waits for as long as the connection lives: the caller bounds that.
    pub async fn ask(&self, ask: PeerAsk) -> Result<PeerAnswer, PeerFault> {
        if !ask.path.starts_with('/') {
            return Err(PeerFault(format!("`{}` is no path", ask.path)));
        }
        match &self.0 {
            Place::Local(place) => match place.get() {
                Some(router) => ask_router(router, ask).await,
                None => Err(PeerFault("the service is not there yet".to_owned())),
            },
            Place::Remote { http, base } => ask_remote(http, base, ask).await,
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
            Place::Remote { base, .. } => write!(f, "Peer::remote({base})"),
        }
    }
}

async fn ask_router(router: &Router, ask: PeerAsk) -> Result<PeerAnswer, PeerFault> {
    let method: Method = ask.method.parse().map_err(|_| PeerFault(format!("`{}` is no method", ask.method)))?;
    let mut call = Call::new(method, &ask.path).body(ask.body);
    for (name, value) in &ask.headers {
        let name = HeaderName::try_from(*name).map_err(|_| PeerFault(format!("`{name}` is no header")))?;
        call = call.header(name, value);
    }
    let unsent = |fault: Fault| PeerFault(fault.cause.unwrap_or(fault.detail));
    let reply = Box::pin(call.send(router)).await.map_err(unsent)?;
    if reply.body.len() > PEER_ANSWER_BYTES_MAX {
        return Err(too_large());
    }
    Ok(PeerAnswer { status: reply.status.as_u16(), body: reply.body.to_vec() })
}

async fn ask_remote(http: &reqwest::Client, base: &str, ask: PeerAsk) -> Result<PeerAnswer, PeerFault> {
    let method: Method = ask.method.parse().map_err(|_| PeerFault(format!("`{}` is no method", ask.method)))?;
    let mut request = http.request(method, format!("{base}{}", ask.path)).body(ask.body);
    for (name, value) in ask.headers {
        request = request.header(name, value);
    }
    let response = request.send().await.map_err(|error| PeerFault(words_of(&error)))?;
    let status = response.status().as_u16();
    let body = Limited::new(reqwest::Body::from(response), PEER_ANSWER_BYTES_MAX).collect().await;
    let body =
        body.map_err(
            |error| {
                if error.is::<http_body_util::LengthLimitError>() { too_large() } else { PeerFault(words_of(&*error)) }
            },
        )?;
    Ok(PeerAnswer { status, body: body.to_bytes().to_vec() })
}

fn too_large() -> PeerFault {
    PeerFault(format!("the answer has more than {PEER_ANSWER_BYTES_MAX} bytes"))
}

/// An error with what lies under it: the outermost says only that sending failed.
fn words_of(error: &(dyn std::error::Error + 'static)) -> String {
    let mut words = error.to_string();
    let mut under = error.source();
    while let Some(error) = under {
        words = format!("{words}: {error}");
        under = error.source();
    }
    words
}
