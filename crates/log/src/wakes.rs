//! Wakes readers of a service's log as soon as anybody commits to it: this process by its own word, others by the tail.
//! Leaves reading to `outbox`, and looking for commits of others to `tail`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use kernel::Runtime;
use store::Store;
use tokio::sync::watch;

use crate::tail;

/// One signal per service, shared by the whole process.
#[derive(Clone, Debug)]
pub struct Wakes(Arc<Signals>);

/// How far the log of each service reaches, as far as it is known.
pub(crate) type Signals = Mutex<HashMap<&'static str, watch::Sender<i64>>>;

impl Wakes {
    /// Signals of the logs in `store`. If other processes may write there too, one task looks for what they commit, as long as
    /// anybody holds the signals.
    #[must_use]
    pub fn new(store: &Store, runtime: &Arc<dyn Runtime>) -> Self {
        let signals = Arc::default();
        if store.shared() {
            runtime.spawn("tail", Box::pin(tail::follow(Arc::downgrade(&signals), store.clone(), runtime.clone())));
        }
        Self(signals)
    }

    /// Tells the readers of `service` that its log reaches `seq`.
    pub fn committed(&self, service: &'static str, seq: i64) {
        raise(&self.sender(service), seq);
    }

    /// Changes whenever events of `service` are committed.
    #[must_use]
    pub fn of(&self, service: &'static str) -> watch::Receiver<i64> {
        self.sender(service).subscribe()
    }

    fn sender(&self, service: &'static str) -> watch::Sender<i64> {
        let mut senders = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        senders.entry(service).or_insert_with(|| watch::Sender::new(0)).clone()
    }
}

/// Tells whoever listens that the log of `service` reaches `seq`; nothing happens if nobody does, or it is known.
pub(crate) fn tell(signals: &Signals, service: &str, seq: i64) {
    if let Some(sender) = signals.lock().unwrap_or_else(PoisonError::into_inner).get(service) {
        raise(sender, seq);
    }
}

fn raise(sender: &watch::Sender<i64>, seq: i64) {
    sender.send_if_modified(|last| {
        let newer = seq > *last;
        *last = seq.max(*last);
        newer
    });
}
