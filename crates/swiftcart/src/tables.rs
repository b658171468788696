//! Every migration, table and read of the program, for whoever brings a database up to date and for the tests that hold
//! all of them against both engines. Leaves each to its service.

use store::Migration;
#[cfg(test)]
use store::{Read, Table};

use crate::settings::Settings;

/// The migrations of the platform and of all services, in the order in which they are applied.
pub(crate) fn migrations(settings: &Settings) -> Vec<Migration> {
    let services = services(settings);
    let platform = [store::PLATFORM, engine::MIGRATIONS];
    platform.into_iter().chain(services.iter().map(|service| service.migrations)).flatten().copied().collect()
}

/// All services as data, with ports that nothing calls before they are started.
pub(crate) fn services(settings: &Settings) -> Vec<engine::Service> {
    vec![
        identity::service(&settings.identity),
        delivery::service(&settings.delivery),
        catalog::service(&settings.catalog),
        inventory::service(&settings.inventory),
        orders::service(&settings.orders),
        payments::sandbox(&settings.payments),
    ]
}
