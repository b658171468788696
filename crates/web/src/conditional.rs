//! Conditions of a request: entity tags made of versions (RFC 9110) and how long it prefers to wait (RFC 7240).
//! Leaves what a version is, and the waiting, to the service.

use axum::http::{HeaderMap, header};
use kernel::{Fault, FaultKind, FieldFault, Millis};
use serde::Serialize;

use crate::answer::Answer;
use crate::incoming::{Extract, Incoming};
use crate::problem::PRECONDITION_REQUIRED;

/// The longest wait that is granted.
pub const PREFER_WAIT_MAX_MS: Millis = 60_000;

/// The strong entity tag of a version.
pub(crate) fn etag(version: i64) -> String {
    format!("\"{version}\"")
}

/// Which versions a header names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Expected {
    /// `*`: whatever there is.
    Any,
    /// One of these; tags that are not ours match no version.
    Versions(Vec<i64>),
}

impl Expected {
    /// Whether `version` is among them.
    #[must_use]
    pub fn holds(&self, version: i64) -> bool {
        match self {
            Self::Any => true,
            Self::Versions(versions) => versions.contains(&version),
        }
    }

    /// Refuses with 412 if `version`, the present one, is not among them.
    pub fn check(&self, version: i64) -> Result<(), Fault> {
        if self.holds(version) {
            return Ok(());
        }
        let detail = "it has changed since you read it; read it again and decide again";
        Err(Fault::new(FaultKind::Stale, "stale", detail).with("version", version))
    }

    fn parse(text: &str, weak: Weak) -> Option<Self> {
        if text.trim() == "*" {
            return Some(Self::Any);
        }
        let tags = text.split(',').map(|tag| version_of(tag.trim(), weak));
        tags.collect::<Option<Vec<_>>>().map(|versions| Self::Versions(versions.into_iter().flatten().collect()))
    }
}

/// Whether a weak tag counts: in `If-None-Match` it does, in `If-Match` it does not.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Weak {
    Counts,
    Fails,
}

/// `None` if it is no entity tag; `Some(None)` if it is one that names no version.
fn version_of(tag: &str, weak: Weak) -> Option<Option<i64>> {
    let (opaque, counts) = match tag.strip_prefix("W/") {
        Some(opaque) => (opaque, weak == Weak::Counts),
        None => (tag, true),
    };
    let inner = opaque.strip_prefix('"')?.strip_suffix('"')?;
    Some(inner.parse().ok().filter(|version| counts && etag(*version) == opaque))
}

/// `If-Match` and `If-None-Match` of a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Conditions {
    /// What a change expects to find.
    pub if_match: Option<Expected>,
    /// What a reader has already.
    pub if_none_match: Option<Expected>,
}

impl Conditions {
    /// What the change expects, or 428 if it does not say.
    pub fn required(&self) -> Result<&Expected, Fault> {
        let detail =
            "the header `If-Match` is missing: send the ETag of what you have read, so that nobody's change is overwritten";
        self.if_match.as_ref().ok_or_else(|| header_fault("If-Match", PRECONDITION_REQUIRED, detail))
    }

    /// Refuses with 412 if the change expects another version than the present one.
    pub fn check(&self, version: i64) -> Result<(), Fault> {
        self.if_match.as_ref().map_or(Ok(()), |expected| expected.check(version))
    }

    /// Whether the reader has `version` already.
    #[must_use]
    pub fn fresh(&self, version: i64) -> bool {
        self.if_none_match.as_ref().is_some_and(|expected| expected.holds(version))
    }

    /// 200 with `view` and the tag of `version`, or 304 if the reader has it already.
    #[must_use]
    pub fn answer(&self, version: i64, view: impl Serialize) -> Answer {
        let answer = if self.fresh(version) { Answer::not_modified() } else { Answer::ok(view) };
        answer.etag(version)
    }
}

impl<S: Sync> Extract<S> for Conditions {
    async fn extract(incoming: &mut Incoming, _: &S) -> Result<Self, Fault> {
        let if_match = joined(&incoming.headers, header::IF_MATCH.as_str()).map(|text| {
            let detail = "the header `If-Match` must hold the ETag as it was sent, in its quotes, or `*`";
            Expected::parse(&text, Weak::Fails).ok_or_else(|| header_fault("If-Match", "invalid-header", detail))
        });
        // A reader whose tag cannot be read simply gets the whole.
        let if_none_match =
            joined(&incoming.headers, header::IF_NONE_MATCH.as_str()).and_then(|text| Expected::parse(&text, Weak::Counts));
        Ok(Self { if_match: if_match.transpose()?, if_none_match })
    }
}

/// All values of a header as one list; a value that is no text reads as one that matches nothing.
fn joined(headers: &HeaderMap, name: &str) -> Option<String> {
    let values: Vec<&str> = headers.get_all(name).iter().map(|value| value.to_str().unwrap_or("?")).collect();
    (!values.is_empty()).then(|| values.join(","))
}

fn header_fault(name: &str, reason: &str, detail: &str) -> Fault {
    let mut fault = Fault::new(FaultKind::Invalid, reason, detail);
    fault.fields.push(FieldFault { field: name.to_owned(), detail: detail.to_owned() });
    fault
}

/// The header `Prefer`; what cannot be read is as good as absent.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Prefer {
    /// How long the caller would wait for news, at most [`PREFER_WAIT_MAX_MS`].
    pub wait_ms: Option<Millis>,
}

impl Prefer {
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let text = joined(headers, "prefer").unwrap_or_default();
        Self { wait_ms: text.split(',').find_map(wait_ms_of) }
    }
}

fn wait_ms_of(preference: &str) -> Option<Millis> {
    let (name, value) = preference.split(';').next()?.split_once('=')?;
    if !name.trim().eq_ignore_ascii_case("wait") {
        return None;
    }
    let seconds = value.trim().trim_matches('"').parse::<u32>().ok()?;
    Some(Millis::from(seconds).saturating_mul(1000).min(PREFER_WAIT_MAX_MS))
}

impl<S: Sync> Extract<S> for Prefer {
    async fn extract(incoming: &mut Incoming, _: &S) -> Result<Self, Fault> {
        Ok(Self::of(&incoming.headers))
    }
}
