//! What tests of several crates need: databases of both engines, a stage on which services run and are asked, a clock that is
//! moved, and peers that fail at the moments that matter. Leaves what is to be expected to the tests.
//!
//! Reading order: `stage` (what runs), `asking` (who asks), `replies` (what came back).

mod asking;
mod database;
mod engines;
mod fixtures;
mod proxy;
mod raw;
mod replies;
mod runtime;
mod server;
mod stage;
mod tiny;

pub use database::{Engine, TestStore, admin, fresh, migrated};
pub use fixtures::{some_id, some_time, store};
pub use proxy::Proxy;
pub use raw::Raw;
pub use replies::{body, brief, is, items, ok, problem};
pub use runtime::TestRuntime;
pub use server::{KafkaServer, PostgresServer, kafka, topic_prefix};
pub use stage::{Stage, wakes};
pub use tiny::{Asked, HANG_UP, SILENCE, STALL, serve, serve_at};
#[doc(hidden)]
pub use tokio;
