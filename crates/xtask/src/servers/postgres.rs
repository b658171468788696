//! A private PostgreSQL: one server with a cluster of its own.
//! It leaves finding the programs to `binaries` and running them to `server`.

mod binaries;
mod server;

use std::path::PathBuf;

use anyhow::{Context, Result};

pub(super) use binaries::find_or_install;
use server::Server;

/// Starts a server from the directory of the programs, which is the one place told.
pub(super) fn start(programs: &[PathBuf]) -> Result<Server> {
    Server::start(programs.first().context("the directory of the programs of PostgreSQL is not named")?)
}
