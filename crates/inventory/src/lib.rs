//! Owns supply per store: the stock of each SKU, the slots of the coming days and their places, the holds on both, and the
//! ledger of what was counted and what has left. A hold takes all that its order wants, and one place of its slot, or nothing.
//! Does not own what is sold and for how much (catalog), hours and slot templates (delivery, of which it keeps copies), or
//! what an order does when its hold is refused or runs out (orders).
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
pub fn service(config: &Config) -> engine::Service {
    engine::Service {
        name: store::SERVICE,
        migrations: store::MIGRATIONS,
        tables: store::TABLES,
        reads: store::READS,
        subscriptions: events::subscriptions(config),
        timers: jobs::timers(config),
        jobs: jobs::jobs(),
        ages: Vec::new(),
    }
}

/// What inventory can say again, for whoever rebuilds a copy of it. A slot may go; supply stays.
#[must_use]
pub fn state() -> Vec<engine::Republish> {
    events::state()
}
