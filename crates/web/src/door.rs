//! Opens routes to the world: names each request, finds its caller, bounds how many and how long, and never answers with a panic.
//! Leaves listening to `serve`, the rate of each client to the gateway, and every answer to the routes.

use std::any::Any;
use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use axum::Router;
use axum::body::HttpBody;
use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{FromRequestParts, MatchedPath, RawPathParams, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::any;
use futures_util::FutureExt;
use futures_util::future::{Either, select};
use kernel::{Bucket, Fault, FaultKind, Id, Millis, Runtime, TraceContext};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::Instrument;

use crate::access::Access;
use crate::caller::{CART_CAPABILITY, Caller, Person, REQUEST_ID, TRACEPARENT};
use crate::conditional::Prefer;
use crate::incoming::Incoming;
use crate::measured::{Meter, Meters, Traffic};
use crate::problem::{self, METHOD_NOT_ALLOWED, OUTCOME_UNKNOWN};
use crate::routes::{Endpoint, Handle, RouteInfo, Routes};
use crate::token::{Keyring, token_invalid};

/// The longest name of a request that is taken over from outside.
const REQUEST_ID_CHARS_MAX: usize = 64;

/// How much a door lets in at once, and for how long.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Requests under way; one more is refused with 503 at once.
    pub requests_max: usize,
    /// Reads under way that prefer to wait for news; they cost little and would starve the others.
    pub waits_max: usize,
    /// How long a request may take, beyond the wait that it prefers.
    pub deadline_ms: Millis,
    /// When a refused request is told to come back.
    pub retry_after_ms: Millis,
}

impl Default for Limits {
    fn default() -> Self {
        Self { requests_max: 1024, waits_max: 4096, deadline_ms: 10_000, retry_after_ms: 1000 }
    }
}

/// What a request is called: by whoever sent it, or by the door.
#[derive(Clone)]
struct Name {
    request_id: String,
    trace: TraceContext,
}

impl Name {
    fn write(&self, headers: &mut HeaderMap) {
        for (header, text) in [(REQUEST_ID, &self.request_id), (TRACEPARENT, &self.trace.to_string())] {
            if let Ok(value) = HeaderValue::from_str(text) {
                headers.insert(header, value);
            }
        }
    }
}

/// What stands before the routes of one process.
#[derive(Clone)]
pub struct Door {
    runtime: Arc<dyn Runtime>,
    keyring: Keyring,
    limits: Limits,
    requests: Arc<Semaphore>,
    waits: Arc<Semaphore>,
    traffic: Traffic,
}

/// A door with the routes behind it, as they are counted.
#[derive(Clone)]
struct Entrance {
    door: Door,
    meters: Arc<Meters>,
}

impl Door {
    /// A door that takes time and chance from `runtime` and trusts the tokens of `keyring`.
    #[must_use]
    pub fn new(runtime: Arc<dyn Runtime>, keyring: Keyring, limits: Limits) -> Self {
        let requests = Arc::new(Semaphore::new(limits.requests_max));
        let waits = Arc::new(Semaphore::new(limits.waits_max));
        Self { runtime, keyring, limits, requests, waits, traffic: Traffic::default() }
    }

    /// The same door, which counts what goes through it in `traffic`.
    #[must_use]
    pub fn counting(mut self, traffic: Traffic) -> Self {
        self.traffic = traffic;
        self
    }

    /// The router behind this door. Panics at once if two routes claim the same method and path.
    pub fn open(&self, routes: Routes) -> Router {
        let entrance = Entrance { door: self.clone(), meters: Arc::new(self.traffic.meters(&routes.list())) };
        let mut places: BTreeMap<String, Vec<(RouteInfo, Endpoint<()>)>> = BTreeMap::new();
        for (info, endpoint) in routes.into_endpoints() {
            let place = places.entry(info.path.clone()).or_default();
            assert!(place.iter().all(|(other, _)| other.method != info.method), "two handlers for {info}");
            place.push((info, endpoint));
        }
        let mut router = Router::new();
        for (path, place) in places {
            let place = Arc::new(place);
            let door = self.clone();
            router = router.route(&path, any(move |request: Request| answer(door.clone(), place.clone(), request)));
        }
        router.fallback(no_such_place).layer(from_fn_with_state(entrance, enter))
    }

    fn request_id(&self, headers: &HeaderMap) -> String {
        let sane = |text: &&str| {
            let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'));
            plain && (1..=REQUEST_ID_CHARS_MAX).contains(&text.len())
        };
        let given = headers.get(REQUEST_ID).and_then(|value| value.to_str().ok()).filter(sane);
        given.map_or_else(|| Id::new(self.runtime.now(), Bucket(0), &mut self.runtime.draw()).to_string(), str::to_owned)
    }

    fn trace(&self, headers: &HeaderMap) -> TraceContext {
        let given = headers.get(TRACEPARENT).and_then(|value| value.to_str().ok()).and_then(TraceContext::parse);
        let mut draw = self.runtime.draw();
        match given {
            Some(given) => given.child(draw.next_u64()),
            None => TraceContext::start(&mut draw),
        }
    }

    fn person(&self, headers: &HeaderMap) -> Result<Option<Person>, Fault> {
        let mut values = headers.get_all(header::AUTHORIZATION).iter();
        let Some(value) = values.next() else { return Ok(None) };
        let token = value.to_str().ok().and_then(bearer).filter(|_| values.next().is_none()).ok_or_else(token_invalid)?;
        self.keyring.verify(token, self.runtime.now()).map(Some)
    }

    /// Lets in whom the route names, and the handler take the request apart.
    async fn handle(&self, access: &Access, handle: &Handle<()>, request: Request) -> Result<Response, Fault> {
        let (mut parts, body) = request.into_parts();
        let name = parts.extensions.remove::<Name>().ok_or_else(|| Fault::internal("a route stands outside its door"))?;
        let caller = self.caller(&parts.headers, name)?;
        access.check(&caller, &parts.headers)?;
        let params = params_of(&mut parts).await?;
        let incoming = Incoming::new(parts, params, body, caller)?;
        handle(incoming, ()).await?.into_response()
    }

    fn admit(&self, waits: bool) -> Result<OwnedSemaphorePermit, Fault> {
        let places = if waits { &self.waits } else { &self.requests };
        places.clone().try_acquire_owned().map_err(|_| self.overloaded())
    }

    fn overloaded(&self) -> Fault {
        let mut fault =
            Fault::new(FaultKind::Unavailable, "overloaded", "too much is under way at this moment; nothing was done");
        fault.retry_after_ms = Some(self.limits.retry_after_ms);
        fault
    }

    /// A read that took too long is merely unavailable; of a write nobody knows.
    fn too_late(&self, method: &Method) -> Fault {
        let cause = "the deadline of the request passed";
        if method.is_safe() {
            return Fault::unavailable(cause, self.limits.retry_after_ms);
        }
        let detail = "it took too long and may or may not have happened; repeat it with the same Idempotency-Key";
        let mut fault = Fault::new(FaultKind::OutcomeUnknown, OUTCOME_UNKNOWN, detail).because(cause);
        fault.retry_after_ms = Some(self.limits.retry_after_ms);
        fault
    }
}

impl std::fmt::Debug for Door {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Door").field("keyring", &self.keyring).field("limits", &self.limits).finish_non_exhaustive()
    }
}

fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

/// The one layer: everything that holds for every request.
async fn enter(State(entrance): State<Entrance>, request: Request, next: Next) -> Response {
    let path = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
    let meter = entrance.meters.of(path, request.method());
    let name = Name { request_id: entrance.door.request_id(request.headers()), trace: entrance.door.trace(request.headers()) };
    // As an error, so that whatever filter lets a line of this request pass lets its ids pass too.
    let span = tracing::error_span!(
        "request",
        service = meter.service(),
        request_id = name.request_id,
        trace_id = name.trace.trace_id(),
        span_id = name.trace.span_id()
    );
    entrance.door.answer(request, next, meter, name).instrument(span).await
}

impl Door {
    /// Answers a request, whatever becomes of it, and counts it.
    async fn answer(&self, request: Request, next: Next, meter: &Meter, name: Name) -> Response {
        let started = self.runtime.now();
        let waits = request.method().is_safe() && Prefer::of(request.headers()).wait_ms.is_some();
        let passing = meter.begin();
        let result = self.pass(request, next, meter, name.clone()).await;
        let mut response = result.unwrap_or_else(|fault| problem::respond(&fault, &name.request_id));
        furnish(response.headers_mut(), &name);
        let (status, ended) = (response.status().as_u16(), self.runtime.now());
        passing.answered(status, (!waits).then_some((started, ended)));
        tracing::debug!(route = meter.route(), status, duration_ms = ended.since_ms(started), "a request was answered");
        response
    }

    fn caller(&self, headers: &HeaderMap, name: Name) -> Result<Caller, Fault> {
        let capability = headers.get(CART_CAPABILITY).and_then(|value| value.to_str().ok()).map(str::to_owned);
        Ok(Caller { person: self.person(headers)?, capability, request_id: name.request_id, trace: name.trace })
    }

    /// Runs the route within the limits of number and time, and turns its panic into a fault. The number comes first: a
    /// refusal under load must cost less than the check of a token.
    async fn pass(&self, mut request: Request, next: Next, meter: &Meter, name: Name) -> Result<Response, Fault> {
        let method = request.method().clone();
        let wait_ms = Prefer::of(request.headers()).wait_ms.filter(|_| method.is_safe());
        let _permit = self.admit(wait_ms.is_some()).inspect_err(|_| meter.shed())?;
        request.extensions_mut().insert(name);
        let deadline_ms = self.limits.deadline_ms.saturating_add(wait_ms.unwrap_or(0));
        let work = Box::pin(AssertUnwindSafe(next.run(request)).catch_unwind());
        match select(work, self.runtime.sleep(deadline_ms)).await {
            Either::Left((answered, _)) => {
                answered.map_err(|panic| Fault::internal(format!("a handler panicked: {}", words_of(&*panic))))
            }
            Either::Right(_) => Err(self.too_late(&method)),
        }
    }
}

fn words_of(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without words")
}

fn furnish(headers: &mut HeaderMap, name: &Name) {
    name.write(headers);
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
}

async fn no_such_place(request: Request) -> Response {
    let fault =
        Fault::new(FaultKind::NotFound, "no-such-path", "there is nothing at this path; check it against the API's description");
    problem::respond(&fault, request_id_of(&request))
}

fn request_id_of(request: &Request) -> &str {
    request.extensions().get::<Name>().map_or("", |name| name.request_id.as_str())
}

/// Answers at one path: finds the method, then handles the request here, or has it carried to where that is done.
async fn answer(door: Door, place: Arc<Vec<(RouteInfo, Endpoint<()>)>>, request: Request) -> Response {
    let request_id = request_id_of(&request).to_owned();
    let is_head = request.method() == Method::HEAD;
    let wanted = if is_head { &Method::GET } else { request.method() };
    let Some((info, endpoint)) = place.iter().find(|(info, _)| info.method == *wanted) else {
        return not_allowed(&place, &request_id);
    };
    let is_here = matches!(endpoint, Endpoint::Here(_));
    let result = match endpoint {
        Endpoint::Here(handle) => door.handle(&info.access, handle, request).await,
        Endpoint::Elsewhere(carry) => carry(named(request)).await,
    };
    let response = result.unwrap_or_else(|fault| problem::respond(&fault, &request_id));
    // Elsewhere they have left the body out already.
    if is_head && is_here { without_body(response) } else { response }
}

/// The request under the name that this door has given it, so that it has the same one behind the next.
fn named(mut request: Request) -> Request {
    if let Some(name) = request.extensions_mut().remove::<Name>() {
        name.write(request.headers_mut());
    }
    request
}

async fn params_of(parts: &mut Parts) -> Result<Vec<(String, String)>, Fault> {
    match RawPathParams::from_request_parts(parts, &()).await {
        Ok(params) => Ok(params.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()),
        Err(RawPathParamsRejection::MissingPathParams(_)) => Ok(Vec::new()),
        Err(_) => Err(Fault::new(FaultKind::Invalid, "invalid-path", "the path is not percent-encoded UTF-8")),
    }
}

fn not_allowed(place: &[(RouteInfo, Endpoint<()>)], request_id: &str) -> Response {
    let mut methods: Vec<&str> = place.iter().map(|(info, _)| info.method.as_str()).collect();
    if methods.contains(&"GET") {
        methods.push("HEAD");
    }
    let allow = methods.join(", ");
    let fault = Fault::new(FaultKind::Invalid, METHOD_NOT_ALLOWED, format!("this path answers to {allow}"));
    let mut response = problem::respond(&fault, request_id);
    if let Ok(value) = HeaderValue::from_str(&allow) {
        response.headers_mut().insert(header::ALLOW, value);
    }
    response
}

/// The answer to HEAD: the headers of GET, with the length of what is not sent.
fn without_body(response: Response) -> Response {
    let (mut parts, body) = response.into_parts();
    if let Some(length) = body.size_hint().exact() {
        parts.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    Response::from_parts(parts, axum::body::Body::empty())
}
