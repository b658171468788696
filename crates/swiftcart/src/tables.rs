//! Every service of the program as data, in the order in which they are started: its migrations for whoever brings a
//! database up to date, its tables and reads for the tests that hold all of them against both engines.
//! Leaves each to its service.

use std::sync::Arc;

use engine::{Copied, Republish, Service, Subscription};
use notifications::Journal;
use payments::SandboxProvider;
use sandbox::Webhooks;
use store::{Migration, Table};
use web::{Peer, RouteInfo};

use crate::settings::Settings;

/// The name of the payment provider that is built in.
pub(crate) const SANDBOX: &str = "sandbox";

/// Where payments hears the webhooks of the sandbox provider.
pub(crate) const WEBHOOKS: &str = "/v1/webhooks/sandbox";

/// What services are given besides their settings. Whom either reaches is said when that has a door.
#[derive(Default)]
pub(crate) struct Parts {
    /// Who moves the money.
    pub(crate) provider: Arc<SandboxProvider>,
    /// Who hears the webhooks of the built-in provider.
    pub(crate) hearer: Peer,
}

/// All services; the first one is the provider that is built in, so that payments finds whom to ask.
pub(crate) fn services(settings: &Settings, parts: &Parts) -> Vec<Service> {
    let webhooks = Webhooks { peer: parts.hearer.clone(), path: WEBHOOKS.to_owned() };
    vec![
        sandbox::service(&settings.sandbox, webhooks),
        identity::service(&settings.identity),
        delivery::service(&settings.delivery),
        catalog::service(&settings.catalog),
        inventory::service(&settings.inventory),
        orders::service(&settings.orders),
        payments::service(&settings.payments, parts.provider.clone()),
        notifications::service(&settings.notifications, Arc::new(Journal)),
    ]
}

/// The migrations of the platform and of `services`, in the order in which they are applied.
pub(crate) fn migrations(services: &[Service]) -> Vec<Migration> {
    let platform = [store::PLATFORM, engine::MIGRATIONS];
    platform.into_iter().chain(services.iter().map(|service| service.migrations)).flatten().copied().collect()
}

/// The tables of the engine and of `services`.
pub(crate) fn tables(services: &[Service]) -> Vec<&'static Table> {
    engine::TABLES.iter().chain(services.iter().flat_map(|service| service.tables)).copied().collect()
}

/// The routes of the service of that name, for whom it is not in this process.
pub(crate) fn routes(service: &str) -> Vec<RouteInfo> {
    match service {
        SANDBOX => sandbox::table(),
        "identity" => identity::table(),
        "delivery" => delivery::table(),
        "catalog" => catalog::table(),
        "inventory" => inventory::table(),
        "orders" => orders::table(),
        "payments" => payments::table(),
        "notifications" => notifications::table(),
        _ => Vec::new(),
    }
}

/// What services can say again of what they own, what they have copied of what others may take away, and who listens to whom.
pub(crate) struct Copying {
    subscriptions: Vec<(&'static str, Vec<Subscription>)>,
    states: Vec<(&'static str, Vec<Republish>)>,
    copies: Vec<(&'static str, Vec<Copied>)>,
}

impl Copying {
    pub(crate) fn new(settings: &Settings) -> Self {
        let services = services(settings, &Parts::default());
        Self {
            subscriptions: services.into_iter().map(|service| (service.name, service.subscriptions)).collect(),
            states: vec![
                ("identity", identity::state()),
                ("delivery", delivery::state()),
                ("catalog", catalog::state()),
                ("inventory", inventory::state()),
            ],
            copies: vec![("orders", orders::copies())],
        }
    }

    /// How `consumer` listens to `owner`, if it does.
    pub(crate) fn subscription(&self, consumer: &str, owner: &str) -> Option<&Subscription> {
        let (_, subscriptions) = self.subscriptions.iter().find(|(name, _)| *name == consumer)?;
        subscriptions.iter().find(|subscription| subscription.to_service() == owner)
    }

    /// What `owner` can say again.
    pub(crate) fn states_of(&self, owner: &str) -> &[Republish] {
        self.states.iter().find(|(name, _)| *name == owner).map_or(&[], |(_, states)| states)
    }

    /// What `consumer` has copied of what others may take away.
    pub(crate) fn copies_of(&self, consumer: &str) -> &[Copied] {
        self.copies.iter().find(|(name, _)| *name == consumer).map_or(&[], |(_, copies)| copies)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use store::{Kind, Read};
    use testkit::Engine;

    use super::*;

    fn all() -> Vec<Service> {
        let settings = Settings::defaults().expect("the defaults are right");
        services(&settings, &Parts::default())
    }

    async fn migrated(engine: Engine) -> testkit::TestStore {
        let database = testkit::fresh(engine).await;
        database.store.migrate(&migrations(&all())).await.expect("a fresh database takes all migrations");
        database
    }

    fn reads() -> Vec<&'static Read> {
        let platform = store::READS.iter().chain(log::READS).chain(engine::READS).copied();
        platform.chain(all().iter().flat_map(|service| service.reads.iter().copied())).collect()
    }

    #[tokio::test]
    async fn every_read_is_prepared_on_both_engines() {
        for engine in [Engine::Sqlite, Engine::Postgres] {
            let database = migrated(engine).await;
            for read in reads() {
                if let Err(error) = database.store.prepare(read).await {
                    panic!("{} on {engine:?}: {error}", read.name);
                }
            }
        }
    }

    #[tokio::test]
    async fn every_table_has_its_columns_on_both_engines() {
        for engine in [Engine::Sqlite, Engine::Postgres] {
            let database = migrated(engine).await;
            for table in tables(&all()) {
                let found: BTreeSet<String> = database.store.columns(table).await.expect("columns").into_iter().collect();
                let stated: BTreeSet<String> = table.all().map(|column| column.name.to_owned()).collect();
                assert_eq!(found, stated, "{} on {engine:?}", table.name);
                assert!(table.all().all(|column| column.kind != Kind::Texts), "{}: a column cannot be a list", table.name);
            }
        }
    }

    /// Carrying names every table that migrations make, so that a new one needs nobody to remember it.
    #[tokio::test]
    async fn every_table_is_carried() {
        let (from, to) = (migrated(Engine::Sqlite).await, migrated(Engine::Postgres).await);
        let carried = from.store.carry(&to.store, &tables(&all()), "id", |_| {}).await.expect("it is carried");
        let store::Carriage::Done(carried) = carried else { panic!("it had never been carried") };
        assert!(carried.len() > tables(&all()).len(), "{carried:?}");
        let missed = migrated(Engine::Sqlite).await;
        let all_but_one = &tables(&all())[1..];
        let refused = missed.store.carry(&migrated(Engine::Postgres).await.store, all_but_one, "id", |_| {}).await;
        assert!(refused.is_err_and(|error| error.to_string().contains(tables(&all())[0].name)));
    }

    #[tokio::test]
    async fn every_row_can_be_asked_for_by_its_key_on_both_engines() {
        for engine in [Engine::Sqlite, Engine::Postgres] {
            let database = migrated(engine).await;
            for table in tables(&all()) {
                let key = table.key.iter().map(|column| nothing(column.kind)).collect();
                let found = database.store.load(table, vec![key]).await.unwrap_or_else(|error| panic!("{}: {error}", table.name));
                assert!(found.is_empty());
            }
        }
    }

    fn nothing(kind: Kind) -> store::Value {
        match kind {
            Kind::Int => 0_i64.into(),
            Kind::Text | Kind::Texts => "".into(),
            Kind::Blob => Vec::new().into(),
            Kind::Id => kernel::Id::from_bytes([0; 16]).into(),
        }
    }

    /// Every copy can be rebuilt, and saying something again is nobody's work done twice.
    #[test]
    fn what_is_copied_can_be_said_again_and_what_is_work_cannot() {
        let (copying, services) = (Copying::new(&Settings::defaults().unwrap()), all());
        let subscriptions = || services.iter().flat_map(|service| &service.subscriptions);
        for owner in &services {
            let states = copying.states_of(owner.name);
            for subscription in subscriptions().filter(|subscription| subscription.to_service() == owner.name) {
                assert!(states.iter().all(|state| !subscription.works_on(state.kind())), "{} is work of somebody", owner.name);
                let topics = subscription.topics().values();
                let any_copied = states.iter().any(|state| subscription.copies(state.kind()));
                let copies = topics.filter(|taken| **taken == engine::Taken::Copy).count();
                assert!(copies == 0 || any_copied, "{} cannot say again what others copy of it", owner.name);
            }
        }
        assert_eq!(copying.states.iter().map(|(_, states)| states.len()).sum::<usize>(), 6);
    }

    /// Migrations of before there was a rule: nothing of this program can live without them.
    const BEFORE_THE_RULE: [(&str, u32); 3] = [("delivery", 2), ("notifications", 2), ("sandbox", 2)];

    /// Whoever takes something away, or asks for a value that older programs do not give, says so by its name.
    #[test]
    fn a_migration_that_older_programs_cannot_live_with_says_so() {
        for migration in migrations(&all()) {
            let taken_away = takes_away(migration.sql);
            let known = BEFORE_THE_RULE.contains(&(migration.service, migration.number));
            let says_so = migration.name.starts_with(store::CONTRACTS);
            let named = format!("{} {} {}", migration.service, migration.number, migration.name);
            assert!(taken_away.is_none() || known || says_so, "{named} is not named {}…: {taken_away:?}", store::CONTRACTS);
        }
        assert_eq!(takes_away("ALTER TABLE a ADD COLUMN b {int} NOT NULL DEFAULT 0;\n"), None);
        assert_eq!(takes_away("CREATE TABLE a (b {int} NOT NULL);\nCREATE INDEX c ON a (b);\n"), None);
        for wrong in ["DROP INDEX a;", "ALTER TABLE a DROP COLUMN b;", "ALTER TABLE a ADD COLUMN b {int} NOT NULL;"] {
            assert_eq!(takes_away(wrong), Some(wrong.to_owned()));
        }
    }

    /// The first statement that does what older programs cannot live with.
    fn takes_away(sql: &str) -> Option<String> {
        let lines = sql.lines().filter(|line| !line.trim_start().starts_with("--")).collect::<Vec<_>>().join("\n");
        let narrows = |statement: &&str| {
            let bare = statement.contains("ADD COLUMN") && statement.contains("NOT NULL") && !statement.contains("DEFAULT");
            bare || ["DROP ", "RENAME ", "CREATE UNIQUE INDEX "].iter().any(|words| statement.contains(words))
        };
        // In the first migration of a table nobody was there to be hurt.
        let altered = |statement: &&str| !lines.contains(&format!("CREATE TABLE {}", indexed(statement)));
        lines.split_inclusive(";\n").map(str::trim).find(|statement| narrows(statement) && altered(statement)).map(str::to_owned)
    }

    /// The table that a unique index is made on; what no table is called if the statement makes none.
    fn indexed(statement: &str) -> &str {
        let on = statement.split_once(" ON ").filter(|_| statement.contains("CREATE UNIQUE INDEX "));
        on.and_then(|(_, table)| table.split_whitespace().next()).unwrap_or("?")
    }

    #[test]
    fn names_of_reads_tables_and_services_are_unique() {
        let reads: Vec<&str> = reads().iter().map(|read| read.name).collect();
        let tables: Vec<&str> = tables(&all()).iter().map(|table| table.name).collect();
        let services: Vec<&str> = all().iter().map(|service| service.name).collect();
        for names in [reads, tables, services] {
            assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "{names:?}");
        }
    }
}
