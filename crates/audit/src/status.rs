//! What a watch has seen, for metrics and people: a copy that is read without waiting for the watch.
//! Leaves the form of metrics to the program.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use contracts::audit::Breach;
use kernel::{Millis, Timestamp};
use serde::Serialize;

/// A breach that was seen twice and has not ended.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Open {
    /// The breach as it was seen last.
    #[serde(flatten)]
    pub breach: Breach,
    /// When it was seen first.
    pub since: Timestamp,
}

/// A time that everything was looked through.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Sweep {
    /// When it ended.
    pub ended_at: Timestamp,
    /// How long it took.
    pub took_ms: Millis,
    /// How many orders there were.
    pub orders: u64,
}

/// What a watch has seen since this process was started.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize)]
pub struct Status {
    /// When it last looked; `None` if it never did, as while another process does.
    pub looked_at: Option<Timestamp>,
    /// The breaches that stand.
    pub breaches: Vec<Open>,
    /// What was seen once and is to be looked at again.
    pub suspicions: usize,
    /// How many breaches were found, those that have ended too.
    pub found: u64,
    /// How many pages were read.
    pub pages: u64,
    /// How many pages could not be read.
    pub pages_failed: u64,
    /// How many orders were looked at, each as often as it was.
    pub orders: u64,
    /// How many sweeps there were.
    pub sweeps: u64,
    /// The last of them.
    pub sweep: Option<Sweep>,
}

impl Status {
    /// How many breaches of each rule stand.
    #[must_use]
    pub fn by_rule(&self) -> BTreeMap<&str, usize> {
        let mut counts = BTreeMap::new();
        for open in &self.breaches {
            *counts.entry(open.breach.rule.as_str()).or_default() += 1;
        }
        counts
    }
}

/// A view of what a watch has seen. It does not keep the watch alive.
#[derive(Clone, Default, Debug)]
pub struct Glance(Arc<Mutex<Status>>);

impl Glance {
    /// What it has seen by now.
    #[must_use]
    pub fn status(&self) -> Status {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn show(&self, status: Status) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = status;
    }
}
