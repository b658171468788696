//! A private PostgreSQL for tests and hand work: a fresh server on a free port of 127.0.0.1 that goes when its owner goes.
//! It leaves finding the programs to `binaries` and running them to `server`.
//!
//! The server belongs to a *keeper*: this same program, started as a process group of its own, which holds the server until
//! its standard input closes. The pipe closes however the owner ends (returned, interrupted, killed), so neither a failed
//! test nor Ctrl-C leaves a server or its directory behind. A line `crash` on that input kills the server with -9 and starts
//! it again; tests that want a server of their own to crash find the keeper's command in [`KEEPER_VARIABLE`].

mod binaries;
mod server;

use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};

use server::Server;

/// The hidden subcommand that runs [`keep`].
pub const KEEPER: &str = "keep-postgres";

/// The environment variable that tells tests how to start a keeper: its program and the directory of the server's programs,
/// on a line each.
pub const KEEPER_VARIABLE: &str = "SWIFTCART_TEST_POSTGRES_KEEPER";

/// The word on a keeper's input that kills its server and starts it again, and the keeper's answer.
const CRASH: &str = "crash";
const RISEN: &str = "risen";

/// How much of the server's log is shown when something failed.
const LOG_TAIL_LINES: usize = 40;

/// A running private server.
#[derive(Debug)]
pub struct Postgres {
    keeper: Child,
    programs: PathBuf,
    url: String,
    log: PathBuf,
}

impl Postgres {
    /// Starts a server and waits until it takes connections.
    ///
    /// # Errors
    /// When there is no PostgreSQL on this machine and none could be installed, or when it does not start.
    pub fn start() -> Result<Self> {
        let programs = binaries::find_or_install()?;
        let mut keeper = Command::new(std::env::current_exe().context("this program does not know its own path")?)
            .arg(KEEPER)
            .arg(&programs)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .context("the keeper of the private PostgreSQL did not start")?;
        let mut lines = BufReader::new(keeper.stdout.take().context("the keeper has no output")?).lines();
        match (lines.next(), lines.next()) {
            (Some(Ok(url)), Some(Ok(log))) => Ok(Self { keeper, programs, url, log: log.into() }),
            _ => {
                let status = keeper.wait().context("the keeper cannot be waited for")?;
                bail!("the private PostgreSQL did not start ({status}); the reason stands above")
            }
        }
    }

    /// Where to connect, as a superuser.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The file the server logs to.
    #[must_use]
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// The end of the server's log.
    #[must_use]
    pub fn log_tail(&self) -> String {
        tail(&self.log)
    }

    /// Stops the server and removes its directory.
    ///
    /// # Errors
    /// When the keeper reports a failure.
    pub fn stop(mut self) -> Result<()> {
        let status = self.close().context("the keeper of the private PostgreSQL cannot be waited for")?;
        if !status.success() {
            bail!("the private PostgreSQL did not stop cleanly ({status})");
        }
        Ok(())
    }

    /// Closes the keeper's input, which is its word to stop, and waits for its end.
    fn close(&mut self) -> io::Result<std::process::ExitStatus> {
        drop(self.keeper.stdin.take());
        self.keeper.wait()
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let _ = self.close();
    }
}

/// Runs the keeper: starts a server from the programs in a directory, tells address and log, crashes it as often as it is
/// told to, and waits for the end of its input.
///
/// # Errors
/// When the server does not start, again or at all, or does not stop.
pub fn keep(programs: &Path) -> Result<()> {
    let mut server = Server::start(programs)?;
    let mut told = tell(&format!("{}\n{}", server.url(), server.log().display()));
    let mut lines = io::stdin().lines();
    while told.is_ok()
        && let Some(Ok(word)) = lines.next()
    {
        anyhow::ensure!(word == CRASH, "the keeper of PostgreSQL does not know the word {word}");
        server = server.crash()?;
        told = tell(RISEN);
    }
    server.stop()
}

fn tell(words: &str) -> io::Result<()> {
    writeln!(io::stdout(), "{words}").and_then(|()| io::stdout().flush())
}

/// Runs a command with the address of a private server in its environment; without one, waits for the end of our input.
///
/// Returns the exit code of the command.
///
/// # Errors
/// When the server does not start or stop, or the command does not start.
pub fn serve(command: &[OsString]) -> Result<u8> {
    let postgres = Postgres::start()?;
    let code = match command.split_first() {
        Some((program, args)) => run_beside(&postgres, Command::new(program).args(args))?,
        None => {
            println!("{}", postgres.url());
            eprintln!("# server log: {}", postgres.log().display());
            eprintln!("# Ctrl-C or the end of input stops it and removes all it holds");
            let _ = io::stdin().read_to_end(&mut Vec::new());
            0
        }
    };
    postgres.stop()?;
    Ok(code)
}

/// Runs a command with the address of the server in its environment and returns its exit code; a failure shows the server's log.
///
/// # Errors
/// When the command does not start.
pub fn run_beside(postgres: &Postgres, command: &mut Command) -> Result<u8> {
    command.env("SWIFTCART_DATABASE_URL", postgres.url()).env("SWIFTCART_TEST_DATABASE_URL", postgres.url());
    let program = std::env::current_exe().context("this program does not know its own path")?;
    command.env(KEEPER_VARIABLE, format!("{}\n{}", program.display(), postgres.programs.display()));
    let status = command.status().with_context(|| format!("{} did not start", command.get_program().display()))?;
    if !status.success() {
        eprintln!("\nThe last lines of the log of PostgreSQL:\n{}", postgres.log_tail());
    }
    Ok(crate::ci::exit_code(status))
}

/// The last lines of a log, or why there are none.
fn tail(log: &Path) -> String {
    match std::fs::read(log) {
        Ok(bytes) => last_lines(&String::from_utf8_lossy(&bytes), LOG_TAIL_LINES),
        Err(error) => format!("(the log {} cannot be read: {error})", log.display()),
    }
}

fn last_lines(text: &str, lines_max: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(lines_max)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_is_the_end() {
        assert_eq!(last_lines("a\nb\nc\n", 2), "b\nc");
        assert_eq!(last_lines("a\n", 2), "a");
        assert_eq!(last_lines("", 2), "");
    }
}
