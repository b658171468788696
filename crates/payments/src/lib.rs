//! Owns payments: what is wanted of the money of an order, every attempt at it, the provider's word on each, a ledger, and
//! the tasks that say what is still to be asked. Owns too the books of the built-in sandbox provider, a service of its own.
//! Does not own orders or what they cost (orders), and knows no card: only the provider's token for one.
//!
//! Money never moves inside a transaction: a decider writes a task, a worker asks the provider, the answer comes back as an
//! input. An answer that is lost leaves the payment `unknown`, and the same question is asked again under the same key.
//!
//! Reading order: `domain`, `store`, `service`, `jobs`, `events`, `http`.

mod config;
mod domain;
mod events;
mod http;
mod jobs;
mod service;
mod store;

use std::sync::Arc;

pub use config::{Config, SandboxConfig};
pub use domain::outcome::Outcome;
pub use http::routes;
pub use http::sandbox::{reconcile_routes, sandbox_routes};
pub use jobs::provider::Provider;
pub use jobs::sandbox::SandboxProvider;

/// The service as data; `provider` is who moves the money.
#[must_use]
pub fn service(config: &Config, provider: Arc<dyn Provider>) -> engine::Service {
    engine::Service {
        name: store::SERVICE,
        migrations: store::MIGRATIONS,
        tables: store::TABLES,
        reads: store::READS,
        subscriptions: events::subscriptions(),
        timers: Vec::new(),
        jobs: jobs::jobs(config, provider),
    }
}

/// The sandbox provider's books as a service of their own, so that they are kept in transactions of their own.
/// [`SandboxProvider`] works on its handle.
#[must_use]
pub fn sandbox(_: &Config) -> engine::Service {
    engine::Service {
        name: store::sandbox::SERVICE,
        migrations: store::sandbox::MIGRATIONS,
        tables: store::sandbox::TABLES,
        reads: store::sandbox::READS,
        subscriptions: events::sandbox_subscriptions(),
        timers: Vec::new(),
        jobs: Vec::new(),
    }
}
