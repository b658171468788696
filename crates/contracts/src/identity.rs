//! What identity says: the public keys of its tokens, and people as far as others need them.
//! Leaves credentials and sessions to identity.

use crate::{PersonId, Place, StoreId, events};

events! { "identity.people";
    /// A key that signs tokens from now on; whoever verifies tokens keeps it.
    TokenKeyPublished = "token-key.published.v1" on "identity.keys" at |e| Place { bucket: kernel::Bucket(0), key: e.kid.clone() } => {
        /// Its name in the tokens' headers.
        kid: String,
        /// The Ed25519 public key, in hexadecimal.
        public_key: String,
    }
    /// A courier is new or has changed.
    CourierChanged = "courier.changed.v1" at |e| Place::of(e.courier) => {
        /// Who.
        courier: PersonId,
        /// For shoppers and dispatchers.
        name: String,
        /// The store they ride for.
        store: StoreId,
        /// As `cargo-bike`.
        vehicle: String,
        /// Whether they still ride.
        active: bool,
    }
}
