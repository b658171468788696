//! The chores of this repository as functions: the private servers, the checks of CI, the shapes of a shop side by side, counting
//! lines, and the reading of the workspace that the rules of the house (`tests/house`) are checked on.
//! It leaves the command line to `main.rs` and the rules themselves to the tests.

#![allow(clippy::disallowed_methods, reason = "a tool around the shop: it reads its environment and waits for real processes")]
pub mod ci;
pub mod fail_points;
pub mod loc;
pub mod servers;
pub mod shapes;
pub mod source;
pub mod workspace;
