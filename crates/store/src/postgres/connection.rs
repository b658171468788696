//! Connections: the pool, what every one of them is set to, and the process that serves each on the server.
//! Leaves what is sent over them to others.

use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use deadpool_postgres::{
    ClientWrapper, Hook, HookError, Manager, ManagerConfig, Object, Pool, RecyclingMethod, Runtime, StatementCache,
};
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::{Config, NoTls, SimpleQueryMessage};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::failure::{of_pool, with_cause};
use super::tls;
use crate::Error;

/// How long to wait for a connection: for a new one to open, for one of the pool to be free.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a server may be silent before its connection counts as lost; a batch is never cancelled.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// Where PostgreSQL listens if nothing else is said.
const PORT_DEFAULT: u16 = 5432;
const VERSION_MIN: i64 = 150_000;

// One round trip; the two answers come as text.
const GREETING: &str = "SET application_name = 'swiftcart'; SET statement_timeout = '10s'; \
     SET idle_in_transaction_session_timeout = '10s'; SET lock_timeout = 0; \
     SELECT current_setting('server_version_num'), pg_backend_pid(), current_setting('server_version')";

/// The server's processes by connection. A cache of statements stands for its connection, which has no name of its own.
#[derive(Clone, Default, Debug)]
pub(super) struct Backends(Arc<Mutex<Vec<Backend>>>);

type Backend = (Weak<StatementCache>, i32);

impl Backends {
    fn insert(&self, client: &ClientWrapper, pid: i32) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|(cache, _)| cache.strong_count() > 0);
        known.push((Arc::downgrade(&client.statement_cache), pid));
    }

    pub(super) fn pid(&self, client: &ClientWrapper) -> Option<i32> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.iter().find(|(cache, _)| cache.as_ptr() == Arc::as_ptr(&client.statement_cache)).map(|(_, pid)| *pid)
    }
}

/// Where a database is, and how it is spoken to.
#[derive(Clone)]
pub(super) struct Target {
    config: Config,
    /// By what it is known and the connection encrypted; without it, it is not.
    tls: Option<MakeRustlsConnect>,
}

/// What `url` says, with bounds where it names none.
pub(super) fn target(url: &str) -> Result<Target, Error> {
    let broken = |why: &str| Error::Broken(format!("the URL of the database: {why}"));
    let (url, roots) = tls::without_roots(url)?;
    let mut config: Config = url.parse().map_err(|error| broken(&with_cause(&error)))?;
    let required = config.get_ssl_mode() == SslMode::Require;
    if roots.is_some() && !required {
        return Err(broken("sslrootcert needs sslmode=verify-full beside it"));
    }
    let tls = required.then(|| tls::verified(roots.as_deref())).transpose()?;
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(CONNECT_TIMEOUT);
    }
    if config.get_tcp_user_timeout().is_none() {
        config.tcp_user_timeout(SILENCE_MAX);
    }
    if config.get_keepalives_interval().is_none() {
        config.keepalives_idle(SILENCE_MAX / 2).keepalives_interval(SILENCE_MAX / 6).keepalives_retries(3);
    }
    Ok(Target { config, tls })
}

impl Target {
    /// Where it is, without password or parameters.
    pub(super) fn place(&self) -> String {
        let (config, ports) = (&self.config, self.config.get_ports());
        let address = |(at, host): (usize, &Host)| {
            let port = ports.get(at).or(ports.first()).copied().unwrap_or(PORT_DEFAULT);
            match host {
                Host::Tcp(name) => format!("{name}:{port}"),
                #[cfg(unix)]
                Host::Unix(directory) => format!("{}:{port}", directory.display()),
            }
        };
        let hosts: Vec<String> = config.get_hosts().iter().enumerate().map(address).collect();
        let user = config.get_user().map(|user| format!("{user}@")).unwrap_or_default();
        format!("postgres://{user}{}/{}", hosts.join(","), config.get_dbname().or(config.get_user()).unwrap_or_default())
    }
}

pub(super) fn pool(target: Target, connections: usize, backends: &Backends) -> Result<Pool, Error> {
    let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
    let manager = match target.tls {
        Some(tls) => Manager::from_config(target.config, tls, recycling),
        None => Manager::from_config(target.config, NoTls, recycling),
    };
    let backends = backends.clone();
    let greet = Hook::async_fn(move |client: &mut ClientWrapper, _| {
        let backends = backends.clone();
        Box::pin(async move { greet(client, &backends).await })
    });
    let builder = Pool::builder(manager).max_size(connections.max(1)).runtime(Runtime::Tokio1).post_create(greet);
    let pool = builder.wait_timeout(Some(CONNECT_TIMEOUT)).create_timeout(Some(CONNECT_TIMEOUT)).build();
    pool.map_err(|error| Error::Unavailable(error.to_string()))
}

async fn greet(client: &ClientWrapper, backends: &Backends) -> Result<(), HookError> {
    let answer = client.simple_query(GREETING).await.map_err(HookError::Backend)?;
    let row = answer.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    let text = |column| row.and_then(|row| row.get(column)).unwrap_or_default();
    let unknown = || HookError::message("the server does not say what it is");
    if text(0).parse::<i64>().map_err(|_| unknown())? < VERSION_MIN {
        return Err(HookError::message(format!("PostgreSQL {} is too old: 15 or newer is needed", text(2))));
    }
    backends.insert(client, text(1).parse().map_err(|_| unknown())?);
    Ok(())
}

/// A connection on which a transaction may be open: it goes back to the pool only if it is kept, and is closed otherwise,
/// also by a panic.
#[derive(Debug)]
pub(super) struct Lease(Option<Object>);

impl Lease {
    pub(super) async fn of(pool: &Pool) -> Result<Self, Error> {
        pool.get().await.map(|client| Self(Some(client))).map_err(of_pool)
    }

    pub(super) fn keep(mut self) {
        drop(self.0.take());
    }
}

impl Deref for Lease {
    type Target = ClientWrapper;

    fn deref(&self) -> &ClientWrapper {
        self.0.as_ref().expect("only the end takes it")
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(client) = self.0.take() {
            drop(Object::take(client));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_one_and_asks_for_nothing_that_is_not_there() {
        for good in ["postgres://shop@localhost/shop", "postgres://localhost/shop?sslmode=prefer", "host=/run port=5433"] {
            assert!(target(good).is_ok_and(|target| target.tls.is_none()), "{good}");
        }
        let roots = "sslmode=verify-full&sslrootcert=tests/tls/ca.pem";
        assert!(target(&format!("postgres://localhost/shop?{roots}")).is_ok_and(|target| target.tls.is_some()));
        let wrong = [
            "mysql://localhost",
            "postgres://localhost/shop?sslmode=verify-ca",
            "postgres://localhost/shop?sslrootcert=tests/tls/ca.pem",
            "postgres://localhost/shop?sslmode=prefer&sslrootcert=tests/tls/ca.pem",
            "postgres://localhost/?colour=red",
        ];
        for wrong in wrong {
            assert!(matches!(target(wrong), Err(Error::Broken(_))), "{wrong}");
        }
    }

    #[test]
    fn a_place_tells_no_secret() {
        let place = |url| target(url).map(|target| target.place());
        let secret = "postgres://shop:s3cret@db.example:5433/orders?application_name=x";
        assert_eq!(place(secret), Ok("postgres://shop@db.example:5433/orders".to_owned()));
        assert_eq!(place("postgres://shop@localhost"), Ok("postgres://shop@localhost:5432/shop".to_owned()));
    }
}
