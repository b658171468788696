//! Owns payments: what is wanted of the money of an order, every means of payment and what it came to, the provider's word on
//! each, refunds, a ledger, the tasks that say what is still to be asked, and how the provider's books differ from ours.
//! Does not own orders or what they cost (orders), and knows no card: only the provider's token for one.
//!
//! Money never moves inside a transaction: a decider writes a task, a worker asks the provider, the answer comes back as an
//! input. An answer that is lost leaves the payment `unknown`, and the same question is asked again under the same key.
//! Webhooks and the sweep through the provider's books say nothing by themselves: they make the worker ask for the truth.
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

pub use config::{Config, ProviderConfig};
pub use domain::outcome::{Dispute, Outcome, Standing, Truth};
pub use http::{routes, table};
pub use jobs::provider::{Ask, Charge, Nudge, Provider, Silence};
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
        timers: jobs::timers(),
        jobs: jobs::jobs(config, provider),
        ages: Vec::new(),
    }
}
