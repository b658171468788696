//! The settings: the defaults embedded in the binary, a file over them, the environment over both, the command line over all.
//! Unknown names and wrong values are errors, and all of them are told at once. Leaves what a setting means to its service.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use kernel::{Buckets, Millis};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use toml::{Table, Value};

use crate::cli::{Place, Serve};
use crate::peers;
use crate::roles::Roles;

/// Every setting with its default and its comment.
const DEFAULTS: &str = include_str!("../../../swiftcart.default.toml");

/// Before every setting in the environment; `__` parts section and name.
const ENVIRONMENT: &str = "SWIFTCART__";

/// The settings of the program itself.
#[derive(Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Server {
    pub(crate) roles: Vec<String>,
    pub(crate) internal_key: String,
    pub(crate) listen: SocketAddr,
    pub(crate) metrics_listen: String,
    pub(crate) data: PathBuf,
    pub(crate) database: String,
    pub(crate) database_connections: usize,
    pub(crate) buckets: u16,
    pub(crate) requests_max: usize,
    pub(crate) waits_max: usize,
    pub(crate) connections_max: usize,
    pub(crate) deadline_ms: Millis,
    pub(crate) announce_ms: Millis,
    pub(crate) drain_ms: Millis,
    pub(crate) log: String,
}

/// The same with the secret left out.
impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("roles", &self.roles).field("listen", &self.listen).finish_non_exhaustive()
    }
}

/// All settings.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) server: Server,
    pub(crate) peers: peers::Config,
    pub(crate) log: log::Config,
    pub(crate) kafka: log::KafkaConfig,
    pub(crate) identity: identity::Config,
    pub(crate) catalog: catalog::Config,
    pub(crate) orders: orders::Config,
    pub(crate) inventory: inventory::Config,
    pub(crate) payments: payments::Config,
    pub(crate) sandbox: sandbox::Config,
    pub(crate) delivery: delivery::Config,
    pub(crate) notifications: notifications::Config,
    pub(crate) audit: audit::Config,
}

impl Settings {
    /// The settings of a server.
    pub(crate) fn of_serve(serve: &Serve) -> anyhow::Result<Self> {
        let mut settings = Self::of_place(&serve.place)?;
        if let Some(listen) = serve.listen {
            settings.server.listen = listen;
        }
        if !serve.roles.is_empty() {
            settings.server.roles.clone_from(&serve.roles);
        }
        told(&settings.misfits())?;
        Ok(settings)
    }

    /// The settings of a command that only needs to know where the data is.
    pub(crate) fn of_place(place: &Place) -> anyhow::Result<Self> {
        let file = place.config.as_deref().map(read_file).transpose()?;
        let mut settings = Self::layered(file, environment())?;
        if let Some(data) = &place.data {
            settings.server.data.clone_from(data);
        }
        if let Some(database) = &place.database {
            settings.server.database.clone_from(database);
        }
        told(&settings.server.validate())?;
        Ok(settings)
    }

    fn layered(file: Option<Table>, environment: Vec<(String, String)>) -> anyhow::Result<Self> {
        let mut wrong = Vec::new();
        let mut all: Table = DEFAULTS.parse().context("the embedded defaults are broken")?;
        if let Some(file) = file {
            lay_over(&mut all, file, "", &mut wrong);
        }
        for (name, text) in environment {
            set(&mut all, &name, &text, &mut wrong);
        }
        let server = section::<Server>(&all, "server", Server::validate, &mut wrong);
        let peers = section(&all, "peers", peers::Config::validate, &mut wrong);
        let log = section(&all, "log", log::Config::validate, &mut wrong);
        let kafka = section(&all, "kafka", log::KafkaConfig::validate, &mut wrong);
        let identity = section(&all, "identity", identity::Config::validate, &mut wrong);
        let catalog = section(&all, "catalog", catalog::Config::validate, &mut wrong);
        let orders = section(&all, "orders", orders::Config::validate, &mut wrong);
        let inventory = section(&all, "inventory", inventory::Config::validate, &mut wrong);
        let payments = section(&all, "payments", payments::Config::validate, &mut wrong);
        let sandbox = section(&all, "sandbox", sandbox::Config::validate, &mut wrong);
        let delivery = section(&all, "delivery", delivery::Config::validate, &mut wrong);
        let notifications = section(&all, "notifications", notifications::Config::validate, &mut wrong);
        let audit = section(&all, "audit", audit::Config::validate, &mut wrong);
        told(&wrong)?;
        let missing = "a section without faults has a value";
        let mut settings = Self {
            server: server.context(missing)?,
            peers: peers.context(missing)?,
            log: log.context(missing)?,
            kafka: kafka.context(missing)?,
            identity: identity.context(missing)?,
            catalog: catalog.context(missing)?,
            orders: orders.context(missing)?,
            inventory: inventory.context(missing)?,
            payments: payments.context(missing)?,
            sandbox: sandbox.context(missing)?,
            delivery: delivery.context(missing)?,
            notifications: notifications.context(missing)?,
            audit: audit.context(missing)?,
        };
        // One number of the shop, which every service that makes ids needs.
        for buckets in [
            &mut settings.identity.buckets,
            &mut settings.catalog.buckets,
            &mut settings.orders.buckets,
            &mut settings.delivery.buckets,
        ] {
            *buckets = Buckets::new(settings.server.buckets).unwrap_or_default();
        }
        Ok(settings)
    }

    /// What does not fit together, with the reason.
    fn misfits(&self) -> Vec<String> {
        let roles = match self.server.roles() {
            Ok(roles) => roles,
            Err(wrong) => return vec![wrong],
        };
        let mut wrong = Vec::new();
        if self.server.database.is_empty() && roles.have_services() {
            if !roles.are_all() {
                let why = "the embedded database is one file that one process holds, so all roles are in that process: leave \
                           --role out, or give the PostgreSQL that the roles share as --database";
                wrong.push(format!("server.roles: {why}"));
            }
            if self.log.kind == log::Way::Kafka {
                let why = "the embedded database is one process, whose services hear each other in it: set it to \"outbox\", or \
                           give a PostgreSQL as --database";
                wrong.push(format!("log.kind: {why}"));
            }
        }
        if roles.are_all() {
            return wrong;
        }
        if self.server.internal_key.is_empty() {
            let why = "by it the processes of a shop know each other; give all of them the same secret of 16 to 256 characters";
            wrong.push(format!("server.internal_key: {why}"));
        }
        for service in roles.elsewhere().filter(|service| self.peers.of(service).is_empty()) {
            wrong.push(format!(
                "peers.{service}: this process is not {service}; say where it answers, as [\"http://127.0.0.1:4001\"]"
            ));
        }
        wrong
    }

    /// The settings of a shop that sets nothing.
    #[cfg(test)]
    pub(crate) fn defaults() -> anyhow::Result<Self> {
        Self::layered(None, Vec::new())
    }
}

impl Server {
    /// What this process is.
    pub(crate) fn roles(&self) -> Result<Roles, String> {
        Roles::named(&self.roles).map_err(|wrong| format!("server.roles: {wrong}"))
    }

    fn validate(&self) -> Vec<String> {
        let mut wrong: Vec<String> = self.roles().err().into_iter().collect();
        let visible = self.internal_key.bytes().all(|byte| byte.is_ascii_graphic());
        let length = self.internal_key.len();
        if length > 0 && !(visible && (16..=256).contains(&length)) {
            wrong.push("server.internal_key must have 16 to 256 visible ASCII characters, or be empty".to_owned());
        }
        if !(0..=600_000).contains(&self.announce_ms) {
            wrong.push("server.announce_ms must be from 0 to 600000".to_owned());
        }
        let counts = [
            ("database_connections", self.database_connections),
            ("requests_max", self.requests_max),
            ("waits_max", self.waits_max),
            ("connections_max", self.connections_max),
        ];
        for (name, _) in counts.iter().filter(|(_, value)| *value == 0) {
            wrong.push(format!("server.{name} must be 1 or more"));
        }
        for (name, _) in [("deadline_ms", self.deadline_ms), ("drain_ms", self.drain_ms)]
            .iter()
            .filter(|(_, value)| !(100..=600_000).contains(value))
        {
            wrong.push(format!("server.{name} must be from 100 to 600000"));
        }
        if Buckets::new(self.buckets).is_none() {
            wrong.push(format!("server.buckets must be a power of two of at most {}", Buckets::MAX));
        }
        if !self.metrics_listen.is_empty() && self.metrics_listen.parse::<SocketAddr>().is_err() {
            wrong.push("server.metrics_listen must be an address as 127.0.0.1:9100, or empty".to_owned());
        }
        if !self.database.is_empty() && !self.database.starts_with("postgres://") && !self.database.starts_with("postgresql://") {
            wrong.push("server.database must begin with postgres:// or be empty for the embedded database".to_owned());
        }
        wrong
    }
}

/// Refuses if anything is wrong, and says all of it.
fn told(wrong: &[String]) -> anyhow::Result<()> {
    if wrong.is_empty() {
        return Ok(());
    }
    bail!("the settings are wrong:\n  {}", wrong.join("\n  "))
}

fn read_file(path: &Path) -> anyhow::Result<Table> {
    let text = std::fs::read_to_string(path).with_context(|| format!("the settings file {} cannot be read", path.display()))?;
    text.parse().with_context(|| format!("the settings file {} is not TOML", path.display()))
}

#[allow(clippy::disallowed_methods, reason = "this is where the environment comes in")]
fn environment() -> Vec<(String, String)> {
    std::env::vars()
        .filter_map(|(name, value)| name.strip_prefix(ENVIRONMENT).map(|name| (name.to_lowercase().replace("__", "."), value)))
        .collect()
}

/// Lays `over` on `under`, whose names are all there are.
fn lay_over(under: &mut Table, over: Table, path: &str, wrong: &mut Vec<String>) {
    for (name, value) in over {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        match (under.get_mut(&name), value) {
            (None, _) => wrong.push(format!("{path} is not a setting")),
            (Some(Value::Table(under)), Value::Table(over)) => lay_over(under, over, &path, wrong),
            (Some(Value::Table(_)), _) => wrong.push(format!("{path} is a section of settings")),
            (Some(slot), value) if slot.type_str() == value.type_str() => *slot = value,
            (Some(slot), value) => wrong.push(format!("{path} must be of type {}, not {}", slot.type_str(), value.type_str())),
        }
    }
}

/// Sets what the environment names, read as the type that the default has.
fn set(all: &mut Table, path: &str, text: &str, wrong: &mut Vec<String>) {
    let Some(slot) = slot(all, path) else {
        wrong.push(format!("{ENVIRONMENT}{} is not a setting", path.to_uppercase().replace('.', "__")));
        return;
    };
    let value = match slot {
        Value::String(_) => Some(Value::String(text.to_owned())),
        Value::Integer(_) => text.parse().ok().map(Value::Integer),
        Value::Float(_) => text.parse().ok().map(Value::Float),
        Value::Boolean(_) => text.parse().ok().map(Value::Boolean),
        Value::Array(_) => Some(Value::Array(listed(text).map(Value::from).collect())),
        _ => None,
    };
    match value {
        Some(value) => *slot = value,
        None => wrong.push(format!("{path} must be of type {}", slot.type_str())),
    }
}

/// The items of a list as the environment holds it, with commas between them.
fn listed(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty())
}

/// The setting at `path`, which names its sections and itself.
fn slot<'a>(table: &'a mut Table, path: &str) -> Option<&'a mut Value> {
    match path.split_once('.') {
        Some((section, rest)) => slot(table.get_mut(section)?.as_table_mut()?, rest),
        None => table.get_mut(path),
    }
}

/// The section `name`, with what is wrong in it.
fn section<T: DeserializeOwned>(
    all: &Table,
    name: &str,
    validate: impl Fn(&T) -> Vec<String>,
    wrong: &mut Vec<String>,
) -> Option<T> {
    let table = all.get(name).and_then(Value::as_table).cloned().unwrap_or_default();
    match T::deserialize(Value::Table(table)) {
        Ok(section) => {
            wrong.extend(validate(&section));
            Some(section)
        }
        Err(error) => {
            wrong.push(format!("{name}: {}", error.to_string().trim()));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_file_says_what_the_services_default_to() {
        let settings = Settings::layered(None, Vec::new()).unwrap();
        assert_eq!(settings.identity, identity::Config::default());
        assert_eq!(settings.catalog, catalog::Config::default());
        assert_eq!(settings.orders, orders::Config::default());
        assert_eq!(settings.inventory, inventory::Config::default());
        assert_eq!(settings.payments, payments::Config::default());
        assert_eq!(settings.sandbox, sandbox::Config::default());
        assert_eq!(settings.delivery, delivery::Config::default());
        assert_eq!(settings.notifications, notifications::Config::default());
        assert_eq!(settings.audit, audit::Config::default());
    }

    #[test]
    fn everything_wrong_is_told_at_once() {
        let file: Table = "colour = 1\n[server]\nlisten = 5\nport = 80\n[payments]\ncalls_max = 0".parse().unwrap();
        let environment = vec![("orders.quote_ttl_ms".to_owned(), "soon".to_owned()), ("shop.name".to_owned(), "x".to_owned())];
        let told = Settings::layered(Some(file), environment).unwrap_err().to_string();
        for part in [
            "colour is not a setting",
            "server.listen must be",
            "server.port is not",
            "payments.calls_max must",
            "orders.quote_ttl_ms must",
            "SWIFTCART__SHOP__NAME is not",
        ] {
            assert!(told.contains(part), "{part} in {told}");
        }
    }

    /// What does not fit together in a shop with these settings.
    fn misfits(text: &str) -> String {
        let settings = Settings::layered(Some(text.parse().unwrap()), Vec::new()).unwrap();
        settings.misfits().join("\n")
    }

    const KEY: &str = "internal_key = \"a-key-of-16-chars\"";
    const POSTGRES: &str = "database = \"postgres://me@host/shop\"";

    #[test]
    fn roles_need_a_database_that_can_be_shared_a_key_and_addresses() {
        let told = misfits("[server]\nroles = [\"orders\"]");
        for part in ["one file that one process holds", "--database", "server.internal_key: ", "peers.payments: "] {
            assert!(told.contains(part), "{part} in {told}");
        }
        assert!(!told.contains("peers.orders"), "{told}");
        let peers: Vec<String> =
            crate::roles::SERVICES.iter().map(|service| format!("{service} = [\"http://127.0.0.1:1\"]")).collect();
        let peers = format!("[peers]\n{}", peers.join("\n"));
        assert_eq!(misfits(&format!("[server]\nroles = [\"orders\"]\n{KEY}\n{POSTGRES}\n{peers}")), "");
        assert_eq!(misfits(&format!("[server]\nroles = [\"gateway\"]\n{KEY}\n{peers}")), "", "a gateway has no rows");
        assert_eq!(misfits(""), "");
    }

    #[test]
    fn kafka_needs_a_database_that_can_be_shared() {
        assert!(misfits("[log]\nkind = \"kafka\"").contains("log.kind: the embedded database is one process"));
    }

    #[test]
    fn lists_of_the_environment_have_commas() {
        let environment = [("peers.orders", "http://a:1, http://b:2"), ("server.roles", "orders,gateway"), ("peers.catalog", "")];
        let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let settings = Settings::layered(None, environment).unwrap();
        assert_eq!(settings.peers.of("orders"), ["http://a:1", "http://b:2"]);
        assert_eq!(settings.server.roles, ["orders", "gateway"]);
        assert!(settings.peers.of("catalog").is_empty());
        let wrong = [("peers.orders", "orders:1"), ("server.roles", "till"), ("server.internal_key", "short")];
        let told = Settings::layered(None, wrong.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
        let told = told.unwrap_err().to_string();
        for part in ["peers.orders: `orders:1`", "there is no role `till`; there are: identity", "server.internal_key must have"]
        {
            assert!(told.contains(part), "{part} in {told}");
        }
        assert!(!told.contains("short"), "a secret is not printed: {told}");
    }

    #[test]
    fn the_environment_lies_over_the_file() {
        let file: Table = "[orders]\nquote_ttl_ms = 2000".parse().unwrap();
        let environment = [("orders.quote_ttl_ms", "3000"), ("payments.provider.key", "a-key-of-the-provider")];
        let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let settings = Settings::layered(Some(file), environment).unwrap();
        assert_eq!(settings.orders.quote_ttl_ms, 3000);
        assert_eq!(settings.payments.provider.key, "a-key-of-the-provider");
    }
}
