//! The directory that holds all of a private server, or of whatever else is started for a while, and what else servers of every kind need: a free port, the end of a log.
//! It leaves what lies in the directory to the server.

use std::fs::{DirBuilder, File};
use std::net::TcpListener;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, Result};

/// How much of a server's log is shown when something failed.
const LOG_TAIL_LINES: usize = 40;

/// A directory with data, sockets and the log; it is removed when dropped.
#[derive(Debug)]
pub(crate) struct Home {
    pub(crate) path: PathBuf,
}

impl Home {
    /// A new directory in `parent`, open to its owner only.
    pub(crate) fn make(parent: &Path, name: &str) -> Result<Self> {
        let nanoseconds = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |elapsed| elapsed.subsec_nanos());
        let path = parent.join(format!("swiftcart-{name}-{}-{nanoseconds}", std::process::id()));
        DirBuilder::new().mode(0o700).create(&path).with_context(|| format!("cannot make the directory {}", path.display()))?;
        Ok(Self { path })
    }

    pub(super) fn data(&self) -> PathBuf {
        self.path.join("data")
    }

    pub(super) fn log(&self) -> PathBuf {
        self.path.join("server.log")
    }

    /// The log, to be written on at its end.
    pub(super) fn open_log(&self) -> Result<File> {
        let path = self.log();
        File::options().create(true).append(true).open(&path).with_context(|| format!("cannot make the log {}", path.display()))
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.path) {
            eprintln!("cannot remove {}: {error}", self.path.display());
        }
    }
}

/// A port that nobody listens on now.
pub(crate) fn free_port() -> Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).context("there is no free port on 127.0.0.1")?;
    Ok(listener.local_addr().context("a bound socket has an address")?.port())
}

/// The last lines of a log, or why there are none.
pub(super) fn tail(log: &Path) -> String {
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
