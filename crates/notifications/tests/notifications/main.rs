//! Notifications from outside, on both engines: what is written on which events, how it leaves the shop, and who may read it.
//! Leaves the texts of the letters to the tests of the domain.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod reading;
mod sending;
mod shop;
mod writing;
