//! The tail of a shared database's logs: one task per process looks at all head rows in one read, often, so that no reader
//! has to. Leaves waking to `wakes`. (A NOTIFY with each commit would take a lock of the whole database.)

use std::sync::{Arc, Weak};

use kernel::{Millis, Runtime};
use store::{Error, Kind, Read, Row, Store};

use crate::wakes::{self, Signals};

/// How often it looks: half of what a commit of another process may wait to be heard of.
const POLL_MS: Millis = 10;
/// The pause after a read that failed: at first and at most.
const FAILED_PAUSE_MS: (Millis, Millis) = (20, 1000);

/// Tells what has been committed to each log, until nobody holds `signals` any more.
pub(crate) async fn follow(signals: Weak<Signals>, store: Store, runtime: Arc<dyn Runtime>) {
    let mut failed_pause_ms = FAILED_PAUSE_MS.0;
    loop {
        let heads = heads(&store).await;
        let Some(signals) = signals.upgrade() else { return };
        let pause_ms = match heads {
            Ok(heads) => {
                heads.iter().for_each(|(service, seq)| wakes::tell(&signals, service, *seq));
                failed_pause_ms = FAILED_PAUSE_MS.0;
                POLL_MS
            }
            Err(error) => {
                tracing::debug!(%error, "the heads of the logs cannot be read; again soon");
                let longer_ms = (failed_pause_ms * 2).min(FAILED_PAUSE_MS.1);
                std::mem::replace(&mut failed_pause_ms, longer_ms)
            }
        };
        drop(signals);
        runtime.sleep(pause_ms).await;
    }
}

/// How far the log of each service reaches.
async fn heads(store: &Store) -> Result<Vec<(String, i64)>, Error> {
    let head = |row: &Row| Ok((row.text(0)?.to_owned(), row.int(1)?));
    store.read(&HEADS, Vec::new()).await?.iter().map(head).collect()
}

/// All head rows: one for each service.
pub(crate) static HEADS: Read =
    Read { name: "log.heads", sql: "SELECT service, seq FROM store_head", arguments: &[], answer: &[Kind::Text, Kind::Int] };
