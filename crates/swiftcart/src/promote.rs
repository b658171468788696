//! Carries a shop from the embedded database to PostgreSQL while nobody serves it: `swiftcart promote`.
//! Leaves the carrying to `store`.

use std::process::ExitCode;

use anyhow::{Context, ensure};
use engine::TokioRuntime;
use kernel::Runtime;
use store::{Carriage, Carried, Store};

use crate::cli::{Place, Promote};
use crate::data_dir::DataDir;
use crate::logs::tell_by;
use crate::settings::Settings;
use crate::tables::{self, Parts};

/// Connections to the database that the shop is carried to: one carries, one looks after it.
const CONNECTIONS: usize = 2;

/// Carries the shop in the data directory to the database that the arguments name.
pub(crate) async fn promote(arguments: Promote) -> anyhow::Result<ExitCode> {
    let Promote { to, data, config } = arguments;
    let settings = Settings::of_place(&Place { data, database: Some(String::new()), config })?;
    tell_by(&settings.server.log, settings.server.log_format)?;
    let data = &settings.server.data;
    ensure!(DataDir::has_database(data), "there is no shop in {}", data.display());
    let data_dir = DataDir::take(data)?;
    let source = Store::sqlite(&data_dir.database()).context("the embedded database cannot be opened")?;
    let target = Store::postgres(&to, CONNECTIONS).await?;
    let services = tables::services(&settings, &Parts::default());
    let migrations = tables::migrations(&services);
    source.migrate(&migrations).await.context("the embedded database cannot be brought up to date")?;
    target.migrate(&migrations).await.context("the database cannot be brought up to date")?;
    let id = format!("{:016x}", TokioRuntime::new().draw().next_u64());
    println!("{:<32} {:>10}  sum", "table", "rows");
    let carriage = source.carry(&target, &tables::tables(&services), &id, print).await?;
    match carriage {
        Carriage::Done(carried) => {
            let rows: u64 = carried.iter().map(|carried| carried.rows).sum();
            println!("{rows} rows of {} tables were carried; rows and sums are equal on both sides.", carried.len());
        }
        Carriage::Before => println!("All of it had been carried there before."),
    }
    println!("The shop in {0} is sealed. From now on: swiftcart --data {0} --database URL", data.display());
    Ok(ExitCode::SUCCESS)
}

fn print(carried: &Carried) {
    println!("{:<32} {:>10}  {:016x}", carried.table, carried.rows, carried.sum);
}
