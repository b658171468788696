//! Owns carts, quotes and orders, and copies of what they need of listings, stores and slots, so that a shop takes orders
//! while every other service but inventory and payments is down.
//! Does not own stock or places (inventory), money (payments), the way to the door (delivery) or prices (catalog), and
//! calls none of them: what it needs it has heard by event.
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
pub use service::ensure_seal;

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
        ages: jobs::ages(),
    }
}

/// What orders has copied of rows that their owners may take away.
#[must_use]
pub fn copies() -> Vec<engine::Copied> {
    events::copies()
}
