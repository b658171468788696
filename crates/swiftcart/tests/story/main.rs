//! Whole stories through the real binary, as a user starts it: on SQLite, on PostgreSQL, as two and three processes on one PostgreSQL,
//! carried from one to the other, with a role taken away, with the server killed, with a rush for the last units, with something broken behind its back.
//! Leaves the parts to the tests of their crates.

#[path = "../harness/mod.rs"]
mod harness;
mod isolation;
mod operating;
mod planted;
mod plants;
mod promotion;
mod races;
mod roles;
mod split;
mod stories;
mod till;
mod upgrade;
mod watched;
mod ways_out;
mod words;
