//! Whoever waits for a row to change in this process: the way behind `Prefer: wait`.
//! Leaves changes by other processes to the waiter's own polling.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Notify, watch};

use crate::work::RowName;

/// One signal per row that somebody waits for, and one for any change at all.
#[derive(Default)]
pub(crate) struct Watchers {
    rows: Mutex<HashMap<RowName, Arc<Notify>>>,
    any: watch::Sender<()>,
}

impl Watchers {
    /// The signal of `row`; to miss nothing, ask for it before reading the row.
    pub(crate) fn of(&self, row: RowName) -> Arc<Notify> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner).entry(row).or_default().clone()
    }

    /// Changes whenever this process commits a change of the service.
    pub(crate) fn any(&self) -> watch::Receiver<()> {
        self.any.subscribe()
    }

    /// Wakes those who wait for any of `rows`, and forgets rows that nobody waits for.
    pub(crate) fn changed<'a>(&self, rows: impl Iterator<Item = &'a RowName>) {
        self.any.send_replace(());
        let mut watched = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        if watched.is_empty() {
            return;
        }
        for row in rows {
            if let Some(signal) = watched.remove(row) {
                signal.notify_waiters();
            }
        }
        watched.retain(|_, signal| Arc::strong_count(signal) > 1);
    }
}
