//! Payments as its neighbours see it: events in, events out, the API, webhooks, and the sandbox provider with its own books
//! beside it, spoken to over its door, on both engines.
//! Leaves the machine of a payment to the tests in `domain`, and the fences of its workers to `service`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod attempts;
mod faults;
mod line;
mod reading;
mod shop;
mod sweep;
mod ways;
mod webhooks;
