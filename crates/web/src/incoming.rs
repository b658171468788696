//! A request on its way into a handler, and what a handler may take out of it.
//! Leaves the single extractors to their own files; has passed the check of access before it exists.

use std::future::Future;

use axum::extract::Query as UrlQuery;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method};
use kernel::{Fault, FaultKind, FieldFault};

use crate::caller::Caller;

/// A request whose caller is known and may call this route.
#[derive(Debug)]
pub struct Incoming {
    /// The method as it came.
    pub method: Method,
    /// The path as it came, without the query.
    pub path: String,
    /// All headers.
    pub headers: HeaderMap,
    /// Who sent it.
    pub caller: Caller,
    pub(crate) params: Vec<(String, String)>,
    pub(crate) query: Vec<(String, String)>,
    /// For each pair of the query, whether an extractor has taken it; what nobody takes is refused.
    pub(crate) taken: Vec<bool>,
    pub(crate) body: Option<axum::body::Body>,
}

impl Incoming {
    pub(crate) fn new(
        parts: Parts,
        params: Vec<(String, String)>,
        body: axum::body::Body,
        caller: Caller,
    ) -> Result<Self, Fault> {
        let query = UrlQuery::<Vec<(String, String)>>::try_from_uri(&parts.uri);
        let UrlQuery(query) =
            query.map_err(|_| Fault::new(FaultKind::Invalid, "invalid-query", "the query cannot be read as name=value pairs"))?;
        let taken = vec![false; query.len()];
        let path = parts.uri.path().to_owned();
        Ok(Self { method: parts.method, path, headers: parts.headers, caller, params, query, taken, body: Some(body) })
    }

    /// The one value of a header, if it is there, is text and is not repeated.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.get_all(name).iter();
        let first = values.next()?.to_str().ok()?;
        values.next().is_none().then_some(first)
    }

    /// The one value of a parameter of the query, taken out of it.
    pub(crate) fn take_query(&mut self, name: &str) -> Result<Option<String>, Fault> {
        let mut found = None;
        for ((key, value), taken) in self.query.iter().zip(&mut self.taken) {
            if key == name {
                *taken = true;
                if found.replace(value.clone()).is_some() {
                    return Err(Fault::invalid_field(name, format!("`{name}` may be given once")));
                }
            }
        }
        Ok(found)
    }

    /// Refuses what no extractor has asked for, so that a misspelt filter is not taken for none.
    pub(crate) fn refuse_leftovers(&self) -> Result<(), Fault> {
        let unknown = self.query.iter().zip(&self.taken).filter(|(_, taken)| !**taken).map(|((name, _), _)| name);
        let field = |name: &String| FieldFault {
            field: name.clone(),
            detail: format!("there is no parameter `{name}` here; leave it out"),
        };
        let fields: Vec<FieldFault> = unknown.map(field).collect();
        let Some(first) = fields.first() else { return Ok(()) };
        let mut fault = Fault::new(FaultKind::Invalid, "unknown-parameter", first.detail.clone());
        fault.fields = fields;
        Err(fault)
    }
}

/// What a handler may take as an argument. Arguments are taken from left to right, so the body stands last.
pub trait Extract<S>: Sized {
    /// Takes this out of `incoming`, or says what is wrong with it.
    fn extract(incoming: &mut Incoming, state: &S) -> impl Future<Output = Result<Self, Fault>> + Send;
}

/// What the service gave its routes at [`crate::Routes::with_state`].
#[derive(Clone, Copy, Debug)]
pub struct State<S>(pub S);

impl<S: Clone + Send + Sync> Extract<S> for State<S> {
    async fn extract(_: &mut Incoming, state: &S) -> Result<Self, Fault> {
        Ok(Self(state.clone()))
    }
}

impl<S: Sync> Extract<S> for Caller {
    async fn extract(incoming: &mut Incoming, _: &S) -> Result<Self, Fault> {
        Ok(incoming.caller.clone())
    }
}

/// All headers, for what has no extractor of its own, as a provider's signature.
#[derive(Clone, Debug)]
pub struct Headers(pub HeaderMap);

impl<S: Sync> Extract<S> for Headers {
    async fn extract(incoming: &mut Incoming, _: &S) -> Result<Self, Fault> {
        Ok(Self(incoming.headers.clone()))
    }
}
