//! Reads of the shop's HTTP API as admin, in this process or across a socket: single pages, and whole lists, repeated while the
//! shop is busy or being restarted. Leaves what the answers mean to others.

use std::sync::Arc;

use futures_util::future::{Either, select};
use kernel::{Fault, Millis, Runtime};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use web::{PAGE_LIMIT_MAX, Peer, PeerAsk};

/// How long one read may take.
const READ_WITHIN_MS: Millis = 30_000;

/// How often a patient reader tries before the shop counts as gone.
const TRIES_MAX: u32 = 12;

/// The pause after the first failure; it doubles up to [`PAUSE_MAX_MS`].
const PAUSE_MIN_MS: Millis = 100;
const PAUSE_MAX_MS: Millis = 5000;

const OK: u16 = 200;
/// Too many requests, or busy: worth another try.
const COME_BACK: [u16; 2] = [429, 503];

/// Why the shop cannot be audited.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The address is none.
    #[error("{0}")]
    Address(String),
    /// No token can be made.
    #[error("no token for the audit: {0}")]
    Token(Fault),
    /// No answer, however often it was asked.
    #[error("GET {path}: no answer after {tries} tries: {detail}")]
    Silent {
        /// What was read.
        path: String,
        /// How often.
        tries: u32,
        /// What the last try met.
        detail: String,
    },
    /// A service of it does not answer.
    #[error("{service} does not answer: {why}")]
    Unreachable {
        /// Which.
        service: String,
        /// What the shop says of it.
        why: String,
    },
    /// It answered with a refusal.
    #[error("GET {path}: refused with {status}: {detail}")]
    Refused {
        /// What was read.
        path: String,
        /// The status of the answer.
        status: u16,
        /// The answer.
        detail: String,
    },
    /// It answered what is no audit.
    #[error("GET {path}: the answer is not of the expected form: {source}")]
    Unreadable {
        /// What was read.
        path: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

/// Gives an admin's bearer token that is good now.
pub type Token = Arc<dyn Fn() -> Result<String, Fault> + Send + Sync>;

/// A page of a list; an answer without `next` is whole.
#[derive(Deserialize)]
pub(crate) struct Page<T> {
    pub(crate) items: Vec<T>,
    pub(crate) next: Option<String>,
}

/// Whoever reads.
pub(crate) struct Reader {
    peer: Peer,
    runtime: Arc<dyn Runtime>,
    token: Token,
    tries_max: u32,
}

/// What became of one try.
enum Tried {
    Read(Vec<u8>),
    Again(String),
}

impl Reader {
    /// A reader that tries until the shop counts as gone.
    pub(crate) fn patient(runtime: Arc<dyn Runtime>, peer: Peer, token: Token) -> Self {
        Self { peer, runtime, token, tries_max: TRIES_MAX }
    }

    /// A reader that tries once: a shop that is busy is left alone.
    pub(crate) fn considerate(runtime: Arc<dyn Runtime>, peer: Peer, token: Token) -> Self {
        Self { tries_max: 1, ..Self::patient(runtime, peer, token) }
    }

    /// Every item of a list. The first page is asked for plainly, since a list that has no pages takes no parameters.
    pub(crate) async fn list<T: DeserializeOwned>(&self, path: &str) -> Result<Vec<T>, AuditError> {
        let (mut items, mut after) = (Vec::new(), None);
        loop {
            let page: Page<T> = self.page(path, after.as_deref()).await?;
            items.extend(page.items);
            let Some(next) = page.next else { return Ok(items) };
            after = Some(next);
        }
    }

    /// The page of a list behind `after`. Of a page that nothing comes before, the list itself says how many items it has.
    pub(crate) async fn page<T: DeserializeOwned>(&self, path: &str, after: Option<&str>) -> Result<Page<T>, AuditError> {
        match after {
            None => self.get(path).await,
            Some(after) => self.get(&format!("{path}?limit={PAGE_LIMIT_MAX}&after={after}")).await,
        }
    }

    /// What `path` answers.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, AuditError> {
        let mut pause_ms = PAUSE_MIN_MS;
        let mut last = String::new();
        for tried in 1..=self.tries_max {
            match Box::pin(self.try_once(path)).await? {
                Tried::Read(body) => {
                    return serde_json::from_slice(&body)
                        .map_err(|source| AuditError::Unreadable { path: path.to_owned(), source });
                }
                Tried::Again(detail) => last = detail,
            }
            if tried < self.tries_max {
                self.runtime.sleep(pause_ms).await;
                pause_ms = (pause_ms * 2).min(PAUSE_MAX_MS);
            }
        }
        Err(AuditError::Silent { path: path.to_owned(), tries: self.tries_max, detail: last })
    }

    async fn try_once(&self, path: &str) -> Result<Tried, AuditError> {
        let token = (self.token)().map_err(AuditError::Token)?;
        let headers = vec![("authorization", format!("Bearer {token}"))];
        let ask = PeerAsk { method: "GET", path: path.to_owned(), headers, body: Vec::new() };
        let answer = match select(Box::pin(self.peer.ask(ask)), self.runtime.sleep(READ_WITHIN_MS)).await {
            Either::Left((Ok(answer), _)) => answer,
            Either::Left((Err(fault), _)) => return Ok(Tried::Again(fault.to_string())),
            Either::Right(_) => return Ok(Tried::Again(format!("nothing within {READ_WITHIN_MS} ms"))),
        };
        if answer.status == OK {
            return Ok(Tried::Read(answer.body));
        }
        let detail = String::from_utf8_lossy(&answer.body).into_owned();
        if COME_BACK.contains(&answer.status) {
            return Ok(Tried::Again(format!("{} {detail}", answer.status)));
        }
        Err(AuditError::Refused { path: path.to_owned(), status: answer.status, detail })
    }
}
