//! What is true of people, addresses, passwords and attempts, whoever asks and wherever it is stored.
//! Leaves loading, saving and time to `service`.

mod attempts;
mod email;
mod password;
mod person;

pub(crate) use attempts::{Attempts, Throttle};
pub(crate) use email::Email;
pub use password::Secret;
pub(crate) use password::{HashedPassword, SALT_BYTES, check_new, dummy_hash};
pub(crate) use person::{Person, Profile, checked_name, courier_news};
