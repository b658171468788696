//! A shop whose roles have processes of their own, behind a gateway: started from one file of settings, any number of each.
//! Leaves the life of each process to `server`, and what is expected of them to the suites.

use std::collections::BTreeMap;
use std::fmt::Write;

use tempfile::TempDir;

use super::process::{free_address, swiftcart};
use super::server::{Server, said};

/// What has processes of its own, besides the gateway; the provider that is built in rides with payments.
pub(crate) const ROLES: [&str; 7] = ["identity", "catalog", "orders", "inventory", "payments", "delivery", "notifications"];

/// By what its processes know each other.
pub(crate) const INTERNAL_KEY: &str = "the-key-of-this-cluster";

/// How often it is looked whether the sample shop is made, before that counts as never.
const LOOKS_MAX: u32 = 1_000_000;

/// A shop in the making.
pub(crate) struct Topology<'a> {
    /// The PostgreSQL that all share, which is up to date.
    pub(crate) database: &'a str,
    /// Roles that have a PostgreSQL of their own instead.
    pub(crate) apart: &'a [(&'static str, String)],
    /// How many processes of each role.
    pub(crate) copies: usize,
    /// The address of the Kafka by which they hear each other; without one they read each other's outboxes.
    pub(crate) kafka: Option<&'a str>,
    /// More settings, as lines of TOML that begin in the section `[peers]`: none that a cluster sets itself.
    pub(crate) settings: &'a str,
}

/// A shop of many processes.
pub(crate) struct Cluster {
    /// Where clients come in.
    pub(crate) gateway: Server,
    roles: BTreeMap<&'static str, Vec<Server>>,
    /// What every process of it has in its environment.
    environment: Vec<(String, String)>,
    /// The directories, which go last.
    _directories: Vec<TempDir>,
}

impl Cluster {
    /// Starts every role and the gateway, and waits until the sample shop is made.
    pub(crate) fn start(topology: &Topology<'_>) -> Self {
        Self::start_at(free_address(), topology, &[])
    }

    /// The same with a gateway at an address that somebody knows already, and more in the environment of each process.
    pub(crate) fn start_at(gateway: String, topology: &Topology<'_>, environment: &[(&str, &str)]) -> Self {
        let cluster = Self::start_roles(gateway, topology, environment);
        // Each look is a request, so that the processes get on meanwhile.
        let made = || cluster.gateway.logins().exists() || cluster.gateway.request("GET", "/livez", "", "").is_none();
        assert!((0..LOOKS_MAX).any(|_| made()) && cluster.gateway.logins().exists(), "the sample shop is made");
        cluster
    }

    fn start_roles(gateway: String, topology: &Topology<'_>, environment: &[(&str, &str)]) -> Self {
        let environment: Vec<(String, String)> =
            environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let addresses = ROLES.map(|role| (role, (0..topology.copies).map(|_| free_address()).collect::<Vec<_>>()));
        let settings = settings_of(topology, &addresses);
        if topology.kafka.is_some() {
            ensure_topics(&settings, &environment);
        }
        let start = |role: &str, number: usize, address: String| {
            let directory = tempfile::tempdir().expect("a directory");
            let config = directory.path().join("settings.toml");
            let member = topology.kafka.map(|_| format!("member = \"{role}-{number}\"\n")).unwrap_or_default();
            std::fs::write(&config, format!("{settings}{member}")).expect("a file");
            let config = config.display().to_string();
            let mut arguments = vec!["--config", config.as_str(), "--role", role];
            let own = topology.apart.iter().find(|(of, _)| *of == role);
            arguments.extend(own.iter().flat_map(|(_, url)| ["--database", url.as_str()]));
            let server = Server::try_start(address, directory.path(), &arguments, &environment);
            assert!(server.is_open(), "{role} ended before it was open");
            (server, directory)
        };
        let mut directories = Vec::new();
        let mut keep = |(server, directory): (Server, TempDir)| {
            directories.push(directory);
            server
        };
        let mut roles: BTreeMap<&'static str, Vec<Server>> = BTreeMap::new();
        // Each waits for much while it starts: so all do at once.
        let gateway = std::thread::scope(|scope| {
            let start = &start;
            let gateway = scope.spawn(move || start("gateway", 0, gateway));
            let starting: Vec<_> = addresses
                .into_iter()
                .flat_map(|(role, addresses)| addresses.into_iter().enumerate().map(move |(at, address)| (role, at, address)))
                .map(|(role, number, address)| (role, scope.spawn(move || start(role, number, address))))
                .collect();
            for (role, started) in starting {
                roles.entry(role).or_default().push(keep(started.join().expect("it starts")));
            }
            keep(gateway.join().expect("it starts"))
        });
        Self { gateway, roles, environment, _directories: directories }
    }

    /// The first process of a role, or the gateway.
    pub(crate) fn process(&self, role: &str) -> &Server {
        if role == "gateway" { &self.gateway } else { &self.roles[role][0] }
    }

    /// One process of a role, or the gateway, which there is once.
    pub(crate) fn one(&mut self, role: &str, number: usize) -> &mut Server {
        if role == "gateway" { &mut self.gateway } else { &mut self.roles.get_mut(role).expect("a role")[number] }
    }

    /// Kills a process, unless it is dead, and starts it again with `more` environment; says whether it was open before it
    /// ended, if it has.
    pub(crate) fn restart(&mut self, role: &str, number: usize, more: &[(&str, &str)]) -> bool {
        let environment = self.environment.clone();
        let usual = environment.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let environment: Vec<(&str, &str)> = usual.chain(more.iter().copied()).collect();
        self.one(role, number).restart_with(&environment)
    }

    /// All processes.
    pub(crate) fn servers(&self) -> impl Iterator<Item = &Server> {
        self.roles.values().flatten().chain([&self.gateway])
    }

    /// The audit has looked at everything once more, and in the lives of all processes has found nothing.
    pub(crate) fn nothing_was_found(&self) {
        let token = self.gateway.admin_token();
        let sweeps = || self.gateway.watch(&token)["sweeps"].as_u64().expect("a number");
        let before = sweeps();
        assert!((0..LOOKS_MAX).any(|_| sweeps() >= before + 2), "the audit does not look");
        for server in self.servers() {
            assert_eq!(server.told(&["an invariant"]), Vec::<String>::new());
        }
    }
}

fn settings_of(topology: &Topology<'_>, addresses: &[(&str, Vec<String>)]) -> String {
    let mut text = format!(
        "[server]\ndatabase = \"{}\"\ndatabase_connections = 6\ninternal_key = \"{INTERNAL_KEY}\"\n[peers]\n",
        topology.database
    );
    for (role, addresses) in addresses {
        let urls: Vec<String> = addresses.iter().map(|address| format!("http://{address}")).collect();
        // A string takes whatever is written to it.
        let _ = writeln!(text, "{role} = {urls:?}");
    }
    text += topology.settings;
    if let Some(kafka) = topology.kafka {
        let prefix = testkit::topic_prefix();
        text += &format!("\n[log]\nkind = \"kafka\"\n[kafka]\nservers = \"{kafka}\"\nprefix = \"{prefix}\"\nsession_ms = 6000\n");
    }
    text
}

/// Makes the topics that settings ask for.
fn ensure_topics(settings: &str, environment: &[(String, String)]) {
    let directory = tempfile::tempdir().expect("a directory");
    let config = directory.path().join("topics.toml");
    std::fs::write(&config, settings).expect("a file");
    let mut command = swiftcart();
    command.args(["topics", "ensure", "--config"]).arg(&config).envs(environment.iter().cloned());
    let output = command.output().expect("topics runs");
    assert!(output.status.success(), "{}", said(&output));
}
