//! The command line: what can be called and with what. Leaves doing it to `commands`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// Commerce, stock and last-mile delivery in one program. Without a command it serves a shop.
#[derive(Debug, Parser)]
#[command(name = "swiftcart", version, args_conflicts_with_subcommands = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) serve: Serve,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve a shop (what plain `swiftcart` does).
    Serve(Serve),
    /// Bring the tables of a PostgreSQL database up to date.
    Migrate(Place),
    /// Carry a shop from the embedded database to PostgreSQL, while nobody serves it.
    #[command(after_help = PROMOTE_HELP)]
    Promote(Promote),
    /// Check every invariant against a living shop; exit code 1 if one is broken.
    Audit(Audit),
    /// See events that could not be handled, have them tried again, or drop them.
    #[command(subcommand)]
    DeadLetters(DeadLetters),
    /// Rebuild what one service has copied of another, while the shop runs.
    Resync(Resync),
    /// Make the topics that a shop needs in Apache Kafka.
    #[command(subcommand)]
    Topics(Topics),
    /// See how the log of each service travels, or have a part of it sent to Kafka again.
    #[command(subcommand)]
    Log(Log),
    /// Act as shoppers, pickers and couriers against a living shop.
    #[command(subcommand)]
    Load(Load),
    /// Serve a payment provider with books of its own, to try a shop on: no real money moves.
    #[command(after_help = SANDBOX_PROVIDER_EXAMPLE)]
    SandboxProvider(SandboxProvider),
}

/// What promoting does, and what comes after it.
const PROMOTE_HELP: &str = "\
All rows are copied in one transaction and compared; then the embedded database is sealed, and no server opens it again.
Killed at any moment, it is begun again by the same command. The shop goes on, with its logins and whatever is under way, by:
  swiftcart --data DIR --database URL";

/// How the provider and a shop are started together.
const SANDBOX_PROVIDER_EXAMPLE: &str = "\
Example, in two terminals:
  swiftcart sandbox-provider --faults-percent 20
  swiftcart --config sandbox-data/provider.toml

The first one makes the secrets and writes the settings with which a shop pays through it; the second one is that shop.";

/// Where a shop keeps its data and what it is set to.
#[derive(Args, Clone, Debug)]
pub(crate) struct Place {
    /// The directory for the embedded database, logins and locks.
    #[arg(long, env = "SWIFTCART_DATA", value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// A PostgreSQL database, as postgres://user@host/name, instead of the embedded one.
    #[arg(long, env = "SWIFTCART_DATABASE", value_name = "URL", hide_env_values = true)]
    pub(crate) database: Option<String>,
    /// A file of settings; see swiftcart.default.toml for all of them.
    #[arg(long, env = "SWIFTCART_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct Promote {
    /// The PostgreSQL database that the shop is carried to, as postgres://user@host/name: one without a shop.
    #[arg(long, env = "SWIFTCART_PROMOTE_TO", value_name = "URL", hide_env_values = true)]
    pub(crate) to: String,
    /// The directory of the embedded database.
    #[arg(long, env = "SWIFTCART_DATA", value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// A file of settings; see swiftcart.default.toml for all of them.
    #[arg(long, env = "SWIFTCART_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct Serve {
    #[command(flatten)]
    pub(crate) place: Place,
    /// The address to listen on, as 127.0.0.1:8080.
    #[arg(long, env = "SWIFTCART_LISTEN", value_name = "ADDRESS")]
    pub(crate) listen: Option<SocketAddr>,
    /// What this process is; may be repeated. Of none, the whole shop: identity, catalog, orders, inventory, payments, delivery,
    /// notifications, and the gateway in front of them.
    #[arg(long = "role", env = "SWIFTCART_ROLES", value_name = "ROLE", value_delimiter = ',')]
    pub(crate) roles: Vec<String>,
    /// Start empty but for one admin instead of with the sample shop.
    #[arg(long, env = "SWIFTCART_NO_SAMPLE", value_parser = clap::builder::FalseyValueParser::new())]
    pub(crate) no_sample: bool,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct Audit {
    /// Where the shop answers.
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    pub(crate) url: String,
    /// The logins that the shop wrote when it was made.
    #[arg(long, value_name = "FILE", default_value = "swiftcart-data/logins.json")]
    pub(crate) logins: PathBuf,
    /// Demand also that nothing is in flight, and take every order as settled.
    #[arg(long)]
    pub(crate) quiescent: bool,
    /// Print the report as JSON.
    #[arg(long)]
    pub(crate) json: bool,
    /// Print the invariants that are checked, and ask nobody.
    #[arg(long)]
    pub(crate) rules: bool,
}

/// A living shop, spoken to as its admin.
#[derive(Args, Clone, Debug)]
pub(crate) struct AsAdmin {
    /// Where the shop answers.
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    pub(crate) url: String,
    /// The logins that the shop wrote when it was made.
    #[arg(long, value_name = "FILE", default_value = "swiftcart-data/logins.json")]
    pub(crate) logins: PathBuf,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct Resync {
    /// The service whose copy is rebuilt, as orders.
    pub(crate) consumer: String,
    /// The service that owns what was copied, as catalog.
    #[arg(long, value_name = "OWNER")]
    pub(crate) from: String,
    #[command(flatten)]
    pub(crate) shop: AsAdmin,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Topics {
    /// Make those that are missing; refuse those that are not as the shop needs them.
    Ensure(Place),
}

#[derive(Debug, Subcommand)]
pub(crate) enum Log {
    /// Tell for each service its last event, the first that is still kept, and up to where it lies in Kafka.
    Status {
        #[command(flatten)]
        shop: AsAdmin,
    },
    /// Send a service's events to Kafka again from one on; whoever has heard them drops them.
    Republish {
        /// Whose events, as orders.
        service: String,
        /// The number of the first event to send again.
        #[arg(long, value_name = "NUMBER")]
        from: i64,
        #[command(flatten)]
        shop: AsAdmin,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum DeadLetters {
    /// List them: what to call each by, its type, its key, and why it is parked.
    List {
        /// Only those of one service.
        #[arg(long)]
        service: Option<String>,
        #[command(flatten)]
        shop: AsAdmin,
    },
    /// Show one with all it holds.
    Show {
        /// As `list` calls it: service/source/seq.
        letter: Letter,
        #[command(flatten)]
        shop: AsAdmin,
    },
    /// Try it again, and all parked events of its key in their order.
    Retry {
        /// As `list` calls it: service/source/seq.
        letter: Letter,
        #[command(flatten)]
        shop: AsAdmin,
    },
    /// Drop it, and go on with those behind it.
    Drop {
        /// As `list` calls it: service/source/seq.
        letter: Letter,
        /// Why; kept with the event.
        #[arg(long)]
        reason: String,
        #[command(flatten)]
        shop: AsAdmin,
    },
}

/// A parked event by the name that `list` gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Letter(String);

impl std::str::FromStr for Letter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let word = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        let parts: Vec<&str> = text.split('/').collect();
        let sound = parts.len() == 3 && parts.iter().all(|part| word(part)) && parts[2].parse::<i64>().is_ok();
        sound
            .then(|| Self(text.to_owned()))
            .ok_or_else(|| "it is no service/source/seq, as orders/catalog-0a1b2c3d/17".to_owned())
    }
}

impl std::fmt::Display for Letter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Load {
    /// Turn baskets (one a line, item names parted by commas) into orders and carry them to the doorstep.
    Replay(Replay),
    /// Let many buyers at once want more units of one thing than there are.
    Rush(Rush),
}

/// Which shop is loaded, and as whom.
#[derive(Args, Clone, Debug)]
pub(crate) struct Target {
    /// The logins that the shop wrote when it was made.
    #[arg(long, value_name = "FILE", default_value = "swiftcart-data/logins.json")]
    pub(crate) logins: PathBuf,
    /// Where the shop answers; several addresses are used in turn.
    #[arg(long = "url", default_value = "http://127.0.0.1:8080")]
    pub(crate) urls: Vec<String>,
    /// Where chance begins; the same seed makes the same shoppers.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Write the figures here as JSON too.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct Replay {
    /// The baskets.
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) target: Target,
    /// How many shoppers shop at once.
    #[arg(long, default_value_t = 64)]
    pub(crate) shoppers: usize,
    /// Use only so many baskets.
    #[arg(long)]
    pub(crate) limit: Option<usize>,
    /// First make stock of some products and places of some slots scarce, as the admin.
    #[arg(long)]
    pub(crate) scarce: bool,
    /// Let so many of a hundred orders meet a trouble on purpose: another card, a short pick, goods that come back, a refund.
    #[arg(long, value_name = "PERCENT", default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=100))]
    pub(crate) troubles: u64,
    /// For figures of orders alone: every card succeeds, and nothing is verified or audited at the end.
    #[arg(long, conflicts_with_all = ["troubles", "history"])]
    pub(crate) figures_only: bool,
    /// Send so many of a hundred orders once only, answered or not, and look later what became of them.
    #[arg(long, value_name = "PERCENT", default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=100))]
    pub(crate) impatient: u64,
    /// Write what shoppers know of each order here, as JSON, a step a line, and judge it; nobody else may order meanwhile.
    #[arg(long, value_name = "FILE")]
    pub(crate) history: Option<PathBuf>,
    /// After how many seconds without any success to give up.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(i64).range(1..=3600))]
    pub(crate) give_up_after_s: i64,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct Rush {
    #[command(flatten)]
    pub(crate) target: Target,
    /// How many buyers come at once.
    #[arg(long, default_value_t = 500)]
    pub(crate) buyers: usize,
    /// How many units, or places, there are.
    #[arg(long, default_value_t = 100)]
    pub(crate) units: i64,
    /// Rush for the places of one slot instead of the units of one SKU.
    #[arg(long)]
    pub(crate) slot: bool,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct SandboxProvider {
    /// The address to listen on.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:4242")]
    pub(crate) listen: SocketAddr,
    /// The directory for its books.
    #[arg(long, value_name = "DIR", default_value = "sandbox-data")]
    pub(crate) data: PathBuf,
    /// Where the shop hears of changes.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080/v1/webhooks/sandbox")]
    pub(crate) webhook_url: String,
    /// What the shop is to show as `Sandbox-Key`, 16 to 256 characters; made and kept if it is not given.
    #[arg(long, env = "SWIFTCART_SANDBOX_KEY", hide_env_values = true, value_parser = secret)]
    pub(crate) key: Option<String>,
    /// What webhooks are signed with, 16 to 256 characters; made and kept if it is not given.
    #[arg(long, env = "SWIFTCART_SANDBOX_WEBHOOK_SECRET", hide_env_values = true, value_parser = secret)]
    pub(crate) webhook_secret: Option<String>,
    /// How many of a hundred requests, and of a hundred webhooks, go wrong; as they last did if it is not given.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(0..=100))]
    pub(crate) faults_percent: Option<u64>,
    /// Where the chance of faults begins.
    #[arg(long, value_name = "S", requires = "faults_percent", default_value_t = 1)]
    pub(crate) faults_seed: u64,
    /// A file of settings, of which [sandbox] and server.log count here.
    #[arg(long, env = "SWIFTCART_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

/// A secret that may stand in a header and cannot be guessed.
fn secret(text: &str) -> Result<String, String> {
    let sound = (16..=256).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    if sound { Ok(text.to_owned()) } else { Err("16 to 256 visible ASCII characters are wanted".to_owned()) }
}
