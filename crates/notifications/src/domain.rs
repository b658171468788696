//! The rules of notifications: what is written to whom on which news, once each, and what becomes of a message.
//! Leaves rows to `store`, and sending to `jobs`.

pub(crate) mod contact;
pub(crate) mod letter;
pub(crate) mod message;
