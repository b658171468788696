//! Delivery from outside, on both engines: in by HTTP and by others' events, out by HTTP and its own events.
//! Leaves the machine itself to the tests of `domain`, and races between deciders to those of `service`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod couriers;
mod shop;
mod staff;
mod ways_out;
