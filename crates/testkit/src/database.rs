//! Fresh databases: a file in a directory of its own, or a database on the server that `SWIFTCART_TEST_DATABASE_URL` names.
//! Leaves that server to `cargo xtask test`.

#![allow(clippy::disallowed_methods, reason = "tests of the real thing stand outside of the ports")]

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use engine::Service;
use store::{Error, Migration, Store};
use tempfile::TempDir;
use tokio_postgres::{Client, NoTls};

/// Where the server for tests is.
const SERVER: &str = "SWIFTCART_TEST_DATABASE_URL";

/// Connections of each store on PostgreSQL: enough for writers to meet in the database.
const CONNECTIONS: usize = 6;

static DATABASES: AtomicU32 = AtomicU32::new(0);

/// Which of the two.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Engine {
    /// The embedded one.
    Sqlite,
    /// The server.
    Postgres,
}

/// A store on a database of its own, which goes with it.
#[derive(Debug)]
pub struct TestStore {
    /// The store.
    pub store: Store,
    /// `sqlite:` and the path of the file, or the URL of the database.
    pub url: String,
    place: Place,
}

#[derive(Debug)]
enum Place {
    Directory { _held: TempDir },
    Database(String),
}

/// A new, empty database of `engine`.
///
/// # Panics
/// If there is no server for tests, or it makes no database.
pub async fn fresh(engine: Engine) -> TestStore {
    match engine {
        Engine::Sqlite => {
            let directory = tempfile::tempdir().expect("a directory for a test can be made");
            let url = format!("sqlite:{}", directory.path().join("test.db").display());
            TestStore {
                store: open(&url).await.expect("a new file can be opened"),
                url,
                place: Place::Directory { _held: directory },
            }
        }
        Engine::Postgres => {
            let name = format!("swiftcart_test_{}_{}", std::process::id(), DATABASES.fetch_add(1, Ordering::Relaxed));
            let server = server();
            let admin = admin(&server).await;
            // A process killed in mid-test may have left one, and numbers of processes come again.
            for sql in
                [format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"), format!("CREATE DATABASE {name} TEMPLATE template0")]
            {
                admin.batch_execute(&sql).await.expect("the server for tests makes databases");
            }
            let url = with_database(&server, &name);
            TestStore { store: open(&url).await.expect("a new database can be opened"), url, place: Place::Database(name) }
        }
    }
}

/// A new database of `engine` with the tables of the platform, of the engine around deciders, and of `services`.
///
/// # Panics
/// As [`fresh`], or if a migration is refused.
pub async fn migrated(engine: Engine, services: &[&[Migration]]) -> TestStore {
    let database = fresh(engine).await;
    let migrations = [&[store::PLATFORM, engine::MIGRATIONS], services].concat().concat();
    database.store.migrate(&migrations).await.expect("a fresh database takes all migrations");
    database
}

impl TestStore {
    /// Every read of `service` is understood, and every table has the columns that are said of it.
    ///
    /// # Panics
    /// If not.
    pub async fn assert_fits(&self, service: &Service) {
        for read in service.reads {
            assert_eq!(self.store.prepare(read).await, Ok(()), "{}", read.name);
        }
        for table in service.tables {
            let mut stated: Vec<&str> = table.all().map(|column| column.name).collect();
            let mut found = self.store.columns(table).await.expect("the database knows its columns");
            stated.sort_unstable();
            found.sort_unstable();
            assert_eq!(found, stated, "{}", table.name);
        }
    }

    /// One more store on the same database, as another process would have it.
    ///
    /// # Panics
    /// If it cannot be opened.
    pub async fn another(&self) -> Store {
        open(&self.url).await.expect("what was opened once can be opened again")
    }

    /// The file of the database, if it is one.
    #[must_use]
    pub fn file(&self) -> Option<PathBuf> {
        self.url.strip_prefix("sqlite:").map(PathBuf::from)
    }
}

impl Drop for TestStore {
    fn drop(&mut self) {
        let Place::Database(name) = &self.place else { return };
        let sql = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
        // Whoever drops may stand in a runtime, where nothing can be waited for: so another thread does it.
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime can be made");
            runtime.block_on(async move { admin(&server()).await.batch_execute(&sql).await })
        });
        if !matches!(dropping.join(), Ok(Ok(()))) {
            eprintln!("the database {name} could not be dropped");
        }
    }
}

/// A bare connection to the PostgreSQL at `url`, for what a store would never do.
///
/// # Panics
/// If it does not answer.
pub async fn admin(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.expect("the server for tests answers");
    tokio::spawn(connection);
    client
}

async fn open(url: &str) -> Result<Store, Error> {
    match url.strip_prefix("sqlite:") {
        Some(path) => Store::sqlite(Path::new(path)),
        None => Store::postgres(url, CONNECTIONS).await,
    }
}

fn server() -> String {
    std::env::var(SERVER)
        .unwrap_or_else(|_| panic!("there is no PostgreSQL for tests ({SERVER} is not set): run cargo xtask test"))
}

/// `url` with another database, as `postgres://someone@host:port/database?parameters`.
fn with_database(url: &str, name: &str) -> String {
    let (address, parameters) = url.split_once('?').map_or((url, None), |(address, parameters)| (address, Some(parameters)));
    let server = match address.rsplit_once('/') {
        Some((server, _)) if !server.ends_with('/') => server,
        _ => address,
    };
    parameters.map_or_else(|| format!("{server}/{name}"), |parameters| format!("{server}/{name}?{parameters}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_database_of_a_url_is_replaced() {
        assert_eq!(with_database("postgres://a@h:1/postgres", "x"), "postgres://a@h:1/x");
        assert_eq!(with_database("postgres://a@h:1", "x"), "postgres://a@h:1/x");
        assert_eq!(with_database("postgres://a@h:1/y?z=1", "x"), "postgres://a@h:1/x?z=1");
    }
}
