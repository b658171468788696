//! Owns stores (zones, hours, fees, slot templates), deliveries with their offers, and the couriers on shift.
//! Does not own orders and their promise (orders), stock and the places of slots (inventory), money (payments), or who a
//! courier is (identity), and calls none of them: what it needs it has heard by event.
//!
//! Reading order: `domain` (state, delivery, courier, assignment), `store`, `service`, `events`, `jobs`, `http`.

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
        jobs: jobs::jobs(config),
        ages: Vec::new(),
    }
}

/// What delivery can say again, for whoever rebuilds a copy of it. A store is never removed.
#[must_use]
pub fn state() -> Vec<engine::Republish> {
    events::state()
}
