//! What tests of several crates need: fresh databases of both engines, and a proxy that fails at the moments that matter.
//! Leaves tables and rows to the tests.

mod database;
mod proxy;

pub use database::{Engine, TestStore, admin, fresh};
pub use proxy::Proxy;
