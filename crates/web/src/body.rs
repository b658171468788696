//! Bodies: JSON as a typed value with its canonical form, none at all, or raw bytes; all of them bounded.
//! Leaves rules that need more than the body to the service.

use std::fmt::Write;

use axum::http::{HeaderMap, header};
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use kernel::{Fault, FaultKind};
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::error::Category;
use serde_path_to_error::Segment;

use crate::idempotency::Fingerprint;
use crate::incoming::{Extract, Incoming};
use crate::problem::UNSUPPORTED_MEDIA_TYPE;

/// How large a body may be.
pub const BODY_BYTES_MAX: usize = 256 * 1024;

/// How much of what serde says reaches the caller; it may quote what they sent.
const DETAIL_CHARS_MAX: usize = 300;

/// A JSON body. Let `T` deny unknown fields, so that a misspelt one is refused and not ignored.
#[derive(Clone, PartialEq, Debug)]
pub struct Body<T> {
    /// The value.
    pub value: T,
    /// The same JSON without spaces and with sorted keys.
    pub canonical: String,
    /// The fingerprint of the request that it came with.
    pub fingerprint: Fingerprint,
}

impl<S: Sync, T: DeserializeOwned> Extract<S> for Body<T> {
    async fn extract(incoming: &mut Incoming, _: &S) -> Result<Self, Fault> {
        require_json(incoming)?;
        let bytes = read(incoming).await?;
        // First as any JSON, so that what is broken further on is not hidden by what is merely of a wrong type.
        let json: Value = serde_json::from_slice(&bytes).map_err(|error| broken(&error))?;
        let value = typed(&bytes)?;
        let canonical = canonical_json(&json);
        let fingerprint = Fingerprint::of(&incoming.method, &incoming.path, &canonical);
        Ok(Self { value, canonical, fingerprint })
    }
}

/// A request that needs no body and has none.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NoBody {
    /// The fingerprint of the request.
    pub fingerprint: Fingerprint,
}

impl<S: Sync> Extract<S> for NoBody {
    async fn extract(incoming: &mut Incoming, _: &S) -> Result<Self, Fault> {
        if !read(incoming).await?.is_empty() {
            return Err(Fault::new(FaultKind::Invalid, "unexpected-body", "this request takes no body; send none"));
        }
        Ok(Self { fingerprint: Fingerprint::of(&incoming.method, &incoming.path, "") })
    }
}

/// The bytes as they came, for signatures over them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RawBody(pub Bytes);

impl<S: Sync> Extract<S> for RawBody {
    async fn extract(incoming: &mut Incoming, _: &S) -> Result<Self, Fault> {
        read(incoming).await.map(Self)
    }
}

fn require_json(incoming: &Incoming) -> Result<(), Fault> {
    let media_type = incoming.header(header::CONTENT_TYPE.as_str()).unwrap_or_default();
    let essence = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let is_json = essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"));
    if is_json {
        return Ok(());
    }
    Err(Fault::new(
        FaultKind::Invalid,
        UNSUPPORTED_MEDIA_TYPE,
        "the body must be JSON: send it with `Content-Type: application/json`",
    ))
}

async fn read(incoming: &mut Incoming) -> Result<Bytes, Fault> {
    let body = incoming.body.take().ok_or_else(|| Fault::internal("a handler takes the body twice"))?;
    read_whole(&incoming.headers, body).await
}

/// The bytes of a body as large as any may be; what is announced to be larger is refused before it comes.
pub async fn read_whole(headers: &HeaderMap, body: axum::body::Body) -> Result<Bytes, Fault> {
    let declared = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if declared.is_some_and(|length| length > BODY_BYTES_MAX) {
        return Err(too_large());
    }
    match Limited::new(body, BODY_BYTES_MAX).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(too_large()),
        Err(error) => {
            Err(Fault::new(FaultKind::Invalid, "incomplete-body", "the body did not arrive whole").because(error.to_string()))
        }
    }
}

fn too_large() -> Fault {
    Fault::new(FaultKind::TooLarge, "body-too-large", format!("the body may have at most {BODY_BYTES_MAX} bytes"))
        .with("bytes_max", BODY_BYTES_MAX)
}

fn broken(error: &serde_json::Error) -> Fault {
    let (line, column) = (error.line(), error.column());
    let detail = format!("the body is not JSON: {} at line {line}, column {column}", without_place(&error.to_string()));
    Fault::new(FaultKind::Invalid, "invalid-json", detail).with("line", line).with("column", column)
}

fn typed<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Fault> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let inner = error.inner();
        if matches!(inner.classify(), Category::Data) { misfit(error.path(), &inner.to_string()) } else { broken(inner) }
    })
}

/// The fault of a value that does not fit: where it is, and what serde expected there.
fn misfit(path: &serde_path_to_error::Path, message: &str) -> Fault {
    let message = without_place(message);
    let mut pointer = pointer_of(path);
    let named = |prefix: &str| message.strip_prefix(prefix)?.split('`').next();
    if let Some(field) = named("missing field `") {
        push_segment(&mut pointer, field);
        return Fault::invalid_field(pointer, format!("`{field}` is required"));
    }
    if let Some(field) = named("unknown field `").or_else(|| named("duplicate field `")) {
        let segment = format!("/{}", escaped(field));
        if !pointer.ends_with(&segment) {
            pointer.push_str(&segment);
        }
    }
    Fault::invalid_field(pointer, message.chars().take(DETAIL_CHARS_MAX).collect::<String>())
}

/// Serde's message without its place, which callers get as a pointer, or as line and column.
fn without_place(message: &str) -> &str {
    message.rfind(" at line ").map_or(message, |end| &message[..end])
}

/// The path as a JSON pointer (RFC 6901).
fn pointer_of(path: &serde_path_to_error::Path) -> String {
    let mut pointer = String::new();
    for segment in path {
        match segment {
            Segment::Seq { index } => push_segment(&mut pointer, &index.to_string()),
            Segment::Map { key } => push_segment(&mut pointer, key),
            Segment::Enum { variant } => push_segment(&mut pointer, variant),
            Segment::Unknown => {}
        }
    }
    pointer
}

fn push_segment(pointer: &mut String, segment: &str) {
    pointer.push('/');
    pointer.push_str(&escaped(segment));
}

fn escaped(segment: &str) -> String {
    segment.replace('~', "~0").replace('/', "~1")
}

/// `value` without spaces and with the keys of every object in order, so that equal requests have equal text.
#[must_use]
pub fn canonical_json(value: &Value) -> String {
    let mut text = String::new();
    write_canonical(value, &mut text);
    text
}

fn write_canonical(value: &Value, out: &mut String) {
    match value {
        Value::Object(members) => {
            let mut keys: Vec<&String> = members.keys().collect();
            keys.sort_unstable();
            write_list(out, ['{', '}'], keys, |out, key| {
                write_scalar(&Value::from(key.as_str()), out);
                out.push(':');
                write_canonical(&members[key], out);
            });
        }
        Value::Array(items) => write_list(out, ['[', ']'], items, |out, item| write_canonical(item, out)),
        scalar => write_scalar(scalar, out),
    }
}

fn write_list<T>(
    out: &mut String,
    [open, close]: [char; 2],
    items: impl IntoIterator<Item = T>,
    write_item: impl Fn(&mut String, T),
) {
    out.push(open);
    for (index, item) in items.into_iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write_item(out, item);
    }
    out.push(close);
}

fn write_scalar(value: &Value, out: &mut String) {
    // Writing into a string does not fail.
    let _ = write!(out, "{value}");
}
