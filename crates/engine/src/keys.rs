//! Idempotency keys, stored in the batch of the change they caused: a repeat answers as the first time, or is refused.
//! Leaves reading the header and the fingerprint of a request to `web`.

use std::fmt::Display;

use kernel::{Bucket, Fault, Millis, TraceContext, fail_point};
use store::{Error, Mechanism, Row, Sabotage};
use web::{Caller, Fingerprint, IdempotencyKey};

use crate::entity::Entity;
use crate::handle::{Handle, Stored, fault_of};
use crate::input::Stop;
use crate::jobs::Job;
use crate::lanes::Lane;
use crate::tables::{KEYS_EXPIRED, StoredKey};
use crate::work::Work;

/// How long a key is kept unless it is kept for ever, as those of orders are.
pub const KEY_KEPT_MS: Millis = 30 * 24 * 3600 * 1000;
/// How often keys that have expired are taken away.
const SWEEP_MS: Millis = 60_000;
/// How many of them at once.
const SWEEP_MAX: i64 = 512;

/// A key, whose it is and what it was sent for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeyScope {
    /// Who sent it, for which route and which target.
    pub scope: String,
    /// The key as sent.
    pub key: String,
    /// The target's bucket, with which it moves.
    pub bucket: Bucket,
    /// What tells this request from another under the same key.
    pub fingerprint: Vec<u8>,
    /// How long it is kept; for ever if `None`.
    pub kept_ms: Option<Millis>,
}

impl KeyScope {
    /// The key that `caller` sent to `route` for `target`, kept for [`KEY_KEPT_MS`] in the target's bucket. A capability
    /// that was merely sent proves nothing and tells nobody apart: see [`KeyScope::of_bearer`].
    #[must_use]
    pub fn new(
        caller: &Caller,
        route: &'static str,
        target: impl Display,
        bucket: Bucket,
        key: &IdempotencyKey,
        fingerprint: Fingerprint,
    ) -> Self {
        let principal = caller.person.as_ref().map_or_else(|| "anyone".to_owned(), |person| person.id.to_string());
        Self::of(&principal, route, target, bucket, key, fingerprint)
    }

    /// The key that was sent to `route` for `target` by whoever bears its capability, which the service has verified. It
    /// stays the same when the bearer's token runs out between two tries; the target tells bearers apart.
    #[must_use]
    pub fn of_bearer(
        route: &'static str,
        target: impl Display,
        bucket: Bucket,
        key: &IdempotencyKey,
        fingerprint: Fingerprint,
    ) -> Self {
        Self::of("bearer", route, target, bucket, key, fingerprint)
    }

    fn of(
        principal: &str,
        route: &'static str,
        target: impl Display,
        bucket: Bucket,
        key: &IdempotencyKey,
        fingerprint: Fingerprint,
    ) -> Self {
        Self {
            scope: format!("{principal} {route} {target}"),
            key: key.as_str().to_owned(),
            bucket,
            fingerprint: fingerprint.as_bytes().to_vec(),
            kept_ms: Some(KEY_KEPT_MS),
        }
    }

    /// The same, never forgotten.
    #[must_use]
    pub fn for_ever(mut self) -> Self {
        self.kept_ms = None;
        self
    }
}

/// What the first use of `key` came to, if there was one.
pub(crate) fn first_use(work: &mut Work<'_>, key: &KeyScope) -> Result<Option<Stored>, Stop> {
    if Sabotage::off(Mechanism::Key) {
        return Ok(None);
    }
    let Some(stored) = work.find::<StoredKey>(&(work.service().to_owned(), key.scope.clone(), key.key.clone()))? else {
        return Ok(None);
    };
    if stored.fingerprint != key.fingerprint {
        return Err(web::key_reused().into());
    }
    let status = u16::try_from(stored.status).map_err(|_| Stop::Broken(format!("{} is no status", stored.status)))?;
    Ok(Some(Stored { status, resource: stored.resource.clone() }))
}

/// Stores what the first use of `key` came to.
pub(crate) fn keep(work: &mut Work<'_>, key: &KeyScope, first: &Stored) {
    if Sabotage::off(Mechanism::Key) {
        return;
    }
    let stored = StoredKey {
        service: work.service().to_owned(),
        scope: key.scope.clone(),
        key: key.key.clone(),
        bucket: key.bucket,
        fingerprint: key.fingerprint.clone(),
        status: i64::from(first.status),
        resource: first.resource.clone(),
        expires_at: key.kept_ms.map(|ms| work.now().plus_ms(ms)),
    };
    work.save(stored);
}

/// Takes away keys that have expired.
pub(crate) fn sweep() -> Job {
    Job::every("sweep-keys", SWEEP_MS, |context| {
        Box::pin(async move {
            while sweep_some(&context.handle).await? {}
            Ok(())
        })
    })
}

/// Takes some away and tells whether there are more.
async fn sweep_some(handle: &Handle) -> Result<bool, Fault> {
    let arguments = vec![handle.service.into(), handle.runtime.now().into(), SWEEP_MAX.into()];
    fail_point("engine.keys-before-sweep");
    let rows = handle.read(&KEYS_EXPIRED, arguments).await?;
    let name = |row: &Row| Ok((handle.service.to_owned(), row.text(0)?.to_owned(), row.text(1)?.to_owned()));
    let names: Result<Vec<_>, Error> = rows.iter().map(name).collect();
    let names = names.map_err(fault_of)?;
    if names.is_empty() {
        return Ok(false);
    }
    let more = i64::try_from(names.len()) == Ok(SWEEP_MAX);
    let forget = move |work: &mut Work<'_>| {
        for stored in work.find_all::<StoredKey>(&names)?.into_iter().flatten() {
            if stored.expires_at.is_some_and(|expires_at| expires_at <= work.now()) {
                work.remove::<StoredKey>(&stored.key());
            }
        }
        Ok(())
    };
    handle.decide(Lane::Rest, &TraceContext::start(&mut handle.runtime.draw()), forget).await.map(|()| more)
}
