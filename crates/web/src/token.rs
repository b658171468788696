//! Identity's tokens: compact JWS with EdDSA that say who a person is, for fifteen minutes, verified without asking anyone;
//! and the secret by which the processes of a shop know each other.
//! Leaves refresh, sessions and the storing of keys to identity, and the spreading of public keys to its events.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use kernel::{Fault, FaultKind, Id, Millis, Timestamp};
use serde::{Deserialize, Serialize};

use crate::caller::{Grant, Person, Role};
use crate::capability::Seal;
use crate::problem::{TOKEN_EXPIRED, TOKEN_INVALID};

/// How long a token lives.
pub const TOKEN_TTL_MS: Millis = 15 * 60 * 1000;

const ISSUER: &str = "swiftcart";
const AUDIENCE: &str = "swiftcart";
const TOKEN_BYTES_MAX: usize = 8 * 1024;
const KID_BYTES: usize = 12;

/// The claims as they are signed. Roles are text here, so that one which an older process does not know costs the
/// person that role, not the token.
#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: Id,
    name: String,
    grants: Vec<ClaimedGrant>,
    iat: i64,
    exp: i64,
}

#[derive(Serialize, Deserialize)]
struct ClaimedGrant {
    role: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    store: Option<Id>,
}

/// A key that signs tokens; made once by identity and kept in its database.
pub struct SigningKey {
    pkcs8: Vec<u8>,
    public: PublicKey,
}

impl SigningKey {
    /// A new key from the operating system's chance.
    pub fn generate() -> Result<Self, Fault> {
        let document =
            Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(|_| Fault::internal("no Ed25519 key could be made"))?;
        Self::from_pkcs8(document.as_ref())
    }

    /// The key of stored bytes.
    pub fn from_pkcs8(pkcs8: &[u8]) -> Result<Self, Fault> {
        let pair =
            Ed25519KeyPair::from_pkcs8(pkcs8).map_err(|refusal| Fault::internal(format!("not an Ed25519 key: {refusal}")))?;
        Ok(Self { pkcs8: pkcs8.to_vec(), public: PublicKey::new(pair.public_key().as_ref()) })
    }

    /// The bytes to store; a secret.
    #[must_use]
    pub fn as_pkcs8(&self) -> &[u8] {
        &self.pkcs8
    }

    /// The half that everyone may know.
    #[must_use]
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// A token that says who `person` is from `now` for `ttl_ms`.
    pub fn sign(&self, person: &Person, now: Timestamp, ttl_ms: Millis) -> Result<String, Fault> {
        let header = Header { kid: Some(self.public.kid.clone()), ..Header::new(Algorithm::EdDSA) };
        let claims = Claims {
            iss: ISSUER.to_owned(),
            aud: AUDIENCE.to_owned(),
            sub: person.id,
            name: person.name.clone(),
            grants: person.grants.iter().map(|grant| ClaimedGrant { role: grant.role.to_string(), store: grant.store }).collect(),
            iat: now.as_secs(),
            exp: now.plus_ms(ttl_ms).as_secs(),
        };
        let key = EncodingKey::from_ed_der(&self.pkcs8);
        jsonwebtoken::encode(&header, &claims, &key)
            .map_err(|error| Fault::internal(format!("a token could not be signed: {error}")))
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("pkcs8", &"***").field("public", &self.public).finish()
    }
}

/// The half of a key that verifies, and the name by which tokens refer to it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PublicKey {
    /// Which key; derived from its bytes.
    pub kid: String,
    /// The 32 bytes of an Ed25519 public key.
    pub bytes: Vec<u8>,
}

impl PublicKey {
    fn new(bytes: &[u8]) -> Self {
        let hash = digest::digest(&digest::SHA256, bytes);
        Self { kid: URL_SAFE_NO_PAD.encode(&hash.as_ref()[..KID_BYTES]), bytes: bytes.to_vec() }
    }
}

/// The secret that the processes of a shop share: whoever shows it as a token is one of them. Never printed.
#[derive(Clone)]
pub struct InternalKey(Arc<str>);

impl InternalKey {
    /// A new one from the operating system's chance, which no other process knows.
    pub fn generate() -> Result<Self, Fault> {
        let mut bytes = [0; 32];
        aws_lc_rs::rand::fill(&mut bytes).map_err(|_| Fault::internal("the operating system gave no random bytes"))?;
        Ok(Self(URL_SAFE_NO_PAD.encode(bytes).into()))
    }

    /// The key that the settings name.
    #[must_use]
    pub fn named(key: &str) -> Self {
        Self(key.into())
    }

    /// The text to show as a token.
    #[must_use]
    pub fn token(&self) -> &str {
        &self.0
    }

    /// What a shop seals with it that has no secret of its own in this process.
    #[must_use]
    pub fn seal(&self) -> Seal {
        let hash = digest::digest(&digest::SHA256, self.0.as_bytes());
        let mut bytes = [0; 32];
        bytes.copy_from_slice(hash.as_ref());
        Seal::from_bytes(bytes)
    }

    /// Whether `token` is this key; it takes the same time wherever the two differ.
    #[must_use]
    pub fn is(&self, token: &str) -> bool {
        verify_slices_are_equal(self.0.as_bytes(), token.as_bytes()).is_ok()
    }
}

impl fmt::Debug for InternalKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InternalKey(***)")
    }
}

/// What this process trusts: public keys, which clones share, and the secret of the shop's processes if it has it.
#[derive(Clone, Default)]
pub struct Keyring {
    keys: Arc<RwLock<HashMap<String, DecodingKey>>>,
    internal: Option<InternalKey>,
}

impl Keyring {
    /// A ring with no key: every token is refused.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The same ring, and whoever shows `key` is an admin named "internal".
    #[must_use]
    pub fn trusting(self, key: InternalKey) -> Self {
        Self { internal: Some(key), ..self }
    }

    /// Trusts `key` from now on.
    pub fn insert(&self, key: &PublicKey) {
        let verifier = DecodingKey::from_ed_der(&key.bytes);
        self.keys.write().unwrap_or_else(PoisonError::into_inner).insert(key.kid.clone(), verifier);
    }

    /// Trusts the key of that name no longer.
    pub fn remove(&self, kid: &str) {
        self.keys.write().unwrap_or_else(PoisonError::into_inner).remove(kid);
    }

    /// The person that `token` names, if a key of this ring signed it and it lives at `now`.
    pub fn verify(&self, token: &str, now: Timestamp) -> Result<Person, Fault> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(token_invalid());
        }
        if self.internal.as_ref().is_some_and(|key| key.is(token)) {
            return Ok(internal());
        }
        let header = jsonwebtoken::decode_header(token).map_err(|_| token_invalid())?;
        let key = header.kid.as_deref().and_then(|kid| self.find(kid)).ok_or_else(token_invalid)?;
        let claims = jsonwebtoken::decode::<Claims>(token, &key, &validation()).map_err(|_| token_invalid())?.claims;
        if now.as_secs() >= claims.exp {
            return Err(token_expired());
        }
        Ok(person_of(claims))
    }

    fn find(&self, kid: &str) -> Option<DecodingKey> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).get(kid).cloned()
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.keys.read().unwrap_or_else(PoisonError::into_inner).keys()).finish()
    }
}

/// The algorithm is ours, whatever the header says; the time is the caller's argument, so the library's clock stays out.
fn validation() -> Validation {
    let mut validation = Validation::new(Algorithm::EdDSA);
    validation.set_issuer(&[ISSUER]);
    validation.set_audience(&[AUDIENCE]);
    validation.set_required_spec_claims(&["iss", "aud", "sub", "exp"]);
    validation.validate_exp = false;
    validation
}

/// Another process of the shop.
fn internal() -> Person {
    let grants = vec![Grant { role: Role::Admin, store: None }];
    Person { id: Id::from_bytes([0; 16]), name: "internal".to_owned(), grants }
}

fn person_of(claims: Claims) -> Person {
    let known = |grant: ClaimedGrant| Some(Grant { role: grant.role.parse().ok()?, store: grant.store });
    Person { id: claims.sub, name: claims.name, grants: claims.grants.into_iter().filter_map(known).collect() }
}

/// The token says nothing here: 401.
#[must_use]
pub fn token_invalid() -> Fault {
    Fault::new(FaultKind::Unauthenticated, TOKEN_INVALID, "the token is not valid here; sign in again, or leave it out")
}

fn token_expired() -> Fault {
    Fault::new(FaultKind::Unauthenticated, TOKEN_EXPIRED, "the token has expired; refresh it, or leave it out")
}
