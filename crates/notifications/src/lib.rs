//! Owns the messages to whoever ordered: what is written when an order moves, and what became of each message.
//! Does not own orders (orders) or their way to the door (delivery), and asks neither: it keeps by event how to reach whoever
//! ordered. How a message leaves the shop is the mailer's, a port.
//!
//! Reading order: `domain`, `store`, `service`, `events`, `jobs`, `http`.

mod config;
mod domain;
mod events;
mod http;
mod jobs;
mod service;
mod store;

use std::sync::Arc;

pub use config::Config;
pub use domain::message::Outcome;
pub use http::{routes, table};
pub use jobs::mailer::{Journal, Mail, Mailer};

/// The service as data; what it writes leaves the shop by `mailer`.
#[must_use]
pub fn service(config: &Config, mailer: Arc<dyn Mailer>) -> engine::Service {
    engine::Service {
        name: store::SERVICE,
        migrations: store::MIGRATIONS,
        tables: store::TABLES,
        reads: store::READS,
        subscriptions: events::subscriptions(config),
        timers: Vec::new(),
        jobs: jobs::jobs(config, mailer),
        ages: Vec::new(),
    }
}
