//! Where passwords are hashed: on threads that may block, so many at a time and so many waiting.
//! Leaves argon2id itself to `domain`.

use std::sync::Arc;

use aws_lc_rs::rand;
use kernel::{Fault, FaultKind, Millis};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::domain::{HashedPassword, SALT_BYTES, Secret};

/// When to come back if too many are waiting.
const RETRY_AFTER_MS: Millis = 1000;

/// The threads that hash. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Hasher {
    places: Arc<Semaphore>,
    turns: Arc<Semaphore>,
}

/// The right to hash once, when the turn comes.
#[derive(Debug)]
pub(crate) struct Place {
    _held: OwnedSemaphorePermit,
}

impl Hasher {
    /// Hashes `hashes_max` at a time while `waiting_max` more wait.
    pub(crate) fn new(hashes_max: usize, waiting_max: usize) -> Self {
        Self { places: Arc::new(Semaphore::new(hashes_max + waiting_max)), turns: Arc::new(Semaphore::new(hashes_max)) }
    }

    /// A place, or at once the word to come back.
    pub(crate) fn place(&self) -> Result<Place, Fault> {
        self.places.clone().try_acquire_owned().map(|held| Place { _held: held }).map_err(|_| {
            let detail = "too many are signing in at this moment; nothing was done, please come back";
            let mut fault = Fault::new(FaultKind::Exhausted, "sign-in-busy", detail);
            fault.retry_after_ms = Some(RETRY_AFTER_MS);
            fault
        })
    }

    /// The hash of `secret` with a salt of the operating system's chance.
    pub(crate) async fn hash(&self, place: Place, secret: Secret) -> Result<HashedPassword, Fault> {
        let mut salt = [0; SALT_BYTES];
        rand::fill(&mut salt).map_err(|_| Fault::internal("the operating system gives no chance"))?;
        self.run(place, move || HashedPassword::of(&secret, &salt)).await
    }

    /// Whether `hash` is of `secret`.
    pub(crate) async fn fits(&self, place: Place, secret: Secret, hash: HashedPassword) -> Result<bool, Fault> {
        self.run(place, move || hash.fits(&secret)).await
    }

    async fn run<T: Send + 'static>(
        &self,
        place: Place,
        work: impl FnOnce() -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        let turn = self.turns.clone().acquire_owned().await.map_err(|_| Fault::internal("the hasher is closed"))?;
        let hashing = tokio::task::spawn_blocking(move || {
            // Held by the thread and not by the caller, who may go away while it is still busy.
            let _held = (place, turn);
            work()
        });
        hashing.await.map_err(|error| Fault::internal(format!("hashing ended early: {error}")))?
    }
}
