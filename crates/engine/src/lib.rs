//! The machine around every decider. A service is data and pure functions; this crate queues what arrives, loads what the
//! functions ask for, runs them in turn, commits one batch, answers, and drives subscriptions, timers, leases and jobs.
//! Leaves storage to `store`, reading logs to `log`, and every rule of business to the services.
//!
//! Reading order: `work` (what a decider sees), `executor` (one commit at a time), `subscription`, `service` (what starts).

mod age;
mod breaker;
mod consumer;
mod dead_letters;
mod entity;
mod executor;
mod handle;
mod input;
mod jobs;
mod keys;
mod lag;
mod lanes;
mod lease;
mod meters;
#[cfg(feature = "model")]
mod model;
mod moving;
mod pending;
mod reader;
mod relay;
mod resync;
mod runtime;
mod service;
mod subscription;
mod tables;
mod tally;
mod timers;
mod token_keys;
mod trim;
mod watchers;
mod work;

pub use age::Age;
pub use dead_letters::{Blame, DeadLetter, Failed, Retried, Wish};
pub use entity::{Document, Entity};
pub use handle::{Command, Handle, Reply, Stored};
pub use input::{DEADLINE_DEFAULT_MS, Stop};
pub use jobs::{Job, JobContext};
pub use keys::{KEY_KEPT_MS, KeyScope};
pub use lanes::{BATCH_INPUTS_MAX, LANE_BYTES_MAX, LANE_INPUTS_MAX, Lane};
pub use lease::LEASE_TTL_MS;
#[cfg(feature = "model")]
pub use model::{Listener, Model, TimerSet};
pub use pending::{Behind, Mark, Pending, Stands, compare};
pub use relay::LogStatus;
pub use resync::{Copied, Pass, Position, Republish, passes};
pub use runtime::TokioRuntime;
pub use service::{Gauges, OVERDUE_AFTER_MS, Running, Service, Settings, Stopped, start};
pub use subscription::{Subscription, Taken};
pub use tables::{MIGRATIONS, READS, TABLES};
pub use tally::Field;
pub use timers::TimerKind;
pub use token_keys::TokenKeys;
pub use trim::{Audience, Trim};
pub use work::Work;
