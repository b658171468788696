//! The sandbox provider as a process of its own, which fails as often as it is told to.
//! Leaves what a shop makes of that to the shop.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};

use serde_json::Value;

use crate::server::{free_address, request, swiftcart};

/// What shop and provider know of each other.
const KEY: &str = "key-of-the-crash-suite";
const SECRET: &str = "secret-of-the-crash-suite";

/// A provider that runs.
pub(crate) struct Provider {
    child: Child,
    address: String,
}

impl Provider {
    /// Starts a provider that keeps its books in `data`, sends webhooks to `shop`, and fails so many of a hundred times.
    pub(crate) fn start(data: &Path, shop: &str, faults_percent: u64, seed: u64) -> Self {
        let address = free_address();
        let mut command = swiftcart();
        command.args(["sandbox-provider", "--listen", &address, "--data"]).arg(data);
        command.args(["--webhook-url", &format!("{shop}/v1/webhooks/sandbox"), "--key", KEY, "--webhook-secret", SECRET]);
        command.args(["--faults-percent", &faults_percent.to_string(), "--faults-seed", &seed.to_string()]);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("the provider starts");
        let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        let open = lines.by_ref().map_while(Result::ok).any(|line| line.contains(&address));
        assert!(open, "the provider ended before it was open: {:?}", child.wait());
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        Self { child, address }
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

impl Drop for Provider {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
