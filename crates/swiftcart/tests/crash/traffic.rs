//! Shoppers, pickers, couriers and managers who go on whatever happens, half of their orders with a trouble of their own.
//! Leaves what happens to the processes to the tests.

use std::path::Path;
use std::process::{Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use crate::harness::{baskets, said, swiftcart};

/// How many baskets one round has.
const BASKETS: &str = "30";
/// How many of a hundred orders meet a trouble.
const TROUBLES: &str = "50";
/// How many of a hundred are sent once only, and looked for later.
const IMPATIENT: &str = "20";

/// Rounds of baskets, one after the other, until it is enough.
pub(crate) struct Traffic {
    enough: Arc<AtomicBool>,
    rounds: JoinHandle<Result<u64, String>>,
}

impl Traffic {
    /// Begins against the shop at `urls`; each round must end with every order ended, a history of
    /// what shoppers know that is true, and a clean quiescent audit.
    pub(crate) fn begin(urls: &[String], logins: &Path, seed: u64) -> Self {
        let enough = Arc::new(AtomicBool::new(false));
        let (urls, logins, stop) = (urls.to_vec(), logins.to_owned(), enough.clone());
        let rounds = std::thread::spawn(move || {
            let mut round = 0;
            while round == 0 || !stop.load(Ordering::Acquire) {
                round += 1;
                let output = replay(&urls, &logins, seed * 1000 + round);
                if !output.status.success() {
                    return Err(said(&output));
                }
            }
            Ok(round)
        });
        Self { enough, rounds }
    }

    /// Whether it has ended by itself, which is a failure.
    pub(crate) fn has_failed(&self) -> bool {
        self.rounds.is_finished()
    }

    /// Lets the round under way be the last, and says how many there were, or what failed.
    pub(crate) fn end(self) -> Result<u64, String> {
        self.enough.store(true, Ordering::Release);
        self.rounds.join().expect("the traffic does not panic")
    }
}

fn replay(urls: &[String], logins: &Path, seed: u64) -> Output {
    let directory = tempfile::tempdir().expect("a directory");
    let mut command = swiftcart();
    command.args(["load", "replay", &baskets()]).args(["--limit", BASKETS, "--shoppers", "8"]);
    command.args(["--troubles", TROUBLES, "--impatient", IMPATIENT]);
    command.arg("--history").arg(directory.path().join("history"));
    command.args(["--give-up-after-s", "120", "--seed", &seed.to_string(), "--logins"]).arg(logins);
    for url in urls {
        command.args(["--url", url]);
    }
    command.stdin(Stdio::null()).output().expect("load runs")
}
