//! Owns products, categories and what each store lists of a product at what price, and the search over all of it.
//! Does not own stock (inventory), stores and their taxes (delivery) or what an order was sold for (orders); it keeps copies
//! of the stores' currency and tax classes, and of how much is left in coarse bands, which is only ever a hint.
//!
//! Reading order: `domain`, `store`, `service`, `events`, `http`.

mod config;
mod domain;
mod events;
mod http;
mod jobs;
mod service;
mod store;

pub use config::Config;
pub use http::{routes, table};

/// The service as data.
#[must_use]
pub fn service(_config: &Config) -> engine::Service {
    engine::Service {
        name: store::SERVICE,
        migrations: store::MIGRATIONS,
        tables: store::TABLES,
        reads: store::READS,
        subscriptions: events::subscriptions(),
        timers: Vec::new(),
        jobs: jobs::jobs(),
        ages: Vec::new(),
    }
}

/// What catalog can say again, for whoever rebuilds a copy of it. A listing may go; its product and its store stay.
#[must_use]
pub fn state() -> Vec<engine::Republish> {
    events::state()
}
