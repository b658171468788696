//! The sandbox provider as a process of its own, which fails as often as it is told to.
//! Leaves what a shop makes of that to the shop.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use serde_json::Value;

use crate::server::{free_address, request, swiftcart};

/// What shop and provider know of each other.
const KEY: &str = "key-of-the-crash-suite";
const SECRET: &str = "secret-of-the-crash-suite";

/// A provider that runs.
pub(crate) struct Provider {
    child: Child,
    /// Disconnected when the process has ended.
    alive: Receiver<()>,
    address: String,
    data: PathBuf,
    arguments: Vec<String>,
}

impl Provider {
    /// Starts a provider that keeps its books in `data`, sends webhooks to `shop`, and fails so many of a hundred times.
    pub(crate) fn start(data: &Path, shop: &str, faults: (u64, u64), environment: &[(&str, &str)]) -> Self {
        let address = free_address();
        let (percent, seed) = (faults.0.to_string(), faults.1.to_string());
        let webhooks = format!("{shop}/v1/webhooks/sandbox");
        let arguments = ["--webhook-url", &webhooks, "--key", KEY, "--webhook-secret", SECRET, "--faults-percent", &percent];
        let arguments = arguments.into_iter().chain(["--faults-seed", &seed]).map(str::to_owned).collect();
        let (child, alive) = spawn(data, &address, &arguments, environment);
        Self { child, alive, address, data: data.to_owned(), arguments }
    }

    /// Kills it, unless it is dead already, and starts it again with this environment.
    pub(crate) fn restart(&mut self, environment: &[(&str, &str)]) {
        // It may have ended already.
        let _ = self.child.kill();
        self.child.wait().expect("its end");
        (self.child, self.alive) = spawn(&self.data, &self.address, &self.arguments, environment);
    }

    /// Waits until it has ended by itself; says whether it did within the time.
    pub(crate) fn ends_within(&self, seconds: u64) -> bool {
        self.alive.recv_timeout(Duration::from_secs(seconds)) == Err(RecvTimeoutError::Disconnected)
    }

    /// The settings by which a shop finds it.
    pub(crate) fn settings(&self) -> [(String, String); 3] {
        let setting = |name: &str, value: String| (format!("SWIFTCART__PAYMENTS__PROVIDER__{name}"), value);
        [
            setting("URL", format!("http://{}", self.address)),
            setting("KEY", KEY.to_owned()),
            setting("WEBHOOK_SECRET", SECRET.to_owned()),
        ]
    }

    /// Its own books, summed up.
    pub(crate) fn books(&self) -> Value {
        let header = format!("Sandbox-Key: {KEY}\r\n");
        let (status, books) = request(&self.address, "GET", "/sandbox/v1/books", &header, "").expect("the provider answers");
        assert_eq!(status, 200, "{books}");
        books
    }
}

/// Starts a provider and waits until it is open or has ended; what comes with it tells its end.
fn spawn(data: &Path, address: &str, arguments: &Vec<String>, environment: &[(&str, &str)]) -> (Child, Receiver<()>) {
    let mut command = swiftcart();
    command.args(["sandbox-provider", "--listen", address, "--data"]).arg(data).args(arguments);
    command.envs(environment.iter().copied()).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = command.spawn().expect("the provider starts");
    let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
    lines.by_ref().map_while(Result::ok).any(|line| line.contains(address));
    let (end, alive) = channel();
    std::thread::spawn(move || {
        lines.map_while(Result::ok).for_each(drop);
        drop::<Sender<()>>(end);
    });
    (child, alive)
}

impl Drop for Provider {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
