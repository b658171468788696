//! What a handler answers: a status, a body and the headers that belong to it.
//! Leaves refusals to `problem` and the headers that every answer carries to `door`.

use std::future::ready;
use std::io;

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream;
use kernel::Fault;
use serde::Serialize;

use crate::conditional::etag;

const IDEMPOTENCY_REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// An answer on its way out.
#[derive(Debug)]
pub struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
    /// Whether the connection is to end before the body.
    cut: bool,
    /// Why it cannot be sent after all; found at once, told when it is sent.
    broken: Option<String>,
}

impl Answer {
    /// 200 with `view` as JSON.
    #[must_use]
    pub fn ok(view: impl Serialize) -> Self {
        Self::json(StatusCode::OK, view)
    }

    /// 201 with the place of what was made and `view` of it as JSON.
    #[must_use]
    pub fn created(location: &str, view: impl Serialize) -> Self {
        Self::json(StatusCode::CREATED, view).header(header::LOCATION, location)
    }

    /// 202 with `view` as JSON: taken, not yet done.
    #[must_use]
    pub fn accepted(view: impl Serialize) -> Self {
        Self::json(StatusCode::ACCEPTED, view)
    }

    /// 204.
    #[must_use]
    pub fn no_content() -> Self {
        Self::empty(StatusCode::NO_CONTENT)
    }

    /// 304; give it the etag too.
    #[must_use]
    pub fn not_modified() -> Self {
        Self::empty(StatusCode::NOT_MODIFIED)
    }

    /// 303 to `location`, which is then read with GET.
    #[must_use]
    pub fn see_other(location: &str) -> Self {
        Self::empty(StatusCode::SEE_OTHER).header(header::LOCATION, location)
    }

    /// `status` with `view` as JSON.
    #[must_use]
    pub fn json(status: StatusCode, view: impl Serialize) -> Self {
        let mut answer = Self::empty(status);
        match serde_json::to_vec(&view) {
            Ok(body) => answer.body = body.into(),
            Err(error) => answer.broken = Some(format!("a view is not JSON: {error}")),
        }
        answer.header(header::CONTENT_TYPE, "application/json")
    }

    /// 200 with `body` of another media type, as a page or an export.
    #[must_use]
    pub fn bytes(media_type: &str, body: impl Into<Bytes>) -> Self {
        let mut answer = Self::empty(StatusCode::OK);
        answer.body = body.into();
        answer.header(header::CONTENT_TYPE, media_type)
    }

    /// No answer at all: the connection ends before anything of it has arrived, as if the process had died.
    /// For services that stand in for misbehaving ones.
    #[must_use]
    pub fn cut() -> Self {
        Self { cut: true, ..Self::empty(StatusCode::OK) }
    }

    fn empty(status: StatusCode) -> Self {
        Self { status, headers: HeaderMap::new(), body: Bytes::new(), cut: false, broken: None }
    }

    /// The same with another status, as when a stored answer is repeated.
    #[must_use]
    pub fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// The same with the strong entity tag of `version`.
    #[must_use]
    pub fn etag(self, version: i64) -> Self {
        self.header(header::ETAG, &etag(version))
    }

    /// The same with the place of what it shows.
    #[must_use]
    pub fn location(self, location: &str) -> Self {
        self.header(header::LOCATION, location)
    }

    /// The same, marked if it repeats what the idempotency key had already done.
    #[must_use]
    pub fn replayed(self, replayed: bool) -> Self {
        if replayed { self.header(IDEMPOTENCY_REPLAYED, "true") } else { self }
    }

    /// The same with one more header, in the place of any of that name. A value that is no header's breaks the answer.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: &str) -> Self {
        match HeaderValue::from_str(value) {
            Ok(value) => {
                self.headers.insert(name, value);
            }
            Err(_) => self.broken = Some(format!("the value for the header {name} cannot stand in one")),
        }
        self
    }

    pub(crate) fn into_response(self) -> Result<Response, Fault> {
        if let Some(cause) = self.broken {
            return Err(Fault::internal(cause));
        }
        let body = if self.cut { cut_body() } else { axum::body::Body::from(self.body) };
        let mut response = Response::new(body);
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        Ok(response)
    }
}

/// A body that fails at once, which makes the server hang up.
fn cut_body() -> axum::body::Body {
    axum::body::Body::from_stream(stream::once(ready(Err::<Bytes, _>(io::Error::other("the answer is cut off")))))
}
