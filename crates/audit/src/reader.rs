//! Reads of the shop's HTTP API as admin: whole lists page by page, repeated while the shop is busy or being restarted.
//! Leaves what the answers mean to others.

use std::sync::Arc;

use futures_util::future::{Either, select};
use kernel::{Millis, Runtime};
use reqwest::StatusCode;
use reqwest::header::RETRY_AFTER;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::Options;

/// How many items a page has.
const PAGE_LIMIT: usize = 100;

/// How long one read may take.
const READ_WITHIN_MS: Millis = 30_000;

/// How often a read is tried before the shop counts as gone.
const TRIES_MAX: u32 = 12;

/// The pause after the first failure; it doubles up to [`PAUSE_MAX_MS`].
const PAUSE_MIN_MS: Millis = 100;
const PAUSE_MAX_MS: Millis = 5000;

/// Why the shop cannot be audited.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// No client can be made.
    #[error("the HTTP client cannot be made: {0}")]
    Client(#[source] reqwest::Error),
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

/// A page of a list; an answer without `next` is whole.
#[derive(Deserialize)]
struct Page<T> {
    items: Vec<T>,
    next: Option<String>,
}

pub(crate) struct Reader {
    http: reqwest::Client,
    runtime: Arc<dyn Runtime>,
    url: String,
    token: String,
}

/// What became of one try.
enum Tried {
    Read(Vec<u8>),
    Again { after_ms: Option<Millis>, detail: String },
}

impl Reader {
    pub(crate) fn new(runtime: Arc<dyn Runtime>, options: &Options) -> Result<Self, AuditError> {
        // The shop is addressed by name; a proxy of the environment would stand between.
        let http = reqwest::Client::builder().no_proxy().build().map_err(AuditError::Client)?;
        let url = options.url.trim_end_matches('/').to_owned();
        Ok(Self { http, runtime, url, token: options.token.clone() })
    }

    /// Every item of a list. The first page is asked for plainly, since a list that has no pages takes no parameters.
    pub(crate) async fn list<T: DeserializeOwned>(&self, path: &str) -> Result<Vec<T>, AuditError> {
        let mut items = Vec::new();
        let mut page: Page<T> = self.get(path).await?;
        loop {
            items.extend(page.items);
            let Some(next) = page.next else { return Ok(items) };
            page = self.get(&format!("{path}?limit={PAGE_LIMIT}&after={next}")).await?;
        }
    }

    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, AuditError> {
        let mut pause_ms = PAUSE_MIN_MS;
        let mut last = String::new();
        for _ in 0..TRIES_MAX {
            match self.try_once(path).await? {
                Tried::Read(body) => {
                    return serde_json::from_slice(&body)
                        .map_err(|source| AuditError::Unreadable { path: path.to_owned(), source });
                }
                Tried::Again { after_ms, detail } => {
                    last = detail;
                    self.runtime.sleep(after_ms.unwrap_or(pause_ms)).await;
                    pause_ms = (pause_ms * 2).min(PAUSE_MAX_MS);
                }
            }
        }
        Err(AuditError::Silent { path: path.to_owned(), tries: TRIES_MAX, detail: last })
    }

    async fn try_once(&self, path: &str) -> Result<Tried, AuditError> {
        let request = self.http.get(format!("{}{path}", self.url)).bearer_auth(&self.token);
        let answer = Box::pin(async {
            let response = request.send().await?;
            let (status, headers) = (response.status(), response.headers().clone());
            Ok::<_, reqwest::Error>((status, headers, response.bytes().await?))
        });
        let (status, headers, body) = match select(answer, self.runtime.sleep(READ_WITHIN_MS)).await {
            Either::Left((Ok(answer), _)) => answer,
            Either::Left((Err(error), _)) => return Ok(again(None, words_of(&error))),
            Either::Right(_) => return Ok(again(None, format!("nothing within {READ_WITHIN_MS} ms"))),
        };
        if status == StatusCode::OK {
            return Ok(Tried::Read(body.to_vec()));
        }
        let detail = String::from_utf8_lossy(&body).into_owned();
        if matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) {
            let seconds = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse::<Millis>().ok());
            return Ok(again(seconds.map(|seconds| seconds.saturating_mul(1000).min(PAUSE_MAX_MS)), detail));
        }
        Err(AuditError::Refused { path: path.to_owned(), status: status.as_u16(), detail })
    }
}

fn again(after_ms: Option<Millis>, detail: String) -> Tried {
    Tried::Again { after_ms, detail }
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
