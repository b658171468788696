//! A fault on the wire: RFC 9457 problem details with one status for each kind, and nothing of the cause.
//! Leaves the faults themselves to `kernel`; is the only place where a kind becomes a status.

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use kernel::{Fault, FaultKind, FieldFault};
use serde_json::{Map, Value, json};

/// The reason of a fault, appended to this, is the `type` of its problem.
pub const PROBLEM_TYPE_BASE: &str = "https://swiftcart.dev/problems/";

pub(crate) const MEDIA_TYPE: &str = "application/problem+json";

/// Reasons of the protocol whose status is not the one of their kind.
pub(crate) const UNSUPPORTED_MEDIA_TYPE: &str = "unsupported-media-type";
pub(crate) const METHOD_NOT_ALLOWED: &str = "method-not-allowed";
pub(crate) const PRECONDITION_REQUIRED: &str = "precondition-required";
pub(crate) const KEY_REUSED: &str = "idempotency-key-reused";
pub(crate) const OUTCOME_UNKNOWN: &str = "outcome-unknown";
pub(crate) const TOKEN_INVALID: &str = "token-invalid";
pub(crate) const TOKEN_EXPIRED: &str = "token-expired";

/// What a fault looks like to whoever asked: a status, some headers, a JSON object.
#[derive(Clone, PartialEq, Debug)]
pub struct Problem {
    /// The one status of the fault's kind.
    pub status: StatusCode,
    /// `Retry-After` and `WWW-Authenticate` where they apply.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The members of RFC 9457 and ours.
    pub members: Map<String, Value>,
}

impl Problem {
    /// The problem of `fault` in answer to the request of that id.
    #[must_use]
    pub fn of(fault: &Fault, request_id: &str) -> Self {
        let status = status_of(fault);
        Self { status, headers: headers_of(fault), members: members_of(fault, status, request_id) }
    }

    /// The fault that another process answered with as a problem, to be passed on; `None` if it is none.
    #[must_use]
    pub fn fault(status: u16, body: &[u8]) -> Option<Fault> {
        let mut members: Map<String, Value> = serde_json::from_slice(body).ok()?;
        let mut text = |name: &str| members.remove(name).and_then(|value| Some(value.as_str()?.to_owned()));
        let (kind, detail) = (text("type")?, text("detail")?);
        let reason = kind.strip_prefix(PROBLEM_TYPE_BASE)?;
        let mut fault = Fault::new(kind_of(status, reason), reason, detail);
        let errors = members.remove("errors");
        fault.fields = errors.as_ref().and_then(Value::as_array).into_iter().flatten().filter_map(field_of).collect();
        for ours in ["title", "status", "request_id"] {
            members.remove(ours);
        }
        fault.more = members;
        Some(fault)
    }
}

/// The kind of a fault that has this status and reason.
fn kind_of(status: u16, reason: &str) -> FaultKind {
    match status {
        401 => FaultKind::Unauthenticated,
        403 => FaultKind::Forbidden,
        404 => FaultKind::NotFound,
        409 => FaultKind::Conflict,
        412 => FaultKind::Stale,
        413 => FaultKind::TooLarge,
        422 if reason == KEY_REUSED => FaultKind::KeyReused,
        429 => FaultKind::Exhausted,
        503 if reason == OUTCOME_UNKNOWN => FaultKind::OutcomeUnknown,
        503 => FaultKind::Unavailable,
        400..500 => FaultKind::Invalid,
        _ => FaultKind::Internal,
    }
}

fn field_of(error: &Value) -> Option<FieldFault> {
    let place = error.get("pointer").or_else(|| error.get("parameter"))?;
    Some(FieldFault { field: place.as_str()?.to_owned(), detail: error.get("detail")?.as_str()?.to_owned() })
}

/// Logs what a person must know of, once, and answers with the rest.
pub(crate) fn respond(fault: &Fault, request_id: &str) -> Response {
    log(fault);
    let problem = Problem::of(fault, request_id);
    let mut response = Response::new(axum::body::Body::from(Value::Object(problem.members).to_string()));
    *response.status_mut() = problem.status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
    response.headers_mut().extend(problem.headers);
    response
}

/// The span of the request says which one it was. A refusal without a cause is a decision, as under load, and would only fill the log.
fn log(fault: &Fault) {
    let (reason, cause) = (fault.reason.as_str(), fault.cause.as_deref());
    match (fault.kind, cause) {
        (FaultKind::Internal, _) => tracing::error!(reason, cause, "a request met a defect"),
        (FaultKind::Unavailable | FaultKind::OutcomeUnknown, Some(cause)) => {
            tracing::warn!(reason, cause, "a request was not served");
        }
        _ => {}
    }
}

fn status_of(fault: &Fault) -> StatusCode {
    match fault.reason.as_str() {
        UNSUPPORTED_MEDIA_TYPE => return StatusCode::UNSUPPORTED_MEDIA_TYPE,
        METHOD_NOT_ALLOWED => return StatusCode::METHOD_NOT_ALLOWED,
        PRECONDITION_REQUIRED => return StatusCode::PRECONDITION_REQUIRED,
        _ => {}
    }
    match fault.kind {
        FaultKind::Invalid if fault.fields.iter().any(in_body) => StatusCode::UNPROCESSABLE_ENTITY,
        FaultKind::Invalid => StatusCode::BAD_REQUEST,
        FaultKind::Unauthenticated => StatusCode::UNAUTHORIZED,
        FaultKind::Forbidden => StatusCode::FORBIDDEN,
        FaultKind::NotFound => StatusCode::NOT_FOUND,
        FaultKind::Conflict => StatusCode::CONFLICT,
        FaultKind::KeyReused => StatusCode::UNPROCESSABLE_ENTITY,
        FaultKind::Stale => StatusCode::PRECONDITION_FAILED,
        FaultKind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        FaultKind::Exhausted => StatusCode::TOO_MANY_REQUESTS,
        FaultKind::Unavailable | FaultKind::OutcomeUnknown => StatusCode::SERVICE_UNAVAILABLE,
        FaultKind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// Whether the fault is in a member of the body: a JSON pointer is empty (the whole body) or begins with a slash.
fn in_body(field: &FieldFault) -> bool {
    field.field.is_empty() || field.field.starts_with('/')
}

fn headers_of(fault: &Fault) -> Vec<(HeaderName, HeaderValue)> {
    let mut headers = Vec::new();
    if let Some(after_ms) = fault.retry_after_ms {
        let seconds = after_ms.saturating_add(999).div_euclid(1000).max(1);
        headers.push((header::RETRY_AFTER, HeaderValue::from(seconds)));
    }
    if fault.kind == FaultKind::Unauthenticated {
        let challenge = match fault.reason.as_str() {
            TOKEN_INVALID | TOKEN_EXPIRED => r#"Bearer realm="swiftcart", error="invalid_token""#,
            _ => r#"Bearer realm="swiftcart""#,
        };
        headers.push((header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge)));
    }
    headers
}

fn members_of(fault: &Fault, status: StatusCode, request_id: &str) -> Map<String, Value> {
    // Ours first, so that none of them can take the place of a member of the standard.
    let mut members = fault.more.clone();
    members.insert("type".to_owned(), format!("{PROBLEM_TYPE_BASE}{}", fault.reason).into());
    members.insert("title".to_owned(), title_of(&fault.reason).into());
    members.insert("status".to_owned(), status.as_u16().into());
    members.insert("detail".to_owned(), fault.detail.clone().into());
    members.insert("request_id".to_owned(), request_id.into());
    if !fault.fields.is_empty() {
        members.insert("errors".to_owned(), fault.fields.iter().map(error_of).collect());
    }
    members
}

fn error_of(field: &FieldFault) -> Value {
    let place = if in_body(field) { "pointer" } else { "parameter" };
    json!({ place: field.field, "detail": field.detail })
}

/// The same title for the same type: the reason as words.
fn title_of(reason: &str) -> String {
    let words = reason.replace('-', " ");
    let mut letters = words.chars();
    letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect()
}
