//! What went wrong, in one closed set: for machines a kind and a reason, for people a sentence and the fix.
//! Leaves the form on the wire (RFC 9457) to `web`.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The closed set of kinds; each has one HTTP status in `web`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultKind {
    /// The request is malformed or breaks a rule of form: 400, or 422 where a field is named.
    Invalid,
    /// Nobody has shown who is calling: 401.
    Unauthenticated,
    /// Who is calling may not do this: 403.
    Forbidden,
    /// There is no such thing, or the caller may not know of it: 404.
    NotFound,
    /// It does not fit the present state: 409.
    Conflict,
    /// A stated condition (If-Match) does not hold: 412.
    Stale,
    /// The idempotency key belongs to another request: 422.
    KeyReused,
    /// The body is larger than the named limit: 413.
    TooLarge,
    /// A limit on the rate or a full queue: 429.
    Exhausted,
    /// Something we need does not answer; nothing is known to have been changed: 503.
    Unavailable,
    /// It may or may not have happened; repeat with the same key: 503.
    OutcomeUnknown,
    /// A defect of ours: 500.
    Internal,
}

/// One field that is at fault.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FieldFault {
    /// JSON pointer into the request body (RFC 6901), or the name of a parameter or header.
    pub field: String,
    /// What is wrong with it and what would be right.
    pub detail: String,
}

/// A refusal or a failure on its way to whoever asked.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Fault {
    /// Which of the closed set.
    pub kind: FaultKind,
    /// A stable kebab-case word for machines, as `out-of-stock`.
    pub reason: String,
    /// One sentence for people: what is wrong and what would help.
    pub detail: String,
    /// The fields at fault, if any are.
    pub fields: Vec<FieldFault>,
    /// After how many milliseconds to come back, where that helps.
    pub retry_after_ms: Option<i64>,
    /// More for machines, merged into the problem's members, as the lines that are short.
    pub more: serde_json::Map<String, serde_json::Value>,
    /// What happened inside; logged, never sent.
    #[serde(skip)]
    pub cause: Option<String>,
}

impl Fault {
    /// A fault of `kind`, known to machines as `reason` and to people as `detail`.
    #[must_use]
    pub fn new(kind: FaultKind, reason: &str, detail: impl Into<String>) -> Self {
        Self {
            kind,
            reason: reason.to_owned(),
            detail: detail.into(),
            fields: Vec::new(),
            retry_after_ms: None,
            more: serde_json::Map::new(),
            cause: None,
        }
    }

    /// The field at `field` (a JSON pointer or a parameter's name) is wrong, as `detail` says.
    #[must_use]
    pub fn invalid_field(field: impl Into<String>, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        let mut fault = Self::new(FaultKind::Invalid, "invalid-field", detail.clone());
        fault.fields.push(FieldFault { field: field.into(), detail });
        fault
    }

    /// There is no `what` of that id, or not for this caller.
    #[must_use]
    pub fn not_found(what: &str) -> Self {
        Self::new(FaultKind::NotFound, "not-found", format!("there is no such {what}, or it is not yours to see"))
    }

    /// It does not fit the present state.
    #[must_use]
    pub fn conflict(reason: &str, detail: impl Into<String>) -> Self {
        Self::new(FaultKind::Conflict, reason, detail)
    }

    /// The caller may not do this.
    #[must_use]
    pub fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(FaultKind::Forbidden, "forbidden", detail)
    }

    /// A defect of ours; `cause` is logged, never sent.
    #[must_use]
    pub fn internal(cause: impl Into<String>) -> Self {
        let fault = Self::new(FaultKind::Internal, "internal", "something went wrong on our side; it has been noted");
        fault.because(cause)
    }

    /// Something needed does not answer; come back after `retry_after_ms`.
    #[must_use]
    pub fn unavailable(cause: impl Into<String>, retry_after_ms: i64) -> Self {
        let mut fault =
            Self::new(FaultKind::Unavailable, "unavailable", "not available at this moment; please try again shortly")
                .because(cause);
        fault.retry_after_ms = Some(retry_after_ms);
        fault
    }

    /// The same fault with what happened inside.
    #[must_use]
    pub fn because(mut self, cause: impl Into<String>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    /// The same fault with one more member for machines.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<serde_json::Value>) -> Self {
        self.more.insert(name.to_owned(), value.into());
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.reason, self.detail)?;
        match &self.cause {
            Some(cause) => write!(f, " ({cause})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Fault {}
