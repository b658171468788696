//! Each service's own copy of the public keys of identity's tokens, so that it verifies them while identity is down.
//! Leaves verifying to `web`, and making keys to identity.

use contracts::identity::TokenKeyPublished;
use kernel::Fault;
use store::Row;
use web::PublicKey;

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

    /// All keys that the service of `handle` knows.
    ///
    /// # Errors
    /// `unavailable`, or `internal` if a stored key is not hexadecimal.
    pub async fn of(handle: &Handle) -> Result<Vec<PublicKey>, Fault> {
        let rows = handle.read(&TOKEN_KEYS, vec![handle.service().into()]).await?;
        rows.iter().map(public_key).collect()
    }
}

fn public_key(row: &Row) -> Result<PublicKey, Fault> {
    let text = |index| row.text(index).map_err(fault_of);
    let (kid, key) = (text(0)?.to_owned(), text(1)?);
    let byte = |index: usize| key.get(index..index + 2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
    let bytes: Option<Vec<u8>> = (0..key.len()).step_by(2).map(byte).collect();
    let bytes = bytes.ok_or_else(|| Fault::internal(format!("the token key {kid} is not hexadecimal")))?;
    Ok(PublicKey { kid, bytes })
}
