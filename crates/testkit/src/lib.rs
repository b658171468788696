//! What tests of several crates need: fresh databases of both engines, and a proxy that cuts connections.
//! Leaves tables and rows to the tests.

mod cutter;
mod database;

pub use cutter::Cutter;
pub use database::{Engine, TestStore, admin, fresh};
