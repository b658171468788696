//! Who holds up a batch while it waits for its own client: a process frozen half-way holds the head row, and no server
//! time-out ends that. Leaves everything that is merely slow alone.

use std::convert::Infallible;
use std::future::Future;
use std::time::Duration;

use deadpool_postgres::Pool;

use super::failure::{Failure, of_pool};
use crate::Error;

/// How long a batch waits before it looks who blocks it, and looks again.
const PATIENCE: Duration = Duration::from_secs(1);

// A pipeline that is well waits for its client for moments between two messages; hence the age.
const TERMINATE: &str = "SELECT a.pid, pg_terminate_backend(a.pid) FROM unnest(pg_blocking_pids($1)) AS b(pid) \
     JOIN pg_stat_activity a ON a.pid = b.pid \
     WHERE a.wait_event_type = 'Client' AND a.state_change < clock_timestamp() - interval '500 milliseconds'";

/// Runs `flight`, which is under way on the backend `pid`, and ends whoever blocks it unfairly meanwhile.
pub(super) async fn supervised<T>(overseer: &Pool, pid: i32, flight: impl Future<Output = T>) -> T {
    tokio::select! {
        biased;
        landed = flight => landed,
        never = watch(overseer, pid) => match never {},
    }
}

#[allow(clippy::disallowed_methods, reason = "supervision of a connection, which no simulation has")]
async fn watch(overseer: &Pool, pid: i32) -> Infallible {
    loop {
        tokio::time::sleep(PATIENCE).await;
        match end_blockers(overseer, pid).await {
            Ok(ended) if ended.is_empty() => {}
            Ok(ended) => {
                tracing::warn!(backend = pid, ?ended, "ended backends that held up a batch and waited for their clients");
            }
            Err(error) => tracing::warn!(backend = pid, %error, "cannot look who holds up a batch"),
        }
    }
}

async fn end_blockers(overseer: &Pool, pid: i32) -> Result<Vec<i32>, Error> {
    let client = overseer.get().await.map_err(of_pool)?;
    let ended = async {
        let statement = client.prepare_cached(TERMINATE).await?;
        client.query(&statement, &[&pid]).await?.iter().map(|row| row.try_get(0)).collect::<Result<Vec<i32>, _>>()
    };
    ended.await.map_err(|error| Failure::from(error).of_read())
}
