//! The provider as its clients see it: tokens, keys, faults, webhooks, books, the shopper's page, on both engines.
//! Leaves the machine of an intent to the tests in `domain`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod bank;
mod books;
mod faults;
mod keys;
mod pages;
mod tokens;
mod upgrade;
mod webhooks;
