//! One thing to decide: its decider, its deadline, whom to answer, and what happened to it so far.
//! Leaves queues to `lanes` and the rest of its way to `executor`.

use std::any::Any;

use kernel::{Draw, Fault, Millis, Timestamp, TraceContext};
use tokio::sync::oneshot;

use crate::Work;

/// How long an input may wait for its commit unless its caller says otherwise.
pub const DEADLINE_DEFAULT_MS: Millis = 10_000;

/// Why a decider did not end well.
#[derive(Clone, PartialEq, Debug)]
pub enum Stop {
    /// A row that it needs is not loaded yet; it will be run again.
    Missing,
    /// It refuses, for a reason its caller is told.
    Refused(Fault),
    /// What it was given or what is stored does not make sense: a defect. Refused to a caller, parked if it is an event.
    Broken(String),
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Self::Refused(fault)
    }
}

/// What a decider gives back, whatever its type.
pub(crate) type Answer = Box<dyn Any + Send + Sync>;

/// A decider with its command or event inside. It may be run many times.
pub(crate) type Decide = Box<dyn Fn(&mut Work<'_>) -> Result<Answer, Stop> + Send + Sync>;

/// What to do with an input that is broken and has nobody to be refused to: the error goes along.
pub(crate) type Park = Box<dyn Fn(&mut Work<'_>, &str) -> Result<Answer, Stop> + Send + Sync>;

/// One thing to decide.
pub(crate) struct Input {
    pub(crate) bytes: usize,
    pub(crate) deadline: Timestamp,
    pub(crate) trace: TraceContext,
    pub(crate) draw: Draw,
    pub(crate) decide: Decide,
    pub(crate) park: Option<Park>,
    pub(crate) answer: oneshot::Sender<Result<Answer, Fault>>,
    /// When it was first decided; its time from then on.
    pub(crate) now: Option<Timestamp>,
    /// How often rows that it read had changed before its commit.
    pub(crate) strikes: u32,
    /// Whether some commit that it was part of may or may not have happened.
    pub(crate) unknown: bool,
    /// Why it is to be parked, once it proved broken.
    pub(crate) broken: Option<String>,
}
