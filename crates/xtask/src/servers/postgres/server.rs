//! One PostgreSQL server in a directory of its own: made, started, stopped, removed.
//! It leaves the question when to stop to the keeper in `servers`.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::servers::Server as _;
use crate::servers::home::{Home, free_port, tail};
use crate::servers::packages::root;

/// Ports are found by asking the system for a free one, which another process may take before the server does.
const STARTS_MAX: u32 = 5;

/// A machine that needs longer has another trouble.
const START_MAX_SECONDS: u64 = 120;

/// How long the server may take to stop before it is killed.
const STOP_MAX_SECONDS: &str = "30";

const POLL_INTERVAL_MS: u64 = 20;

/// Whom the server runs as when we are root, which it refuses to be.
const USERS: [&str; 2] = ["postgres", "nobody"];

/// A running server. It is stopped by `stop` only; its directory goes in any case.
#[derive(Debug)]
pub(in crate::servers) struct Server {
    cluster: Cluster,
    process: Child,
    port: u16,
}

impl Server {
    /// Makes a cluster, starts its server and waits until it is ready.
    ///
    /// # Errors
    /// When a step fails; the message ends with the server's log.
    pub(super) fn start(programs: &Path) -> Result<Self> {
        let mut cluster = Cluster::make(programs)?;
        for _ in 0..STARTS_MAX {
            let port = free_port()?;
            let process = cluster.spawn(port)?;
            let mut server = Self { cluster, process, port };
            match server.wait_until_ready() {
                Ok(true) => return Ok(server),
                Ok(false) => cluster = server.cluster,
                Err(error) => {
                    let log = tail(&server.log());
                    let _ = server.stop();
                    bail!("{error:#}; its log:\n{log}");
                }
            }
        }
        bail!("PostgreSQL ended {STARTS_MAX} times before it was ready; its log:\n{}", tail(&cluster.home.log()))
    }

    /// Waits until the server says in its lock file that it is ready, or has ended (`false`).
    ///
    /// A connection would not tell whose server answers; the lock file is this one's word.
    fn wait_until_ready(&mut self) -> Result<bool> {
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(START_MAX_SECONDS) {
            if self.process.try_wait().context("PostgreSQL cannot be waited for")?.is_some() {
                return Ok(false);
            }
            if std::fs::read_to_string(self.cluster.lock()).is_ok_and(|lock| ready(&lock)) {
                return Ok(true);
            }
            sleep(Duration::from_millis(POLL_INTERVAL_MS));
        }
        bail!("PostgreSQL was not ready after {START_MAX_SECONDS} seconds")
    }
}

impl crate::servers::Server for Server {
    /// The address for a superuser.
    fn address(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }

    fn log(&self) -> PathBuf {
        self.cluster.home.log()
    }

    fn sole_process(&self) -> Option<u32> {
        None
    }

    fn crash(mut self) -> Result<Self> {
        self.process.kill().context("PostgreSQL cannot be killed")?;
        self.process.wait().context("PostgreSQL cannot be waited for")?;
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(START_MAX_SECONDS) {
            // The lock file of the dead must not tell that the new one is ready; while its last children end, a new one refuses.
            let _ = std::fs::remove_file(self.cluster.lock());
            self.process = self.cluster.spawn(self.port)?;
            if self.wait_until_ready()? {
                return Ok(self);
            }
        }
        bail!("PostgreSQL did not come back; its log:\n{}", tail(&self.log()))
    }

    /// Stops without a checkpoint.
    fn stop(mut self) -> Result<()> {
        let mut command = self.cluster.command("pg_ctl");
        command.args(["stop", "--silent", "--mode=immediate", "--wait", "--timeout", STOP_MAX_SECONDS]);
        let stopped = command.arg("--pgdata").arg(self.cluster.home.data()).status().is_ok_and(|status| status.success());
        if !stopped {
            let _ = self.process.kill();
        }
        self.process.wait().context("PostgreSQL cannot be waited for")?;
        Ok(())
    }
}

/// Reads the status line of `postmaster.pid`.
fn ready(lock: &str) -> bool {
    lock.lines().nth(7).is_some_and(|status| status.trim() == "ready")
}

/// What a server runs on: its directory, whom it runs as, and the directory of its programs.
#[derive(Debug)]
struct Cluster {
    home: Home,
    user: Option<User>,
    programs: PathBuf,
}

impl Cluster {
    fn make(programs: &Path) -> Result<Self> {
        let user = User::for_server()?;
        let home = Home::make(&parent(user.is_some()), "postgres")?;
        if let Some(user) = user {
            std::os::unix::fs::chown(&home.path, Some(user.uid), Some(user.gid)).context("cannot give its directory away")?;
        }
        let cluster = Self { home, user, programs: programs.to_owned() };
        let mut command = cluster.command("initdb");
        command
            .args(["--auth=trust", "--encoding=UTF8", "--locale=C", "--username=postgres", "--no-sync", "--pgdata"])
            .arg(cluster.home.data());
        let output = command.stderr(Stdio::piped()).output().context("initdb did not start")?;
        ensure!(output.status.success(), "initdb failed: {}", String::from_utf8_lossy(&output.stderr));
        Ok(cluster)
    }

    fn lock(&self) -> PathBuf {
        self.home.data().join("postmaster.pid")
    }

    /// A program that runs here, as whom the server runs as.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        command.current_dir(&self.home.path).stdin(Stdio::null()).stdout(Stdio::null());
        if let Some(user) = self.user {
            command.uid(user.uid).gid(user.gid);
        }
        command
    }

    fn spawn(&self, port: u16) -> Result<Child> {
        let mut command = self.command("postgres");
        command.arg("-D").arg(self.home.data());
        for setting in settings(&self.home.path, port) {
            command.arg("-c").arg(setting);
        }
        command.stderr(self.home.open_log()?).spawn().context("PostgreSQL did not start")
    }
}

/// Durable as in production, with room for many tests at once.
fn settings(home: &Path, port: u16) -> [String; 8] {
    [
        "listen_addresses=127.0.0.1".to_owned(),
        format!("port={port}"),
        format!("unix_socket_directories={}", home.display()),
        "max_connections=300".to_owned(),
        "shared_buffers=128MB".to_owned(),
        "fsync=on".to_owned(),
        "timezone=UTC".to_owned(),
        "log_timezone=UTC".to_owned(),
    ]
}

/// Where temporary things go; for another user only where he can get.
fn parent(other_user: bool) -> PathBuf {
    let usual = std::env::temp_dir();
    if other_user && !open_to_all(&usual) { PathBuf::from("/tmp") } else { usual }
}

fn open_to_all(dir: &Path) -> bool {
    dir.ancestors().all(|dir| dir.metadata().is_ok_and(|found| found.permissions().mode() & 0o001 != 0))
}

/// An account of this machine.
#[derive(Debug, Clone, Copy)]
struct User {
    uid: u32,
    gid: u32,
}

impl User {
    /// Whom the server runs as: ourselves (`None`), unless we are root.
    fn for_server() -> Result<Option<Self>> {
        if !root() {
            return Ok(None);
        }
        let known = USERS.iter().find_map(|name| Self::find(name).ok());
        known.map(Some).with_context(|| format!("PostgreSQL refuses to run as root, and there is no user {}", USERS.join(" or ")))
    }

    fn find(name: &str) -> Result<Self> {
        Ok(Self { uid: number("-u", name)?, gid: number("-g", name)? })
    }
}

/// Asks `id` for a number of a user.
fn number(which: &str, name: &str) -> Result<u32> {
    let output = Command::new("id").args([which, name]).output().context("`id` did not start")?;
    ensure!(output.status.success(), "`id` knows no user {name}");
    String::from_utf8_lossy(&output.stdout).trim().parse().context("`id` tells no number")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_status_line_tells_readiness() {
        let lock = |status: &str| format!("1\n/data\n1700000000\n5432\n/tmp\n127.0.0.1\n 1 2\n{status}\n");
        assert!(ready(&lock("ready   ")));
        assert!(!ready(&lock("starting")));
        assert!(!ready("1\n/ready\n"));
    }
}
