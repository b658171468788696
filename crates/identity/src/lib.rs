//! Identity owns people: who they are, what they may do and in which stores, how they prove it, and the keys that sign
//! what they then show. It tells others the public keys and who rides as a courier.
//!
//! It owns no session (a token lives fifteen minutes and is verified where it is shown), no cart, no address of a
//! delivery and no shift: a courier on the road is delivery's. No password or hash of one leaves it, not even in a log.
//!
//! At start the composition calls [`ensure_signing_key`] and, for a new shop, [`ensure_admin`].

mod config;
mod domain;
mod events;
mod http;
mod jobs;
mod service;
mod store;

pub use config::Config;
pub use domain::Secret;
pub use http::table;
pub use service::{ensure_admin, ensure_signing_key, knows};

/// The service's name.
pub const NAME: &str = "identity";

/// The service as data; nothing is started.
#[must_use]
pub fn service(config: &Config) -> engine::Service {
    engine::Service {
        name: NAME,
        migrations: crate::store::MIGRATIONS,
        tables: crate::store::TABLES,
        reads: crate::store::READS,
        subscriptions: events::subscriptions(),
        timers: Vec::new(),
        jobs: jobs::jobs(config),
        ages: Vec::new(),
    }
}

/// The service's routes behind the executor of `handle`.
#[must_use]
pub fn routes(handle: engine::Handle, config: &Config) -> web::Routes {
    http::routes(handle, config)
}

/// What identity can say again, for whoever rebuilds a copy of it. A key is never removed; whoever rides no more was said to
/// be a courier no longer.
#[must_use]
pub fn state() -> Vec<engine::Republish> {
    events::state()
}
