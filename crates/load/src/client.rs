//! The way to the shop: requests that are repeated under the same key until they are answered, over several addresses in
//! turn. A server that is killed and started again costs nothing but repeats.
//! Leaves what an answer means to whoever asked.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};

use futures_util::future::{Either, select};
use kernel::{Millis, Runtime, Timestamp};
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, ETAG, HeaderMap, IF_NONE_MATCH, RETRY_AFTER};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::LoadError;

/// How long one try may take, beyond the wait that it prefers.
const TRY_WITHIN_MS: Millis = 20_000;

/// The pause after the first failure; it doubles up to [`PAUSE_MAX_MS`], and chance spreads it from half of it to all.
const PAUSE_MIN_MS: Millis = 50;
const PAUSE_MAX_MS: Millis = 2000;

/// The longest pause that an answer may ask for.
const RETRY_AFTER_MAX_MS: Millis = 30_000;

/// The shop as seen from outside.
pub(crate) struct Client {
    http: reqwest::Client,
    urls: Vec<String>,
    runtime: Arc<dyn Runtime>,
    give_up_after_ms: Millis,
    last_success: AtomicI64,
    turn: AtomicUsize,
    repeats: AtomicU64,
}

/// One request, as often as it is sent.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    method: Method,
    path: String,
    key: Option<String>,
    body: Option<Value>,
    form: Option<String>,
    bearer: Option<String>,
    capability: Option<String>,
    known: Option<String>,
    wait_s: u32,
}

impl Ask {
    pub(crate) fn get(path: impl Into<String>) -> Self {
        Self::new(Method::GET, path)
    }

    pub(crate) fn post(path: impl Into<String>) -> Self {
        Self::new(Method::POST, path)
    }

    pub(crate) fn put(path: impl Into<String>) -> Self {
        Self::new(Method::PUT, path)
    }

    fn new(method: Method, path: impl Into<String>) -> Self {
        let path = path.into();
        Self { method, path, key: None, body: None, form: None, bearer: None, capability: None, known: None, wait_s: 0 }
    }

    /// With an `Idempotency-Key`: made once for an intention, the same for every repeat of it.
    pub(crate) fn key(self, key: String) -> Self {
        Self { key: Some(key), ..self }
    }

    pub(crate) fn body(self, body: Value) -> Self {
        Self { body: Some(body), ..self }
    }

    /// With a filled-in form, as a browser sends it from a page.
    pub(crate) fn form(self, form: String) -> Self {
        Self { form: Some(form), ..self }
    }

    pub(crate) fn bearer(self, token: &str) -> Self {
        Self { bearer: Some(token.to_owned()), ..self }
    }

    pub(crate) fn capability(self, capability: &str) -> Self {
        Self { capability: Some(capability.to_owned()), ..self }
    }

    /// To be answered only with another version than `known`, and waited for so long.
    pub(crate) fn news(self, known: Option<String>, wait_s: u32) -> Self {
        Self { known, wait_s, ..self }
    }

    fn what(&self) -> String {
        format!("{} {}", self.method, self.path)
    }
}

/// An answer that is no reason to repeat.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) etag: Option<String>,
    what: String,
    body: Vec<u8>,
}

/// A refusal (RFC 9457) as far as a load needs it.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    pub(crate) reason: String,
    pub(crate) detail: String,
    pub(crate) members: Value,
}

impl Reply {
    pub(crate) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    pub(crate) fn is_unchanged(&self) -> bool {
        self.status == 304
    }

    /// What it shows.
    pub(crate) fn view<T: DeserializeOwned>(&self) -> Result<T, LoadError> {
        serde_json::from_slice(&self.body).map_err(|source| LoadError::Unreadable { what: self.what.clone(), source })
    }

    /// What it shows, if it is a success.
    pub(crate) fn expect<T: DeserializeOwned>(&self) -> Result<T, LoadError> {
        if self.is_success() { self.view() } else { Err(self.refused()) }
    }

    pub(crate) fn problem(&self) -> Problem {
        let members: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        let text = |name: &str| members[name].as_str().unwrap_or_default().to_owned();
        let reason = match text("type").rsplit_once('/') {
            Some((_, reason)) => reason.to_owned(),
            None => format!("status-{}", self.status),
        };
        Problem { reason, detail: text("detail"), members }
    }

    pub(crate) fn refused(&self) -> LoadError {
        let Problem { reason, detail, .. } = self.problem();
        LoadError::Refused { what: self.what.clone(), status: self.status, reason, detail }
    }
}

/// What became of one try.
enum Tried {
    Answered(Reply),
    Again { after_ms: Option<Millis>, detail: String },
}

impl Client {
    pub(crate) fn new(runtime: Arc<dyn Runtime>, urls: &[String], give_up_after_ms: Millis) -> Result<Self, LoadError> {
        if urls.is_empty() {
            return Err(LoadError::Options("name at least one address of the shop".to_owned()));
        }
        // The shop is addressed by name; a proxy of the environment would stand between.
        let http = reqwest::Client::builder().no_proxy().build().map_err(LoadError::Client)?;
        Ok(Self {
            http,
            urls: urls.iter().map(|url| url.trim_end_matches('/').to_owned()).collect(),
            last_success: AtomicI64::new(runtime.now().as_micros()),
            runtime,
            give_up_after_ms,
            turn: AtomicUsize::new(0),
            repeats: AtomicU64::new(0),
        })
    }

    pub(crate) fn runtime(&self) -> &Arc<dyn Runtime> {
        &self.runtime
    }

    /// How many requests were sent again.
    pub(crate) fn repeats(&self) -> u64 {
        self.repeats.load(Ordering::Relaxed)
    }

    /// A fresh key. It comes from chance and not from the seed: a second run means new orders, not the old ones again.
    pub(crate) fn new_key(&self) -> String {
        let mut draw = self.runtime.draw();
        format!("{:016x}{:016x}", draw.next_u64(), draw.next_u64())
    }

    /// Sends `ask` until it is answered, or until nothing at all has succeeded for too long.
    pub(crate) async fn send(&self, ask: &Ask) -> Result<Reply, LoadError> {
        let began = self.runtime.now();
        let mut pause_ms = PAUSE_MIN_MS;
        loop {
            match self.try_once(ask).await {
                Tried::Answered(reply) => {
                    self.last_success.fetch_max(self.runtime.now().as_micros(), Ordering::Relaxed);
                    return Ok(reply);
                }
                Tried::Again { after_ms, detail } => {
                    self.give_up(began, ask, detail)?;
                    self.repeats.fetch_add(1, Ordering::Relaxed);
                    self.runtime.sleep(after_ms.unwrap_or(0) + self.spread(pause_ms)).await;
                    pause_ms = (pause_ms * 2).min(PAUSE_MAX_MS);
                }
            }
        }
    }

    /// Sends `ask` once. Whoever is not answered does not know whether it was done.
    pub(crate) async fn send_once(&self, ask: &Ask) -> Result<Reply, LoadError> {
        match self.try_once(ask).await {
            Tried::Answered(reply) => Ok(reply),
            Tried::Again { detail, .. } => Err(LoadError::Unanswered { what: ask.what(), detail }),
        }
    }

    fn give_up(&self, began: Timestamp, ask: &Ask, detail: String) -> Result<(), LoadError> {
        // Who has just begun to ask after a quiet time has not been waiting.
        let since = began.max(Timestamp::from_micros(self.last_success.load(Ordering::Relaxed)));
        if self.runtime.now().since_ms(since) < self.give_up_after_ms {
            return Ok(());
        }
        Err(LoadError::GivenUp { after_ms: self.give_up_after_ms, what: ask.what(), detail })
    }

    fn spread(&self, pause_ms: Millis) -> Millis {
        let half = pause_ms / 2;
        let more = self.runtime.draw().below(u64::try_from(half).unwrap_or_default() + 1);
        half + Millis::try_from(more).unwrap_or_default()
    }

    async fn try_once(&self, ask: &Ask) -> Tried {
        let request = self.request(ask);
        let answer = Box::pin(async {
            let response = request.send().await?;
            let (status, headers) = (response.status().as_u16(), response.headers().clone());
            Ok::<_, reqwest::Error>((status, headers, response.bytes().await?))
        });
        let within_ms = TRY_WITHIN_MS + Millis::from(ask.wait_s) * 1000;
        let (status, headers, body) = match select(answer, self.runtime.sleep(within_ms)).await {
            Either::Left((Ok(answer), _)) => answer,
            Either::Left((Err(error), _)) => return Tried::Again { after_ms: None, detail: words_of(&error) },
            Either::Right(_) => return Tried::Again { after_ms: None, detail: format!("no answer within {within_ms} ms") },
        };
        if matches!(status, 429 | 502..=504) {
            let detail = format!("{status} {}", String::from_utf8_lossy(&body));
            return Tried::Again { after_ms: retry_after_ms(&headers), detail };
        }
        let etag = headers.get(ETAG).and_then(|value| value.to_str().ok()).map(str::to_owned);
        Tried::Answered(Reply { status, etag, what: ask.what(), body: body.to_vec() })
    }

    fn request(&self, ask: &Ask) -> reqwest::RequestBuilder {
        // A page elsewhere, as a bank's, has an address of its own.
        let url = match ask.path.starts_with("http://") {
            true => "",
            false => &self.urls[self.turn.fetch_add(1, Ordering::Relaxed) % self.urls.len()],
        };
        let mut request = self.http.request(ask.method.clone(), format!("{url}{}", ask.path));
        if let Some(form) = &ask.form {
            request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(form.clone());
        }
        if let Some(key) = &ask.key {
            request = request.header("idempotency-key", key);
        }
        if let Some(token) = &ask.bearer {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        if let Some(capability) = &ask.capability {
            request = request.header("cart-capability", capability);
        }
        if let Some(known) = &ask.known {
            request = request.header(IF_NONE_MATCH, known);
        }
        if ask.wait_s > 0 {
            request = request.header("prefer", format!("wait={}", ask.wait_s));
        }
        match &ask.body {
            Some(body) => request.json(body),
            None => request,
        }
    }
}

fn retry_after_ms(headers: &HeaderMap) -> Option<Millis> {
    let seconds: Millis = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(seconds.saturating_mul(1000).clamp(0, RETRY_AFTER_MAX_MS))
}

/// An error with what lies under it: the outermost of reqwest's says only that sending failed.
fn words_of(error: &reqwest::Error) -> String {
    let mut words = error.to_string();
    let mut under = std::error::Error::source(error);
    while let Some(error) = under {
        words = format!("{words}: {error}");
        under = error.source();
    }
    words
}

/// `text` as it may stand in the query of an address.
#[must_use]
pub fn encoded(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(byte).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use testkit::{Asked, HANG_UP, TestRuntime, serve};

    use super::*;

    fn client(urls: &[String]) -> Client {
        Client::new(Arc::new(TestRuntime::hurried()), urls, 3_600_000).expect("a client")
    }

    #[tokio::test]
    async fn a_write_is_repeated_under_the_same_key_until_it_is_answered() {
        let keys = Arc::new(Mutex::new(Vec::new()));
        let seen = keys.clone();
        let url = serve(move |asked: &Asked| {
            let mut keys = seen.lock().expect("keys");
            keys.push(asked.header("idempotency-key").to_owned());
            match keys.len() {
                1 => (HANG_UP, String::new()),
                2 => (503, r#"{"type":"x/outcome-unknown"}"#.to_owned()),
                3 => (429, String::new()),
                _ => (201, r#"{"id":1}"#.to_owned()),
            }
        });
        let client = client(&[url.await]);
        let ask = Ask::post("/v1/orders").key(client.new_key()).body(serde_json::json!({ "a": 1 }));
        let reply = client.send(&ask).await.expect("an answer");
        assert_eq!((reply.status, client.repeats()), (201, 3));
        let keys = keys.lock().expect("keys");
        assert!(keys.len() == 4 && keys.iter().all(|key| *key == keys[0] && key.len() == 32), "{keys:?}");
    }

    #[tokio::test]
    async fn addresses_take_turns_and_a_refusal_is_an_answer() {
        let refuse = r#"{"type":"https://x.example/problems/cart-ordered","detail":"ordered already","order":"o"}"#;
        let here = serve(move |_: &Asked| (409, refuse.to_owned())).await;
        // Nobody listens at the first address: each request falls through to the second.
        let client = client(&["http://127.0.0.1:1".to_owned(), here]);
        let problem = client.send(&Ask::get("/v1/orders/o")).await.expect("an answer").problem();
        assert_eq!((problem.reason.as_str(), problem.members["order"].as_str()), ("cart-ordered", Some("o")));
        assert_eq!(client.repeats(), 1);
    }

    #[tokio::test]
    async fn who_never_succeeds_gives_up() {
        let client = Client::new(Arc::new(TestRuntime::hurried()), &["http://127.0.0.1:1".to_owned()], 5000);
        let gone = client.expect("a client").send(&Ask::get("/v1/stores")).await;
        assert!(matches!(gone, Err(LoadError::GivenUp { after_ms: 5000, .. })), "{gone:?}");
    }

    #[test]
    fn texts_may_stand_in_an_address() {
        assert_eq!(encoded("rolls/buns & café"), "rolls%2Fbuns%20%26%20caf%C3%A9");
    }
}
