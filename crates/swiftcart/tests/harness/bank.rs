//! The payment provider as a process. Leaves its life to `process`, and what a shop makes of its answers to the shop.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::process::{Process, free_address, swiftcart};
use super::requests::request;

/// A provider that runs.
pub(crate) struct Bank {
    process: Process,
    address: String,
    data: PathBuf,
    arguments: Vec<String>,
}

impl Bank {
    /// Starts a provider with its books in `data` that tells the shop at the address `shop` of changes.
    pub(crate) fn start(data: &Path, shop: &str, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let url = format!("http://{shop}/v1/webhooks/sandbox");
        let arguments: Vec<String> =
            ["--webhook-url", &url].iter().chain(arguments).map(|argument| (*argument).to_owned()).collect();
        let (address, data) = (free_address(), data.to_owned());
        let process = open(&data, &address, &arguments, environment);
        assert!(process.open, "the provider ended before it was open");
        Self { process, address, data, arguments }
    }

    /// What it said until it was open.
    pub(crate) fn said(&self) -> &str {
        &self.process.said
    }

    /// The settings with which a shop pays through it.
    pub(crate) fn settings(&self) -> PathBuf {
        self.data.join("provider.toml")
    }

    /// The key with which it is asked.
    pub(crate) fn key(&self) -> String {
        let settings = std::fs::read_to_string(self.settings()).expect("the settings of the shop");
        let table: toml::Table = settings.parse().expect("TOML");
        table["payments"]["provider"]["key"].as_str().expect("a key").to_owned()
    }

    /// Kills it as a power cut would, unless it is dead, and starts it again at the same address.
    pub(crate) fn restart(&mut self, environment: &[(&str, &str)]) {
        self.process.kill();
        self.process = open(&self.data, &self.address, &self.arguments, environment);
    }

    /// Waits until it has ended by itself; says whether it did within the time.
    pub(crate) fn ends_within(&self, seconds: u64) -> bool {
        self.process.ends_within(seconds)
    }

    /// The sums of its books, as whoever holds `key` reads them.
    pub(crate) fn books(&self, key: &str) -> (u16, Value) {
        let header = format!("Sandbox-Key: {key}\r\n");
        request(&self.address, "GET", "/sandbox/v1/books", &header, "").expect("the provider answers")
    }
}

fn open(data: &Path, address: &str, arguments: &[String], environment: &[(&str, &str)]) -> Process {
    let mut command = swiftcart();
    command.arg("sandbox-provider").arg("--data").arg(data).args(["--listen", address]).args(arguments);
    command.envs(environment.iter().copied());
    Process::start(command, "The sandbox provider is open at")
}
