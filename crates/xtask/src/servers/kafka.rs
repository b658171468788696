//! A private Apache Kafka: one Java process that is broker and controller.
//! It leaves finding Java and fetching Kafka to `programs` and running it to `server`.

mod programs;
mod server;

use std::path::PathBuf;

use anyhow::{Result, bail};

pub(super) use programs::find_or_install;
use server::Server;

/// Starts a server by the Java and from the directory of Kafka's jars that are named, in this order.
pub(super) fn start(places: &[PathBuf]) -> Result<Server> {
    let [java, jars] = places else { bail!("the keeper of Kafka is told a Java and a directory of jars") };
    Server::start(java, jars)
}
