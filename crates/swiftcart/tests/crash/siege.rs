//! The real stack under siege: a process for each role or two, a gateway before them, a Kafka and a PostgreSQL of their own,
//! and the provider that moves their money. Knows what may befall each of them, and what must hold when it is over.
//! Leaves what befalls them when to the tests.

use kernel::Draw;
use serde_json::Value;
use tempfile::TempDir;
use testkit::{KafkaServer, PostgresServer, Proxy};

use crate::harness::{Bank, Cluster, ROLES, Topology, bearer, free_address, migrate, until_leases_pass_on};
use crate::shop::{FAULTS_PERCENT, HASTY, faults_of_books};
use crate::traffic::Traffic;

/// Longer than a lease lives, and than Kafka waits for a sign of life from a member of a group.
const FROZEN_S: u64 = 8;

/// What differs where Kafka dies: few partitions, for each costs time when it comes back, and patience with what is not heard
/// until then.
const PATIENT: [(&str, &str); 2] = [("SWIFTCART__SERVER__BUCKETS", "8"), ("SWIFTCART__AUDIT__HEARD_WITHIN_MS", "180000")];

/// How often it is looked whether all that was said lies in Kafka, before it never does.
const LOOKS_MAX: u32 = 2000;

/// How often an audit may find that something is still on its way.
const AUDITS_MAX: usize = 100;

/// What may befall it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Blow {
    /// A process of a role, of this number, is killed and started again.
    Kill(&'static str, usize),
    /// A process stands still for longer than its leases live and than Kafka waits for it; then it goes on.
    Freeze(&'static str, usize),
    /// The provider is killed and started again.
    KillProvider,
    /// PostgreSQL is killed and started again.
    KillPostgres,
    /// The next commit succeeds and nobody is told: the connection is cut.
    CutAfterCommit,
    /// Kafka is killed and started again.
    KillKafka,
    /// Kafka stands still for as long.
    FreezeKafka,
}

/// A shop under siege.
pub(crate) struct Siege {
    pub(crate) cluster: Cluster,
    pub(crate) postgres: PostgresServer,
    pub(crate) kafka: KafkaServer,
    copies: usize,
    proxy: Proxy,
    bank: Bank,
    /// The provider's directory, which goes last.
    _books: TempDir,
}

impl Siege {
    /// Opens a shop with so many processes of each role.
    pub(crate) async fn lay(copies: usize, seed: u64, environment: &[(&str, &str)]) -> Self {
        let (postgres, kafka) = (PostgresServer::start(), KafkaServer::start());
        migrate(&postgres.url);
        let proxy = Proxy::before(&postgres.url).await;
        let (books, gateway) = (tempfile::tempdir().expect("a directory"), free_address());
        let (percent, seed) = (FAULTS_PERCENT.to_string(), seed.to_string());
        let bank = Bank::start(books.path(), &gateway, &["--faults-percent", &percent, "--faults-seed", &seed], &[]);
        let settings = std::fs::read_to_string(bank.settings()).expect("the settings of the shop");
        let topology = Topology { database: &proxy.url, apart: &[], copies, kafka: Some(&kafka.address), settings: &settings };
        let environment = [&HASTY[..], &PATIENT, environment].concat();
        // Its processes start one after the other, and wait for the proxy, which has to run meanwhile.
        let cluster = tokio::task::block_in_place(|| Cluster::start_at(gateway, &topology, &environment));
        Self { cluster, postgres, kafka, copies, proxy, bank, _books: books }
    }

    /// Shoppers and everybody else come in by the gateway.
    pub(crate) fn traffic(&self, seed: u64) -> Traffic {
        Traffic::begin(&[self.cluster.gateway.url()], &self.cluster.gateway.logins(), seed)
    }

    /// What may befall it next.
    pub(crate) fn draw(&self, draw: &mut Draw) -> Blow {
        let below = |draw: &mut Draw, bound: usize| usize::try_from(draw.below(bound as u64)).expect("a small number");
        let role = ROLES[below(draw, ROLES.len())];
        let number = below(draw, self.copies);
        match draw.below(16) {
            0 => Blow::KillPostgres,
            1 => Blow::CutAfterCommit,
            2 => Blow::KillKafka,
            3 => Blow::FreezeKafka,
            4 => Blow::Kill("gateway", 0),
            5 => Blow::KillProvider,
            6..=9 => Blow::Freeze(role, number),
            _ => Blow::Kill(role, number),
        }
    }

    /// Lets it happen, and waits until it is over.
    pub(crate) async fn strike(&mut self, blow: Blow) {
        match blow {
            Blow::Kill(role, number) => assert!(self.restart(role, number), "{role} opens again"),
            Blow::Freeze(role, number) => self.freeze(role, number).await,
            Blow::KillProvider => self.bank.restart(&[]),
            Blow::KillPostgres => tokio::task::block_in_place(|| self.postgres.crash()),
            Blow::CutAfterCommit => self.proxy.cut_after_commit(),
            Blow::KillKafka => tokio::task::block_in_place(|| self.kafka.crash()),
            Blow::FreezeKafka => {
                self.kafka.freeze();
                self.stands_while_frozen("gateway", 0);
                self.kafka.thaw();
            }
        }
    }

    fn restart(&mut self, role: &str, number: usize) -> bool {
        tokio::task::block_in_place(|| self.cluster.restart(role, number, &[]))
    }

    async fn freeze(&mut self, role: &str, number: usize) {
        self.cluster.one(role, number).signal("STOP");
        self.stands_while_frozen(role, number);
        if self.copies > 1 {
            until_leases_pass_on(&self.postgres.url).await;
        }
        self.cluster.one(role, number).signal("CONT");
    }

    /// Waits for as long as somebody is frozen; a process lives on meanwhile.
    fn stands_while_frozen(&mut self, role: &str, number: usize) {
        let ended = tokio::task::block_in_place(|| self.cluster.one(role, number).ends_within(FROZEN_S));
        assert!(!ended, "{role} ends");
    }

    /// What is wrong at the end: by the quiescent audit, by the watch that every process kept, by what processes have told, by
    /// the provider's own books, or by what was said and does not lie in Kafka.
    pub(crate) fn faults(&self) -> Vec<String> {
        let gateway = &self.cluster.gateway;
        let (mut report, mut content) = gateway.audit();
        // What is still on its way settles by and by; what never does is a fault.
        for _ in 0..AUDITS_MAX {
            if content {
                break;
            }
            (report, content) = gateway.audit();
        }
        let mut faults: Vec<String> = Vec::new();
        if !content {
            faults.push(format!("{report:#}"));
        }
        for server in self.cluster.servers() {
            faults.extend(server.told(&["an invariant"]));
            faults.extend(server.told(&["ERROR"]));
        }
        faults.extend(faults_of_books(&self.bank));
        faults.extend(self.unrelayed());
        faults
    }

    /// The logs of which something never comes to lie in Kafka, and events that lie aside.
    fn unrelayed(&self) -> Vec<String> {
        let gateway = &self.cluster.gateway;
        let header = bearer(&gateway.admin_token());
        let read = |path: &str| match gateway.request("GET", path, &header, "") {
            Some((200, answer)) => answer["items"].as_array().cloned().unwrap_or_default(),
            _ => vec![Value::Null],
        };
        let behind = |log: &Value| log["relayed"].is_null() || log["relayed"] != log["last"];
        let mut logs = Vec::new();
        for _ in 0..LOOKS_MAX {
            logs = read("/v1/admin/log");
            logs.retain(behind);
            if logs.is_empty() {
                break;
            }
        }
        let unrelayed = logs.iter().map(|log| format!("not all of it lies in Kafka: {log}"));
        let letters = read("/v1/admin/dead-letters");
        unrelayed.chain(letters.iter().map(|letter| format!("an event lies aside: {letter}"))).collect()
    }

    /// How many orders there are, as far as the shop answers.
    pub(crate) fn orders(&self, token: &str) -> usize {
        tokio::task::block_in_place(|| self.cluster.gateway.orders(token))
    }
}
