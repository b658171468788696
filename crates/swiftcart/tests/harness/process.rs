//! One process of the binary: started, killed, frozen, waited for.
//! Leaves what it serves to `server` and `bank`.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The binary under test.
pub(crate) fn swiftcart() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_swiftcart"));
    command.env("SWIFTCART__SERVER__LOG", "warn");
    command
}

/// The ports that are given out: below those that the system takes for connections that go out, of which many processes open
/// many. One of these would be taken before its server came to it, or came back to it after it was killed.
const PORTS: std::ops::Range<u32> = 10_000..32_000;

/// A free port: taken and let go again, and not given out twice by this process.
pub(crate) fn free_address() -> String {
    static GIVEN: AtomicU32 = AtomicU32::new(0);
    // Suites that run beside each other begin at other places.
    let first = std::process::id().wrapping_mul(7919);
    let next = || PORTS.start + first.wrapping_add(GIVEN.fetch_add(1, Ordering::Relaxed)) % (PORTS.end - PORTS.start);
    let address = || format!("127.0.0.1:{}", next());
    let found = PORTS.map(|_| address()).find(|address| TcpListener::bind(address).is_ok());
    found.expect("a free port")
}

/// What processes have told on their standard error output, one after the other.
#[derive(Clone, Default)]
pub(super) struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    /// Keeps what comes, and tells it on.
    fn keep(&self, told: ChildStderr) {
        let log = self.clone();
        let kept = std::thread::Builder::new().spawn(move || {
            for line in BufReader::new(told).lines().map_while(Result::ok) {
                eprintln!("{line}");
                log.0.lock().expect("the log").push(line);
            }
        });
        kept.expect("a thread");
    }

    /// The lines that hold all of `words`.
    pub(super) fn told(&self, words: &[&str]) -> Vec<String> {
        let log = self.0.lock().expect("the log");
        log.iter().filter(|line| words.iter().all(|word| line.contains(word))).cloned().collect()
    }
}

/// A process of the binary, which ends with this.
pub(super) struct Process {
    child: Child,
    /// Whether it said that it was open before it ended, if it has.
    pub(super) open: bool,
    /// What it said until then.
    pub(super) said: String,
    /// Disconnected when the process has ended.
    alive: Receiver<()>,
}

impl Process {
    /// Starts `command` and waits until it says a line that begins with `word`, or has ended. What it tells goes to `log`.
    pub(super) fn start(mut command: Command, word: &str, log: &Log) -> Self {
        let command = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the process starts");
        log.keep(child.stderr.take().expect("its log"));
        let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        let mut said = String::new();
        let open = lines.by_ref().map_while(Result::ok).any(|line| {
            said = format!("{said}{line}\n");
            line.starts_with(word)
        });
        let (end, alive) = channel::<()>();
        // What it says later must not fill the pipe, which closes when it has ended, however.
        let drained = std::thread::Builder::new().spawn(move || {
            lines.map_while(Result::ok).for_each(drop);
            drop(end);
        });
        drained.expect("a thread");
        Self { child, open, said, alive }
    }

    /// Waits until it has ended by itself; says whether it did within the time.
    pub(super) fn ends_within(&self, seconds: u64) -> bool {
        self.alive.recv_timeout(Duration::from_secs(seconds)) == Err(RecvTimeoutError::Disconnected)
    }

    /// Kills it as a power cut would, unless it is dead already.
    pub(super) fn kill(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        self.child.wait().expect("its end");
    }

    /// Sends it a signal, as `STOP`.
    pub(super) fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args(["-s", signal, &self.child.id().to_string()]).status().expect("the command kill");
        assert!(sent.success());
    }

    /// Asks it to stop, as a supervisor would, and waits for its end.
    pub(super) fn stop(&mut self) -> ExitStatus {
        self.signal("TERM");
        self.child.wait().expect("its end")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
