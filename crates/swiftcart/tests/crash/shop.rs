//! A shop under test: one or two processes on a database, and the provider that moves its money.
//! Leaves when which of them dies to the tests.

use tempfile::TempDir;
use testkit::{PostgresServer, Proxy};

use crate::harness::{Bank, Server, free_address, migrate, swiftcart, until_leases_pass_on};
use crate::traffic::Traffic;

/// What happens seldom, or slowly, happens often and fast here.
pub(crate) const HASTY: [(&str, &str); 5] = [
    ("SWIFTCART__LOG__KEEP_MS", "500"),
    ("SWIFTCART__LOG__TRIM_EVERY_MS", "200"),
    ("SWIFTCART__PAYMENTS__WORKER_EVERY_MS", "200"),
    ("SWIFTCART__PAYMENTS__RECONCILE_EVERY_MS", "1000"),
    ("SWIFTCART__PAYMENTS__CALL_TIMEOUT_MS", "1000"),
];

/// How often an audit may find that something is still on its way.
const AUDITS_MAX: usize = 100;

/// How many of a hundred questions to the provider go wrong.
pub(crate) const FAULTS_PERCENT: u64 = 20;

/// Where a shop keeps its rows.
#[derive(Debug)]
pub(crate) enum Base {
    /// One process with the embedded database.
    Sqlite,
    /// So many processes on one PostgreSQL, which is theirs alone.
    Postgres(usize),
    /// One process on a PostgreSQL of its own, whose services hear each other by the Kafka that all tests share.
    Kafka,
}

impl Base {
    fn processes(&self) -> usize {
        match self {
            Self::Sqlite | Self::Kafka => 1,
            Self::Postgres(processes) => *processes,
        }
    }
}

/// A shop and everything around it.
pub(crate) struct Shop {
    pub(crate) servers: Vec<Server>,
    pub(crate) postgres: Option<PostgresServer>,
    pub(crate) proxy: Option<Proxy>,
    migration_died: bool,
    bank: Bank,
    environment: Vec<(String, String)>,
    /// The directories, which go last.
    _directories: Vec<TempDir>,
}

impl Shop {
    /// Opens a shop of its own.
    pub(crate) async fn open(base: &Base, seed: u64) -> Self {
        let shop = Self::make(base, seed, &[]).await;
        assert!(shop.servers.iter().all(Server::is_open), "each process opens");
        shop
    }

    /// Opens a shop with `record` in the environment of what makes it.
    pub(crate) async fn recorded(base: &Base, record: (&str, &str)) -> Self {
        let shop = Self::make(base, 1, &[record]).await;
        assert!(shop.servers[0].is_open(), "it opens");
        shop
    }

    /// Makes a shop with `crash` in the environment of what makes it; says whether anything died of it.
    pub(crate) async fn try_open(base: &Base, crash: (&str, &str)) -> (Self, bool) {
        let shop = Self::make(base, 1, &[crash]).await;
        let died = shop.migration_died || !shop.servers[0].is_open() || shop.servers[0].ends_within(1);
        (shop, died)
    }

    /// `once` goes to the first start alone.
    async fn make(base: &Base, seed: u64, once: &[(&str, &str)]) -> Self {
        let directory = || tempfile::tempdir().expect("a directory");
        let (books, data) = (directory(), directory());
        let (mut postgres, mut proxy, mut migration_died) = (None, None, false);
        if !matches!(base, Base::Sqlite) {
            let server = PostgresServer::start();
            migration_died = !try_migrate(&server.url, once);
            migrate(&server.url);
            proxy = Some(Proxy::before(&server.url).await);
            postgres = Some(server);
        }
        let address = free_address();
        let (percent, seed) = (FAULTS_PERCENT.to_string(), seed.to_string());
        let faults = ["--faults-percent", &percent, "--faults-seed", &seed];
        let bank = Bank::start(books.path(), &address, &faults, &[]);
        let mut usual: Vec<(String, String)> = owned(&HASTY).collect();
        if matches!(base, Base::Kafka) {
            usual.extend(by_kafka());
        }
        let first: Vec<(String, String)> = usual.iter().cloned().chain(owned(once)).collect();
        let config = bank.settings().display().to_string();
        let database = proxy.iter().flat_map(|proxy: &Proxy| ["--database", proxy.url.as_str()]);
        let arguments: Vec<&str> = ["--config", &config].into_iter().chain(database).collect();
        let mut servers = vec![Server::try_start(address, data.path(), &arguments, &first)];
        let mut directories = vec![books, data];
        for _ in 1..base.processes() {
            let data = directory();
            servers.push(Server::try_start(free_address(), data.path(), &arguments, &usual));
            directories.push(data);
        }
        Self { servers, postgres, proxy, migration_died, bank, environment: usual, _directories: directories }
    }

    /// Shoppers and everybody else come in.
    pub(crate) fn traffic(&self, seed: u64) -> Traffic {
        let urls: Vec<String> = self.servers.iter().map(Server::url).collect();
        Traffic::begin(&urls, &self.servers[0].logins(), seed)
    }

    /// Kills the process of this number, unless it is dead, and starts it again with `more` environment; says whether it was
    /// open before it ended, if it has.
    pub(crate) fn restart(&mut self, number: usize, more: &[(&str, &str)]) -> bool {
        let usual = self.environment.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let environment: Vec<(&str, &str)> = usual.chain(more.iter().copied()).collect();
        self.servers[number].restart_with(&environment)
    }

    /// Kills the provider and starts it again with this environment.
    pub(crate) fn restart_provider(&mut self, environment: &[(&str, &str)]) {
        self.bank.restart(environment);
    }

    /// Starts the provider so that it dies of `crash`, waits for that, and starts it again; says whether it died.
    pub(crate) fn crash_provider(&mut self, crash: (&str, &str), within_s: u64) -> bool {
        self.bank.restart(&[crash]);
        let died = self.bank.ends_within(within_s);
        self.bank.restart(&[]);
        died
    }

    /// Waits until each lease is held, or held again, by a process that is not frozen.
    pub(crate) async fn until_leases_pass_on(&self) {
        until_leases_pass_on(&self.postgres.as_ref().expect("leases are on PostgreSQL").url).await;
    }

    /// What is wrong at the end: by the quiescent audit, by the watch that every process kept, or by the provider's own books.
    pub(crate) fn faults(&self) -> Vec<String> {
        let (mut report, mut content) = self.servers[0].audit();
        // What is still on its way settles by and by; what never does is a fault.
        for _ in 0..AUDITS_MAX {
            if content {
                break;
            }
            (report, content) = self.servers[0].audit();
        }
        let mut faults: Vec<String> = self.servers.iter().flat_map(|server| server.told(&["an invariant"])).collect();
        if !content {
            faults.push(format!("{report:#}"));
        }
        faults.extend(faults_of_books(&self.bank));
        faults
    }
}

/// What is wrong by the provider's own books, once nobody is to have money set aside.
pub(crate) fn faults_of_books(bank: &Bank) -> Vec<String> {
    let (_, books) = bank.books(&bank.key());
    let wrong = ["captured_twice", "open_twice", "open_beside_captured", "authorised_open"];
    let wrong = wrong.into_iter().filter(|what| books[what] != 0);
    wrong.map(|what| format!("by the provider's books, {what} is {}", books[what])).collect()
}

fn owned(environment: &[(&str, &str)]) -> impl Iterator<Item = (String, String)> {
    environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
}

/// The environment of a shop by Kafka, with topics of its own there.
fn by_kafka() -> Vec<(String, String)> {
    let (servers, prefix) = (testkit::kafka(), testkit::topic_prefix());
    let settings = [
        ("SWIFTCART__LOG__KIND", "kafka"),
        ("SWIFTCART__KAFKA__SERVERS", &servers),
        ("SWIFTCART__KAFKA__PREFIX", &prefix),
        ("SWIFTCART__KAFKA__MEMBER", "only"),
        ("SWIFTCART__SERVER__BUCKETS", "8"),
    ];
    let environment: Vec<(String, String)> = owned(&settings).collect();
    let output = swiftcart().args(["topics", "ensure"]).envs(environment.iter().cloned()).output().expect("topics runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    environment
}

/// Brings the PostgreSQL at `url` up to date with this environment; says whether that went well.
fn try_migrate(url: &str, environment: &[(&str, &str)]) -> bool {
    let output = swiftcart().args(["migrate", "--database", url]).envs(environment.iter().copied()).output();
    output.expect("migrate runs").status.success()
}
