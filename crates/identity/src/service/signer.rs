//! The key that signs, read from the database once and then kept at hand.
//! Leaves making and publishing it to `service`.

use std::sync::Arc;

use engine::Handle;
use kernel::{Fault, Millis, Timestamp};
use tokio::sync::OnceCell;
use web::SigningKey;

use super::signing_key;
use crate::domain::Person;

/// Who signs tokens. Clones share the key.
#[derive(Clone, Debug, Default)]
pub(crate) struct Signer(Arc<OnceCell<SigningKey>>);

impl Signer {
    /// A token that says who `person` is, and when it ends.
    pub(crate) async fn sign(&self, handle: &Handle, person: &Person, ttl_ms: Millis) -> Result<(String, Timestamp), Fault> {
        let key = self.0.get_or_try_init(|| signing_key(handle)).await?;
        let claimed =
            web::Person { id: person.id.into(), name: person.profile.name.clone(), grants: person.profile.grants.clone() };
        let now = handle.runtime().now();
        let token = key.sign(&claimed, now, ttl_ms)?;
        // A token ends on a whole second.
        Ok((token, Timestamp::from_millis(now.plus_ms(ttl_ms).as_secs() * 1000)))
    }
}
