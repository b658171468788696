//! Whatever dies, at whatever step, nothing is lost, doubled, oversold or left open: the real processes are killed at every
//! fail point that the code has, then by chance; they are frozen for longer than a lease, their database is killed and their
//! connections are cut at COMMIT, while clients repeat under their keys. Each mechanism that this rests on is switched off
//! once, and the suite sees it.
//! Leaves stories without crashes to `story`.

#[path = "../harness/mod.rs"]
mod harness;
mod needed;
mod points;
mod shop;
mod storms;
mod traffic;
