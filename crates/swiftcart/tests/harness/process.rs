//! One process of the binary: started, killed, frozen, waited for.
//! Leaves what it serves to `server` and `bank`.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

/// The binary under test.
pub(crate) fn swiftcart() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_swiftcart"));
    command.env("SWIFTCART__SERVER__LOG", "warn");
    command
}

/// A free port: taken and let go again, so that a server that is killed can come back to it.
pub(crate) fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its address").to_string()
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
    /// Starts `command` and waits until it says a line that begins with `word`, or has ended.
    pub(super) fn start(mut command: Command, word: &str) -> Self {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("the process starts");
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
