//! A door into a database behind the program's back, for tests that plant what the program would never write: statements as
//! they are, with every `CHECK` out of the way. Leaves what is planted to the tests.

use rusqlite::Connection;
use tokio_postgres::Client;

use crate::Engine;
use crate::database::admin;

/// Takes every `CHECK` off every table of the schema.
const WITHOUT_CHECKS: &str = "DO $$ DECLARE c record; BEGIN \
    FOR c IN SELECT conrelid::regclass AS held_by, conname FROM pg_constraint \
             WHERE contype = 'c' AND connamespace = 'public'::regnamespace LOOP \
        EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', c.held_by, c.conname); \
    END LOOP; END $$";

/// The door.
#[derive(Debug)]
pub struct Raw(Inside);

#[derive(Debug)]
enum Inside {
    Sqlite(Connection),
    Postgres(Client),
}

impl Raw {
    /// Opens the database at `url`, which is `sqlite:` and the path of a file, or that of a PostgreSQL.
    ///
    /// # Panics
    /// If it cannot be opened.
    pub async fn open(url: &str) -> Self {
        let Some(path) = url.strip_prefix("sqlite:") else {
            let client = admin(url).await;
            client.batch_execute(WITHOUT_CHECKS).await.expect("constraints can be dropped");
            return Self(Inside::Postgres(client));
        };
        let connection = Connection::open(path).expect("the file can be opened");
        // The program that has it open too waits no longer than this, and leaves the log of writes to itself.
        let set = "PRAGMA busy_timeout = 5000; PRAGMA wal_autocheckpoint = 0; PRAGMA ignore_check_constraints = 1;";
        connection.execute_batch(set).expect("the settings are known");
        Self(Inside::Sqlite(connection))
    }

    /// Which engine it is.
    #[must_use]
    pub fn engine(&self) -> Engine {
        match self.0 {
            Inside::Sqlite(_) => Engine::Sqlite,
            Inside::Postgres(_) => Engine::Postgres,
        }
    }

    /// Runs `statements`, all of them or none.
    ///
    /// # Panics
    /// If one is refused.
    pub async fn run(&self, statements: &[String]) {
        let script = format!("BEGIN;\n{};\nCOMMIT;", statements.join(";\n"));
        let refused = match &self.0 {
            Inside::Sqlite(connection) => connection.execute_batch(&script).map_err(|error| error.to_string()),
            Inside::Postgres(client) => client.batch_execute(&script).await.map_err(|error| format!("{error}: {error:?}")),
        };
        if let Err(error) = refused {
            panic!("{error} at\n{script}");
        }
    }

    /// The texts in the one column that `select` reads.
    ///
    /// # Panics
    /// If it is refused.
    pub async fn texts(&self, select: &str) -> Vec<String> {
        match &self.0 {
            Inside::Sqlite(connection) => {
                let mut statement = connection.prepare(select).expect("a statement");
                let texts = statement.query_map([], |row| row.get(0)).expect("rows");
                texts.collect::<Result<_, _>>().expect("texts")
            }
            Inside::Postgres(client) => {
                let rows = client.query(select, &[]).await.expect("rows");
                rows.iter().map(|row| row.get(0)).collect()
            }
        }
    }
}
