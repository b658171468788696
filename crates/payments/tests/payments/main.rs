//! Payments as its neighbours see it: events in, events out, the API, and the sandbox provider's own books beside it,
//! on both engines. Leaves the machine of a payment to the tests in `domain`, and the fences of its workers to `service`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod providers;
mod reading;
mod shop;
mod ways;
