//! Identity from outside, on both engines: signing in and up, people, tokens, and what others are told.
//! Leaves the rules of one person, address, password or attempt to the tests of the domain.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod people;
mod shop;
mod sign_in;
mod sign_up;
mod start;
