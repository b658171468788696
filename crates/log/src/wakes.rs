//! Wakes readers of a service's log as soon as this process commits to it.
//! Leaves commits of other processes to the readers' polling.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

/// One signal per service, shared by the whole process.
#[derive(Clone, Debug, Default)]
pub struct Wakes(Arc<Mutex<HashMap<&'static str, watch::Sender<i64>>>>);

impl Wakes {
    /// Tells the readers of `service` that its log reaches `seq`.
    pub fn committed(&self, service: &'static str, seq: i64) {
        self.sender(service).send_if_modified(|last| {
            let newer = seq > *last;
            *last = seq.max(*last);
            newer
        });
    }

    /// Changes whenever this process commits events of `service`.
    #[must_use]
    pub fn of(&self, service: &'static str) -> watch::Receiver<i64> {
        self.sender(service).subscribe()
    }

    fn sender(&self, service: &'static str) -> watch::Sender<i64> {
        let mut senders = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        senders.entry(service).or_insert_with(|| watch::Sender::new(0)).clone()
    }
}
