//! The binary: parses the command line and calls one function. Leaves everything else to the modules beside it.

mod admin;
mod auditor;
#[cfg(test)]
mod broken_input;
mod cli;
mod commands;
mod compose;
mod data_dir;
#[cfg(feature = "fail-points")]
mod fail_points;
mod logins;
mod logs;
mod metrics;
#[cfg(test)]
mod model;
mod operate;
mod peers;
mod promote;
mod roles;
mod sample;
mod sandbox_provider;
mod settings;
mod tables;

use std::process::ExitCode;

use clap::Parser;
use mimalloc::MiMalloc;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    let arguments = cli::Arguments::parse();
    match commands::run(arguments) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("swiftcart: {error:#}");
            ExitCode::FAILURE
        }
    }
}
