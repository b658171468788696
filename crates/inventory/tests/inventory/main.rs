//! Inventory from outside, on both engines: what orders and delivery make it do, what it says, and what its routes answer.
//! Leaves the machine of holds and the making of slots to the tests of the domain.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod crowds;
mod holds;
mod picks;
mod races;
mod routes;
mod shop;
mod slots;
mod walks;
mod withdrawn;
