//! Orders from outside, on both engines: what its routes answer, what it makes of others' events, and what it says itself.
//! The others only speak, so that everything here would go the same while they are down.
//! Leaves the machine of an order and the arithmetic of quotes to the tests of the domain.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod broken;
mod cards;
mod carts;
mod ends;
mod placing;
mod races;
mod refunds;
mod returns;
mod shop;
mod shorts;
mod slots;
mod staff;
mod waits;
mod way;
