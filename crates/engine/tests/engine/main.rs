//! The machine around the deciders on both engines, with two services of its own.
//! Leaves mechanisms that are switched off to `sabotage`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod batches;
mod conflicts;
mod dead_letters;
mod defects;
mod kafka;
mod keys;
mod leases;
mod logs;
mod model;
mod outages;
mod resync;
mod support;
mod timers;
mod trim;
mod wakes;
