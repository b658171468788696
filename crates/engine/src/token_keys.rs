//! Each service's own copy of the public keys of identity's tokens, so that it verifies them while identity is down.
//! Leaves verifying to `web`, and making keys to identity.

use contracts::identity::TokenKeyPublished;
use kernel::Fault;

use crate::handle::{Handle, fault_of};
use crate::subscription::Subscription;
use crate::tables::{TOKEN_KEYS, TokenKey};

/// The copy.
#[derive(Clone, Copy, Debug)]
pub struct TokenKeys;

impl TokenKeys {
    /// Adds the copy to a service's subscription to identity.
    #[must_use]
    pub fn copied_by(subscription: Subscription) -> Subscription {
        subscription.copy(|work, event: &TokenKeyPublished| {
            let service = work.service().to_owned();
            work.save(TokenKey { service, kid: event.kid.clone(), public_key: event.public_key.clone() });
            Ok(())
        })
    }

    /// All keys that the service of `handle` knows: name and public key in hexadecimal.
    ///
    /// # Errors
    /// `unavailable`.
    pub async fn of(handle: &Handle) -> Result<Vec<(String, String)>, Fault> {
        let rows = handle.read(&TOKEN_KEYS, vec![handle.service().into()]).await?;
        let pair = |row: &store::Row| Ok((row.text(0)?.to_owned(), row.text(1)?.to_owned()));
        rows.iter().map(|row| pair(row).map_err(|error: store::Error| fault_of(&error))).collect()
    }
}
