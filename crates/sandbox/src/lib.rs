//! Owns a payment provider that is none: money that nobody has, held, taken and given back in books of its own; tokens that
//! behave as their names say; faults by seeded chance; webhooks. To try a shop on, and to test payments against.
//! Does not own payments, nor knows a shop: who holds its key demands, and a new key is a new demand, even if it is for what
//! was paid already. It does not protect its clients from paying twice, so that its books can show it.
//!
//! Reading order: `domain`, `store`, `service`, `http`, `jobs`.

mod config;
mod domain;
mod events;
mod http;
mod jobs;
mod service;
mod store;

pub use config::Config;
pub use domain::faults::{Faults, Mishap};
pub use domain::signature::{SIGNATURE_HEADER, sign};
pub use http::{KEY_HEADER, routes, table};
pub use jobs::Webhooks;
pub use service::{Given, Secrets, ensure_secrets, play_faults};

/// The service as data; `webhooks` is whom it tells of changes.
#[must_use]
pub fn service(config: &Config, webhooks: Webhooks) -> engine::Service {
    engine::Service {
        name: store::SERVICE,
        migrations: store::MIGRATIONS,
        tables: store::TABLES,
        reads: store::READS,
        subscriptions: events::subscriptions(),
        timers: jobs::timers(config),
        jobs: jobs::jobs(config, webhooks),
        ages: Vec::new(),
    }
}
