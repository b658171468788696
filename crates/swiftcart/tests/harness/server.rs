//! A shop as a process in a directory of its own, and the other commands against it.
//! Leaves its life to `process`.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output, Stdio};

use serde_json::Value;

use super::process::{Log, Process, free_address, swiftcart};
use super::requests::{request, text_of};

/// How often it is asked how far the audit has looked, before that counts as nowhere.
const LOOKS_MAX: u32 = 100_000;

/// A watch that looks often enough to meet what happens in a test.
const AWAKE: [(&str, &str); 4] = [
    ("SWIFTCART__AUDIT__PAGE_PAUSE_MS", "20"),
    ("SWIFTCART__AUDIT__SHARE_MAX_PERCENT", "20"),
    ("SWIFTCART__AUDIT__INSTANTS_EVERY_MS", "200"),
    ("SWIFTCART__AUDIT__SWEEP_EVERY_MS", "500"),
];

/// The baskets that come with the program.
pub(crate) fn baskets() -> String {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../examples/baskets.csv").display().to_string()
}

/// Everything that a command said.
pub(crate) fn said(output: &Output) -> String {
    format!("{}\n{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// A shop as a process.
pub(crate) struct Server {
    process: Process,
    address: String,
    data: PathBuf,
    arguments: Vec<String>,
    log: Log,
}

impl Server {
    /// Starts a shop with its data in `data`, and waits until it says that it is open.
    pub(crate) fn start(data: &Path, arguments: &[&str]) -> Self {
        Self::start_at(free_address(), data, arguments)
    }

    /// The same at an address that somebody knows already.
    pub(crate) fn start_at(address: String, data: &Path, arguments: &[&str]) -> Self {
        let server = Self::try_start(address, data, arguments, &[]);
        assert!(server.is_open(), "the server ended before it was open");
        server
    }

    /// Starts a shop at `address` with this environment, and waits until it is open or has ended.
    pub(crate) fn try_start(address: String, data: &Path, arguments: &[&str], environment: &[(String, String)]) -> Self {
        let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        let environment: Vec<(&str, &str)> = environment.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let log = Log::default();
        let process = open(data, &address, &arguments, &environment, &log);
        Self { process, address, data: data.to_owned(), arguments, log }
    }

    /// Whether it was open before it ended, if it has.
    pub(crate) fn is_open(&self) -> bool {
        self.process.open
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn logins(&self) -> PathBuf {
        self.data.join("logins.json")
    }

    /// Kills it as a power cut would, and starts it again at the same address.
    pub(crate) fn kill_and_restart(&mut self) {
        assert!(self.restart_with(&[]), "the server ended before it was open");
    }

    /// Kills it, unless it is dead already, and starts it again with more environment. Says whether it was open before it
    /// ended, if it has.
    pub(crate) fn restart_with(&mut self, environment: &[(&str, &str)]) -> bool {
        self.process.kill();
        self.process = open(&self.data, &self.address, &self.arguments, environment, &self.log);
        self.is_open()
    }

    /// What it has told, in any of its lives, that holds all of `words`.
    pub(crate) fn told(&self, words: &[&str]) -> Vec<String> {
        self.log.told(words)
    }

    /// Waits until it has ended by itself; says whether it did within the time.
    pub(crate) fn ends_within(&self, seconds: u64) -> bool {
        self.process.ends_within(seconds)
    }

    /// Sends it a signal, as `STOP`.
    pub(crate) fn signal(&self, signal: &str) {
        self.process.signal(signal);
    }

    /// Kills it as a power cut would, unless it is dead.
    pub(crate) fn kill(&mut self) {
        self.process.kill();
    }

    /// Asks it to stop, as a supervisor would, and waits for its end.
    pub(crate) fn stop(&mut self) -> ExitStatus {
        self.process.stop()
    }

    /// `load` with these arguments against this server and `others`.
    pub(crate) fn load(&self, others: &[&Self], arguments: &[&str]) -> Output {
        self.loading(others, arguments).output().expect("load runs")
    }

    /// The command of [`Server::load`], to be run beside what happens to the servers.
    pub(crate) fn loading(&self, others: &[&Self], arguments: &[&str]) -> Command {
        let mut command = swiftcart();
        command.arg("load").args(arguments).arg("--logins").arg(self.logins());
        for server in [self].iter().chain(others) {
            command.arg("--url").arg(server.url());
        }
        command.stdin(Stdio::null());
        command
    }

    /// The quiescent audit, as JSON, and whether it was content.
    pub(crate) fn audit(&self) -> (Value, bool) {
        let mut command = swiftcart();
        command.args(["audit", "--quiescent", "--json", "--url", &self.url(), "--logins"]).arg(self.logins());
        let output = command.output().expect("audit runs");
        let report = serde_json::from_slice(&output.stdout);
        let report = report.unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
        (report, output.status.success())
    }

    /// The admin's token.
    pub(crate) fn admin_token(&self) -> String {
        let logins: Value = serde_json::from_slice(&std::fs::read(self.logins()).expect("logins")).expect("logins are JSON");
        let body = serde_json::json!({ "email": logins["admin"]["email"], "password": logins["admin"]["password"] }).to_string();
        let (status, answer) = self.request("POST", "/v1/sign-in", "", &body).expect("sign-in is answered");
        assert_eq!(status, 200, "{answer}");
        answer["token"].as_str().expect("a token").to_owned()
    }

    /// One request; `None` if the server is not there or goes away meanwhile.
    pub(crate) fn request(&self, method: &str, path: &str, headers: &str, body: &str) -> Option<(u16, Value)> {
        request(&self.address, method, path, headers, body)
    }

    /// What an admin reads at `path`, as text.
    pub(crate) fn text(&self, path: &str, token: &str) -> String {
        text_of(&self.address, path, &bearer(token)).expect("an answer")
    }

    /// What the audit of this process has seen.
    pub(crate) fn watch(&self, token: &str) -> Value {
        let (status, watch) = self.request("GET", "/v1/admin/audit/watch", &bearer(token), "").expect("an answer");
        assert_eq!(status, 200, "{watch}");
        watch
    }

    /// How many orders there are, as far as the server answers.
    pub(crate) fn orders(&self, token: &str) -> usize {
        let mut count = 0;
        let mut after = String::new();
        loop {
            let path = format!("/v1/admin/audit/orders/facts?limit=100{after}");
            let Some((200, page)) = self.request("GET", &path, &bearer(token), "") else {
                return count;
            };
            count += page["items"].as_array().map_or(0, Vec::len);
            match page["next"].as_str() {
                Some(next) => after = format!("&after={next}"),
                None => return count,
            }
        }
    }
}

/// The header of whoever is signed in.
pub(crate) fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}\r\n")
}

/// The audit of these processes on one database has looked at everything once more, and in all their lives has found nothing.
pub(crate) fn nothing_was_found(servers: &[&Server]) {
    let tokens: Vec<String> = servers.iter().map(|server| server.admin_token()).collect();
    let sweeps = || -> u64 {
        let watches = servers.iter().zip(&tokens).map(|(server, token)| server.watch(token));
        watches.map(|watch| watch["sweeps"].as_u64().expect("a number")).sum()
    };
    let before = sweeps();
    assert!((0..LOOKS_MAX).any(|_| sweeps() >= before + 2), "the audit does not look");
    for server in servers {
        assert_eq!(server.told(&["an invariant"]), Vec::<String>::new());
    }
}

/// Waits until each lease in the PostgreSQL at `url` is held, or held again, by a process that neither died nor is frozen: one
/// that was renewed by now lives longer than any of before.
pub(crate) async fn until_leases_pass_on(url: &str) {
    let admin = testkit::admin(url).await;
    let newest = "SELECT COALESCE(MAX(until), 0) FROM engine_lease";
    let oldest = "SELECT COALESCE(MIN(until), 0) FROM engine_lease";
    let before: i64 = admin.query_one(newest, &[]).await.expect("leases").get(0);
    while admin.query_one(oldest, &[]).await.expect("leases").get::<_, i64>(0) <= before {
        tokio::task::yield_now().await;
    }
}

/// Brings the PostgreSQL at `url` up to date.
pub(crate) fn migrate(url: &str) {
    let output = swiftcart().args(["migrate", "--database", url]).output().expect("migrate runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn open(data: &Path, address: &str, arguments: &[String], environment: &[(&str, &str)], log: &Log) -> Process {
    let mut command = swiftcart();
    command.arg("serve").arg("--data").arg(data).args(["--listen", address]).args(arguments);
    command.envs(AWAKE).envs(environment.iter().copied());
    Process::start(command, "SwiftCart is open at", log)
}
