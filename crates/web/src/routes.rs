//! What a service gives to the door: its routes, each with the callers it is for, and the list of them for tests and docs.
//! Leaves opening them to `door`, and the functions behind them to the service.

use std::fmt;
use std::sync::Arc;

use axum::body::Body;
use axum::http::{Method, Request, Response};
use kernel::{BoxFuture, Fault};

use crate::access::Access;
use crate::answer::Answer;
use crate::handler::Handler;
use crate::incoming::Incoming;

/// One route as tests, docs and logs name it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RouteInfo {
    /// The service it belongs to.
    pub service: &'static str,
    /// Its method; GET answers HEAD as well.
    pub method: Method,
    /// Its path with parameters in braces, as `/v1/orders/{id}`.
    pub path: String,
    /// Who may call it.
    pub access: Access,
}

impl fmt::Display for RouteInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} ({}): {}", self.method, self.path, self.service, self.access)
    }
}

pub(crate) type Handle<S> = Arc<dyn Fn(Incoming, S) -> BoxFuture<'static, Result<Answer, Fault>> + Send + Sync>;

/// Carries a request to where its route is served, as it came: who calls is checked there.
pub type Carrier = Arc<dyn Fn(Request<Body>) -> BoxFuture<'static, Result<Response<Body>, Fault>> + Send + Sync>;

/// Where a route is served.
pub(crate) enum Endpoint<S> {
    /// In this process.
    Here(Handle<S>),
    /// In another one.
    Elsewhere(Carrier),
}

impl<S> Clone for Endpoint<S> {
    fn clone(&self) -> Self {
        match self {
            Self::Here(handle) => Self::Here(handle.clone()),
            Self::Elsewhere(carrier) => Self::Elsewhere(carrier.clone()),
        }
    }
}

/// The routes of a service, or of several once each has its state.
#[derive(Clone)]
pub struct Routes<S = ()> {
    service: &'static str,
    routes: Vec<(RouteInfo, Endpoint<S>)>,
}

impl<S: Clone + Send + Sync + 'static> Routes<S> {
    /// No routes yet, of the service of that name.
    #[must_use]
    pub fn new(service: &'static str) -> Self {
        Self { service, routes: Vec::new() }
    }

    /// Reads `path`, for `access`, by `handler`.
    #[must_use]
    pub fn get<Args>(self, path: &str, access: Access, handler: impl Handler<S, Args>) -> Self {
        self.route(Method::GET, path, access, handler)
    }

    /// Posts to `path`, for `access`, by `handler`.
    #[must_use]
    pub fn post<Args>(self, path: &str, access: Access, handler: impl Handler<S, Args>) -> Self {
        self.route(Method::POST, path, access, handler)
    }

    /// Puts to `path`, for `access`, by `handler`.
    #[must_use]
    pub fn put<Args>(self, path: &str, access: Access, handler: impl Handler<S, Args>) -> Self {
        self.route(Method::PUT, path, access, handler)
    }

    /// Patches `path`, for `access`, by `handler`.
    #[must_use]
    pub fn patch<Args>(self, path: &str, access: Access, handler: impl Handler<S, Args>) -> Self {
        self.route(Method::PATCH, path, access, handler)
    }

    /// Deletes `path`, for `access`, by `handler`.
    #[must_use]
    pub fn delete<Args>(self, path: &str, access: Access, handler: impl Handler<S, Args>) -> Self {
        self.route(Method::DELETE, path, access, handler)
    }

    fn route<Args>(mut self, method: Method, path: &str, access: Access, handler: impl Handler<S, Args>) -> Self {
        let info = RouteInfo { service: self.service, method, path: path.to_owned(), access };
        let handle: Handle<S> = Arc::new(move |incoming, state| handler.clone().call(incoming, state));
        self.routes.push((info, Endpoint::Here(handle)));
        self
    }

    /// One more route, that is served elsewhere.
    #[must_use]
    pub fn elsewhere(mut self, info: RouteInfo, carrier: Carrier) -> Self {
        self.routes.push((info, Endpoint::Elsewhere(carrier)));
        self
    }

    /// These routes and the other's.
    #[must_use]
    pub fn merge(mut self, other: Self) -> Self {
        self.routes.extend(other.routes);
        self
    }

    /// The routes with the state that their handlers take.
    #[must_use]
    pub fn with_state(self, state: S) -> Routes {
        let bind = |(info, endpoint): (RouteInfo, Endpoint<S>)| {
            let state = state.clone();
            let bound = match endpoint {
                Endpoint::Here(handle) => {
                    Endpoint::Here(Arc::new(move |incoming, ()| handle(incoming, state.clone())) as Handle<()>)
                }
                Endpoint::Elsewhere(carrier) => Endpoint::Elsewhere(carrier),
            };
            (info, bound)
        };
        Routes { service: self.service, routes: self.routes.into_iter().map(bind).collect() }
    }

    /// Every route, so that a test can try each with each caller.
    #[must_use]
    pub fn list(&self) -> Vec<RouteInfo> {
        self.routes.iter().map(|(info, _)| info.clone()).collect()
    }
}

impl Routes {
    pub(crate) fn into_endpoints(self) -> Vec<(RouteInfo, Endpoint<()>)> {
        self.routes
    }
}

impl<S> fmt::Debug for Routes<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.routes.iter().map(|(info, _)| info.to_string())).finish()
    }
}
