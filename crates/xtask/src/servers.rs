//! Private servers for tests and hand work: PostgreSQL and Apache Kafka, fresh, on free ports of 127.0.0.1, gone with their owner.
//! It leaves finding or fetching their programs and running them to `postgres` and `kafka`.
//!
//! A server belongs to a *keeper*: this same program, started as a process group of its own, which holds the server until
//! its standard input closes. The pipe closes however the owner ends (returned, interrupted, killed), so neither a failed
//! test nor Ctrl-C leaves a server or its directory behind. Words on that input, a line each, make it misbehave (see
//! [`keep`]); tests that want a server of their own for this find the keeper's command in [`Kind::keeper_variable`].

pub(crate) mod home;
mod kafka;
mod packages;
mod postgres;

use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use anyhow::{Context, Result, bail, ensure};

/// The hidden subcommand that runs [`keep`]; the name of the kind and where its programs are stand after it.
pub const KEEPER: &str = "keep";

/// Words on a keeper's input: kill the server with -9 and start it again; stop it with SIGSTOP; let it go on.
const CRASH: &str = "crash";
const FREEZE: &str = "freeze";
const THAW: &str = "thaw";

/// The keeper's answer when it has done what a word asks.
const DONE: &str = "done";

/// What can be started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// PostgreSQL.
    Postgres,
    /// Apache Kafka: one broker that is its own controller.
    Kafka,
}

impl Kind {
    /// All there are.
    pub const ALL: [Self; 2] = [Self::Postgres, Self::Kafka];

    /// What the command line calls it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Kafka => "kafka",
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Postgres => "PostgreSQL",
            Self::Kafka => "Apache Kafka",
        }
    }

    /// The environment variables that tell a command where the server is.
    fn address_variables(self) -> &'static [&'static str] {
        match self {
            Self::Postgres => &["SWIFTCART_DATABASE_URL", "SWIFTCART_TEST_DATABASE_URL"],
            Self::Kafka => &["SWIFTCART_TEST_KAFKA"],
        }
    }

    /// The environment variable that tells tests how to start a keeper: its program and its arguments, on a line each.
    #[must_use]
    pub fn keeper_variable(self) -> &'static str {
        match self {
            Self::Postgres => "SWIFTCART_TEST_POSTGRES_KEEPER",
            Self::Kafka => "SWIFTCART_TEST_KAFKA_KEEPER",
        }
    }

    /// What a keeper is told, so that it need not look for it: where the programs are.
    fn programs(self) -> Result<Vec<PathBuf>> {
        match self {
            Self::Postgres => Ok(vec![postgres::find_or_install()?]),
            Self::Kafka => kafka::find_or_install(),
        }
    }
}

/// A server that a keeper holds.
trait Server: Sized {
    /// Where to connect.
    fn address(&self) -> String;

    /// The file it logs to.
    fn log(&self) -> PathBuf;

    /// Its process, if it is a single one.
    fn sole_process(&self) -> Option<u32>;

    /// Kills it as a power cut would, and starts it again on the same port and directory.
    fn crash(self) -> Result<Self>;

    /// Stops it at once: its directory goes with it.
    fn stop(self) -> Result<()>;
}

/// A running private server.
#[derive(Debug)]
pub struct Private {
    kind: Kind,
    command: Vec<OsString>,
    keeper: Child,
    address: String,
    log: PathBuf,
}

impl Private {
    /// Starts a server of each of `kinds`, all at the same time, and waits until they take connections.
    ///
    /// # Errors
    /// When there are no programs of one on this machine and none could be installed, or when one does not start.
    pub fn start(kinds: &[Kind]) -> Result<Vec<Self>> {
        let started: Vec<Self> = kinds.iter().map(|kind| Self::launch(*kind)).collect::<Result<_>>()?;
        started.into_iter().map(Self::ready).collect()
    }

    fn launch(kind: Kind) -> Result<Self> {
        let program = std::env::current_exe().context("this program does not know its own path")?;
        let mut command: Vec<OsString> = vec![program.into(), KEEPER.into(), kind.word().into()];
        command.extend(kind.programs()?.into_iter().map(OsString::from));
        let keeper = Command::new(&command[0])
            .args(&command[1..])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .with_context(|| format!("the keeper of the private {} did not start", kind.name()))?;
        Ok(Self { kind, command, keeper, address: String::new(), log: PathBuf::new() })
    }

    /// The server, once its keeper has told of it.
    fn ready(mut self) -> Result<Self> {
        let mut lines = BufReader::new(self.keeper.stdout.take().context("the keeper has no output")?).lines();
        let (Some(Ok(address)), Some(Ok(log))) = (lines.next(), lines.next()) else {
            let status = self.keeper.wait().context("the keeper cannot be waited for")?;
            bail!("the private {} did not start ({status}); the reason stands above", self.kind.name());
        };
        (self.address, self.log) = (address, log.into());
        Ok(self)
    }

    /// What it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Where to connect.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The keeper's process, below which all of the server's are.
    #[must_use]
    pub fn keeper(&self) -> u32 {
        self.keeper.id()
    }

    /// Tells a command where the server is, and how to start another.
    fn tell(&self, command: &mut Command) {
        for variable in self.kind.address_variables() {
            command.env(variable, &self.address);
        }
        command.env(self.kind.keeper_variable(), self.command.join("\n".as_ref()));
    }

    /// Stops the server and removes its directory.
    ///
    /// # Errors
    /// When it does not stop cleanly.
    pub fn stop(mut self) -> Result<()> {
        let name = self.kind.name();
        let status = self.close().with_context(|| format!("the keeper of the private {name} cannot be waited for"))?;
        ensure!(status.success(), "the private {name} did not stop cleanly ({status})");
        Ok(())
    }

    /// Closes the keeper's input, which is its word to stop, and waits for its end.
    fn close(&mut self) -> io::Result<ExitStatus> {
        drop(self.keeper.stdin.take());
        self.keeper.wait()
    }
}

impl Drop for Private {
    fn drop(&mut self) {
        let _ = self.close();
    }
}

/// Runs the keeper: starts a server from the programs at the places told, tells its address and log, does to it what the
/// words `crash`, `freeze` and `thaw` ask, and stops it at the end of its input.
///
/// # Errors
/// When the server does not start, again or at all, or does not stop.
pub fn keep(kind: Kind, programs: &[PathBuf]) -> Result<()> {
    match kind {
        Kind::Postgres => hold(postgres::start(programs)?),
        Kind::Kafka => hold(kafka::start(programs)?),
    }
}

fn hold(mut server: impl Server) -> Result<()> {
    let mut told = tell(&format!("{}\n{}", server.address(), server.log().display()));
    let mut lines = io::stdin().lines();
    while told.is_ok()
        && let Some(Ok(word)) = lines.next()
    {
        match word.as_str() {
            CRASH => server = server.crash()?,
            FREEZE => signal("-STOP", &server)?,
            THAW => signal("-CONT", &server)?,
            _ => bail!("a keeper does not know the word {word}"),
        }
        told = tell(DONE);
    }
    server.stop()
}

fn tell(words: &str) -> io::Result<()> {
    writeln!(io::stdout(), "{words}").and_then(|()| io::stdout().flush())
}

fn signal(name: &str, server: &impl Server) -> Result<()> {
    let process = server.sole_process().context("a server of many processes is not frozen as one")?;
    let status = Command::new("kill").args([name, &process.to_string()]).status().context("`kill` did not start")?;
    ensure!(status.success(), "the server got no signal {name}");
    Ok(())
}

/// Runs a command with the addresses of private servers in its environment; without one, waits for the end of our input.
///
/// Returns the exit code of the command.
///
/// # Errors
/// When a server does not start or stop, or the command does not start.
pub fn serve(kinds: &[Kind], command: &[OsString]) -> Result<u8> {
    match command.split_first() {
        Some((program, args)) => run_beside(kinds, Command::new(program).args(args)),
        None => {
            let servers = Private::start(kinds)?;
            servers.iter().for_each(|server| println!("{}", server.address));
            servers.iter().for_each(|server| eprintln!("# log of {}: {}", server.kind.name(), server.log.display()));
            eprintln!("# Ctrl-C or the end of input stops it and removes all it holds");
            let _ = io::stdin().read_to_end(&mut Vec::new());
            servers.into_iter().try_for_each(Private::stop)?;
            Ok(0)
        }
    }
}

/// Runs a command beside private servers, with their addresses in its environment, and returns its exit code; a failure
/// shows the servers' logs.
///
/// # Errors
/// When a server does not start or stop, or the command does not start.
pub fn run_beside(kinds: &[Kind], command: &mut Command) -> Result<u8> {
    let servers = Private::start(kinds)?;
    servers.iter().for_each(|server| server.tell(command));
    let status = command.status().with_context(|| format!("{} did not start", command.get_program().display()))?;
    if !status.success() {
        for server in &servers {
            eprintln!("\nThe last lines of the log of {}:\n{}", server.kind.name(), home::tail(&server.log));
        }
    }
    servers.into_iter().try_for_each(Private::stop)?;
    Ok(crate::ci::exit_code(status))
}

/// The directories that fit a pattern with one `*` inside one name.
fn matching(pattern: &str) -> Vec<PathBuf> {
    let Some((head, tail)) = pattern.split_once('*') else { return Vec::new() };
    let (parent, prefix) = head.rsplit_once('/').unwrap_or(("", head));
    let found = crate::workspace::entries(Path::new(parent)).unwrap_or_default();
    let named = found.into_iter().filter(|dir| dir.file_name().is_some_and(|name| name.to_string_lossy().starts_with(prefix)));
    named.map(|dir| dir.join(tail.trim_start_matches('/'))).filter(|dir| dir.is_dir()).collect()
}

/// The file that runs when `program` is called by its name.
fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(program)).find(|program| program.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_find_directories() {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let pattern = format!("{}/s*/servers", here.display());
        assert_eq!(matching(&pattern), [here.join("src/servers")]);
        assert!(matching("/no/such/place-*/bin").is_empty());
    }
}
