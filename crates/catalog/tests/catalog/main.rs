//! Catalog from outside, on both engines: what admins and managers write, what shoppers then see, and what others are told.
//! Leaves the rules of one product to the tests of the domain.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod browsing;
mod refusals;
mod shop;
mod writing;
