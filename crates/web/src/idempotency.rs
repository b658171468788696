//! The header `Idempotency-Key` (the IETF draft) and the fingerprint that tells whether a key came back with another request.
//! Leaves the memory of keys to the services, in the place of the thing they change.

use std::fmt;

use aws_lc_rs::digest::{Context, SHA256};
use axum::http::Method;
use kernel::{Fault, FaultKind, FieldFault};

use crate::incoming::{Extract, Incoming};
use crate::problem::KEY_REUSED;

/// The header's name.
pub const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// How long a key may be.
pub const IDEMPOTENCY_KEY_CHARS_MAX: usize = 128;

const MISSING: &str = "the header `Idempotency-Key` is missing: send a fresh random key with each new request, as a UUID, \
                       and the same one when you repeat it";
const INVALID: &str = "the header `Idempotency-Key` must be given once and hold 1 to 128 visible ASCII characters, as a UUID";

/// The key of a write, without the quotes of the draft if it came with them.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// The key that `text` is: 1 to 128 visible ASCII characters, in quotes or not.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let inner = match text.strip_prefix('"') {
            Some(rest) => rest.strip_suffix('"')?,
            None => text,
        };
        let sound = inner.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\');
        (sound && (1..=IDEMPOTENCY_KEY_CHARS_MAX).contains(&inner.len())).then(|| Self(inner.to_owned()))
    }

    /// The characters of the key.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<S: Sync> Extract<S> for IdempotencyKey {
    async fn extract(incoming: &mut Incoming, _: &S) -> Result<Self, Fault> {
        if !incoming.headers.contains_key(IDEMPOTENCY_KEY) {
            return Err(refused("idempotency-key-missing", MISSING));
        }
        let key = incoming.header(IDEMPOTENCY_KEY).and_then(Self::parse);
        key.ok_or_else(|| refused("idempotency-key-invalid", INVALID))
    }
}

fn refused(reason: &str, detail: &str) -> Fault {
    let mut fault = Fault::new(FaultKind::Invalid, reason, detail);
    fault.fields.push(FieldFault { field: "Idempotency-Key".to_owned(), detail: detail.to_owned() });
    fault
}

/// The key has done something else before: 422.
#[must_use]
pub fn key_reused() -> Fault {
    let detail = "this Idempotency-Key was used with another request; send a fresh key for a new request";
    Fault::new(FaultKind::KeyReused, KEY_REUSED, detail)
}

/// A hash of what a request asks for: method, path and canonical body.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// The fingerprint of a request; `canonical` is the body as [`crate::canonical_json`] writes it, or empty.
    #[must_use]
    pub fn of(method: &Method, path: &str, canonical: &str) -> Self {
        let mut context = Context::new(&SHA256);
        for part in [method.as_str(), path] {
            context.update(part.as_bytes());
            // Neither a method nor a path holds a line feed, so the parts cannot run into each other.
            context.update(b"\n");
        }
        context.update(canonical.as_bytes());
        let mut bytes = [0; 32];
        bytes.copy_from_slice(context.finish().as_ref());
        Self(bytes)
    }

    /// The bytes to store.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The fingerprint of stored bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
