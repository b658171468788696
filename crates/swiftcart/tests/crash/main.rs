//! Whatever dies, at whatever step, nothing is lost, doubled, oversold or left open: the real processes are killed at every
//! fail point that the code has, then by chance; they are frozen for longer than a lease, their database is killed and their
//! connections are cut at COMMIT, while clients repeat under their keys. What this rests on can be switched off: the
//! processes read `SWIFTCART_SABOTAGE` from the environment of the suite, which must see the harm.
//! Leaves stories without crashes to `story`, and each mechanism alone to `engine`, `store` and `payments`.

#![allow(clippy::disallowed_methods, reason = "tests of the real thing stand outside of the ports")]

#[path = "../harness/mod.rs"]
mod harness;
mod points;
mod promotion;
mod shop;
mod siege;
mod storms;
mod traffic;
