//! Seals: text that only this installation can have written, for one purpose, checked without a database (HMAC-SHA-256).
//! Leaves what a sealed payload means, and how long it holds, to the service that seals it.

use std::fmt;

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use kernel::Fault;

const SECRET_BYTES: usize = 32;

/// A secret that seals payloads; made once by a service and kept in its database.
#[derive(Clone)]
pub struct Seal([u8; SECRET_BYTES]);

impl Seal {
    /// A new secret from the operating system's chance.
    pub fn generate() -> Result<Self, Fault> {
        let mut secret = [0; SECRET_BYTES];
        aws_lc_rs::rand::fill(&mut secret).map_err(|_| Fault::internal("the operating system gave no random bytes"))?;
        Ok(Self(secret))
    }

    /// The secret of stored bytes.
    #[must_use]
    pub fn from_bytes(secret: [u8; SECRET_BYTES]) -> Self {
        Self(secret)
    }

    /// The bytes to store; a secret.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; SECRET_BYTES] {
        &self.0
    }

    /// `payload` as base64url with its mac, good for `purpose` only. Everyone can read it, nobody can change it.
    #[must_use]
    pub fn seal(&self, purpose: &str, payload: &[u8]) -> String {
        let mac = hmac::sign(&self.key(), &sealed_bytes(purpose, payload));
        format!("{}.{}", URL_SAFE_NO_PAD.encode(payload), URL_SAFE_NO_PAD.encode(mac))
    }

    /// The payload that this secret sealed for `purpose`, or `None` for every other text.
    #[must_use]
    pub fn open(&self, purpose: &str, text: &str) -> Option<Vec<u8>> {
        let (payload, mac) = text.split_once('.')?;
        let payload = URL_SAFE_NO_PAD.decode(payload).ok()?;
        let mac = URL_SAFE_NO_PAD.decode(mac).ok()?;
        // The comparison takes the same time wherever the two differ.
        hmac::verify(&self.key(), &sealed_bytes(purpose, &payload), &mac).ok()?;
        Some(payload)
    }

    fn key(&self) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, &self.0)
    }
}

impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seal(***)")
    }
}

/// The purpose's length comes first, so that no purpose and payload can be read as another purpose and payload.
fn sealed_bytes(purpose: &str, payload: &[u8]) -> Vec<u8> {
    let length = u64::try_from(purpose.len()).unwrap_or(u64::MAX).to_be_bytes();
    [&length, purpose.as_bytes(), payload].concat()
}
