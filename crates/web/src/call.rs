//! One request to a router in this process, and its reply: how edges and tests call a service that lives beside them.
//! Leaves calls over the network to `peer`.

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri, header};
use bytes::Bytes;
use http_body_util::BodyExt;
use kernel::Fault;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tower::ServiceExt;

use crate::caller::CART_CAPABILITY;
use crate::idempotency::IDEMPOTENCY_KEY;

/// A request being put together.
#[derive(Clone, Debug)]
pub struct Call {
    method: Method,
    target: String,
    headers: Vec<(HeaderName, String)>,
    body: Bytes,
}

impl Call {
    /// A request of `method` to `target`, a path with or without a query.
    #[must_use]
    pub fn new(method: Method, target: &str) -> Self {
        Self { method, target: target.to_owned(), headers: Vec::new(), body: Bytes::new() }
    }

    /// Reads `target`.
    #[must_use]
    pub fn get(target: &str) -> Self {
        Self::new(Method::GET, target)
    }

    /// Posts to `target`.
    #[must_use]
    pub fn post(target: &str) -> Self {
        Self::new(Method::POST, target)
    }

    /// The same with one more header.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    /// The same with a token.
    #[must_use]
    pub fn bearer(self, token: &str) -> Self {
        self.header(header::AUTHORIZATION, &format!("Bearer {token}"))
    }

    /// The same with a cart's capability.
    #[must_use]
    pub fn capability(self, text: &str) -> Self {
        self.header(HeaderName::from_static(CART_CAPABILITY), text)
    }

    /// The same with an idempotency key.
    #[must_use]
    pub fn key(self, text: &str) -> Self {
        self.header(HeaderName::from_static(IDEMPOTENCY_KEY), text)
    }

    /// The same with `value` as its JSON body; a value that is not JSON leaves the body empty.
    #[must_use]
    pub fn json(self, value: &impl Serialize) -> Self {
        self.bytes("application/json", serde_json::to_vec(value).unwrap_or_default())
    }

    /// The same with a body of any media type.
    #[must_use]
    pub fn bytes(self, media_type: &str, body: impl Into<Bytes>) -> Self {
        self.body(body).header(header::CONTENT_TYPE, media_type)
    }

    /// The same with a body whose media type is not said, or is said by a header of its own.
    #[must_use]
    pub(crate) fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// Sends it through `router` and reads the whole reply. A fault means that it could not be sent at all.
    pub async fn send(self, router: &Router) -> Result<Reply, Fault> {
        let request = self.into_request()?;
        let Ok(response) = router.clone().oneshot(request).await;
        let (parts, body) = response.into_parts();
        let body = body.collect().await.map_err(|error| Fault::internal(format!("a reply broke off: {error}")))?.to_bytes();
        Ok(Reply { status: parts.status, headers: parts.headers, body })
    }

    fn into_request(self) -> Result<Request<Body>, Fault> {
        let uri: Uri =
            self.target.parse().map_err(|error| Fault::internal(format!("`{}` is no target: {error}", self.target)))?;
        let mut request = Request::new(Body::from(self.body));
        *request.method_mut() = self.method;
        *request.uri_mut() = uri;
        for (name, value) in self.headers {
            let value =
                HeaderValue::from_str(&value).map_err(|_| Fault::internal(format!("no header {name} can hold that value")))?;
            request.headers_mut().append(name, value);
        }
        Ok(request)
    }
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

impl Reply {
    /// The body as JSON of a type.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Fault> {
        serde_json::from_slice(&self.body).map_err(|error| Fault::internal(format!("a reply is not what was expected: {error}")))
    }

    /// The text of a header, if it is there.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}
