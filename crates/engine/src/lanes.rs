//! The queue before an executor: four lanes, each bounded by count and bytes, each with a reserved share of every batch,
//! so that a flood of new orders cannot starve those already promised. Leaves deciding to the executor.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use kernel::Fault;
use tokio::sync::Notify;

use crate::input::Input;

/// How many inputs a lane holds at most.
pub const LANE_INPUTS_MAX: usize = 8192;
/// How many bytes the inputs of a lane hold at most.
pub const LANE_BYTES_MAX: usize = 32 * 1024 * 1024;
/// How many inputs one batch decides at most.
pub const BATCH_INPUTS_MAX: usize = 512;
/// When to come back if a lane is full.
const RETRY_AFTER_MS: i64 = 1000;

/// Which share of the executor an input belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lane {
    /// Money, couriers, timers and leases: promises already given.
    Money,
    /// Events of other services: orders on their way.
    Saga,
    /// New orders.
    Order,
    /// Everything else.
    Rest,
}

impl Lane {
    pub(crate) const ALL: [Self; 4] = [Self::Money, Self::Saga, Self::Order, Self::Rest];

    /// As it is told.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Money => "money",
            Self::Saga => "saga",
            Self::Order => "order",
            Self::Rest => "rest",
        }
    }

    /// How many places of a full batch are this lane's own.
    fn share(self) -> usize {
        match self {
            Self::Money | Self::Saga => BATCH_INPUTS_MAX * 3 / 10,
            Self::Order => BATCH_INPUTS_MAX / 4,
            Self::Rest => BATCH_INPUTS_MAX * 3 / 20,
        }
    }
}

#[derive(Default)]
struct Waiting {
    inputs: VecDeque<Input>,
    bytes: usize,
}

#[derive(Default)]
struct State {
    lanes: [Waiting; 4],
    closed: bool,
}

/// The four lanes.
#[derive(Default)]
pub(crate) struct Lanes {
    state: Mutex<State>,
    arrived: Notify,
}

impl Lanes {
    /// Takes `inputs` of one lane in whole, or refuses all of them because the lane is full or closed.
    pub(crate) fn push(&self, lane: Lane, inputs: Vec<Input>) -> Result<(), Fault> {
        let bytes: usize = inputs.iter().map(|input| input.bytes).sum();
        {
            let mut state = self.lock();
            if state.closed {
                return Err(Fault::unavailable("the executor is shutting down", RETRY_AFTER_MS));
            }
            let waiting = &mut state.lanes[lane as usize];
            // What comes to an empty lane is let in, however much it is: else it could never come.
            let full = waiting.inputs.len() + inputs.len() > LANE_INPUTS_MAX || waiting.bytes + bytes > LANE_BYTES_MAX;
            if full && !waiting.inputs.is_empty() {
                let mut fault =
                    Fault::new(kernel::FaultKind::Exhausted, "lane-full", "too much is waiting already; please come back later");
                fault.retry_after_ms = Some(RETRY_AFTER_MS);
                return Err(fault);
            }
            waiting.bytes += bytes;
            waiting.inputs.extend(inputs.into_iter().map(|input| Input { lane, ..input }));
        }
        self.arrived.notify_one();
        Ok(())
    }

    /// How many inputs wait in each lane, by its name.
    pub(crate) fn waiting(&self) -> [(&'static str, usize); 4] {
        let state = self.lock();
        Lane::ALL.map(|lane| (lane.as_str(), state.lanes[lane as usize].inputs.len()))
    }

    /// The next batch: first every lane's own share, then whatever waits, lane by lane. `None` once closed and empty.
    pub(crate) async fn next_batch(&self) -> Option<Vec<Input>> {
        loop {
            let arrived = self.arrived.notified();
            {
                let mut state = self.lock();
                let batch = take(&mut state);
                if !batch.is_empty() {
                    return Some(batch);
                }
                if state.closed {
                    return None;
                }
            }
            arrived.await;
        }
    }

    /// Refuses what comes from now on; what waits is still decided.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.arrived.notify_one();
    }

    /// Refuses what comes from now on, and drops what waits: its callers are told that nobody decides any more.
    pub(crate) fn abandon(&self) {
        *self.lock() = State { closed: true, ..State::default() };
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn take(state: &mut State) -> Vec<Input> {
    let mut batch = Vec::new();
    for limit in [Lane::share as fn(Lane) -> usize, |_| BATCH_INPUTS_MAX] {
        for lane in Lane::ALL {
            let waiting = &mut state.lanes[lane as usize];
            let room = (BATCH_INPUTS_MAX - batch.len()).min(limit(lane)).min(waiting.inputs.len());
            for input in waiting.inputs.drain(..room) {
                waiting.bytes -= input.bytes;
                batch.push(input);
            }
        }
    }
    batch
}
