//! One thing to decide: its decider, its deadline, whom to answer, and what happened to it so far.
//! Leaves queues to `lanes` and the rest of its way to `executor`.

use kernel::{Draw, Fault, FaultKind, Millis, Timestamp, TraceContext};
use tokio::sync::oneshot;
use tracing::Span;

use crate::lanes::Lane;
use crate::work::{RowName, Work};

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

/// A decider with its command or event inside, and whoever waits for what it comes to.
pub(crate) trait Decider: Send {
    /// Runs it; it may be run many times. `broken` says why its input is to be put aside, once that proved broken.
    fn decide(&mut self, work: &mut Work<'_>, broken: Option<&str>) -> Result<(), Stop>;
    /// Tells what its last run came to, if that is durable, or why nothing was done.
    fn answer(self: Box<Self>, durable: Result<(), Fault>);
}

/// What somebody waits for.
pub(crate) type Awaited<T> = oneshot::Receiver<Result<T, Fault>>;

struct Asked<T, D> {
    decide: D,
    came_to: Option<T>,
    answer: oneshot::Sender<Result<T, Fault>>,
}

impl<T: Send, D: FnMut(&mut Work<'_>, Option<&str>) -> Result<T, Stop> + Send> Decider for Asked<T, D> {
    fn decide(&mut self, work: &mut Work<'_>, broken: Option<&str>) -> Result<(), Stop> {
        self.came_to = Some((self.decide)(work, broken)?);
        Ok(())
    }

    fn answer(self: Box<Self>, durable: Result<(), Fault>) {
        let Self { came_to, answer, .. } = *self;
        let nothing = || Fault::internal("a decider came to nothing");
        // A caller that went away does not matter: a repeat finds the change by its key.
        let _ = answer.send(durable.and_then(|()| came_to.ok_or_else(nothing)));
    }
}

/// One thing to decide.
pub(crate) struct Input {
    /// Where it waits.
    pub(crate) lane: Lane,
    /// Since when.
    pub(crate) made_at: Timestamp,
    pub(crate) bytes: usize,
    pub(crate) deadline: Timestamp,
    pub(crate) trace: TraceContext,
    /// What every line carries that is told while it is decided.
    pub(crate) span: Span,
    pub(crate) draw: Draw,
    pub(crate) decider: Box<dyn Decider>,
    /// Whether nobody is there to be refused to: then its decider puts it aside if it is refused or broken.
    pub(crate) puts_aside: bool,
    /// When it was first decided; its time from then on.
    pub(crate) now: Option<Timestamp>,
    /// How often rows that it read had changed before its commit.
    pub(crate) strikes: u32,
    /// Whether some commit that it was part of may or may not have happened.
    pub(crate) unknown: bool,
    /// Why it is to be put aside, once it proved broken.
    pub(crate) broken: Option<String>,
    /// What it came to when it was last decided.
    pub(crate) outcome: Result<(), Fault>,
    /// The rows it looked at then.
    pub(crate) looked_at: Vec<RowName>,
}

/// `decide` as a decider, and what it will come to.
pub(crate) fn asked<T: Send + 'static>(
    decide: impl FnMut(&mut Work<'_>, Option<&str>) -> Result<T, Stop> + Send + 'static,
) -> (Box<dyn Decider>, Awaited<T>) {
    let (answer, awaited) = oneshot::channel();
    (Box::new(Asked { decide, came_to: None, answer }), awaited)
}

/// Nobody can say whether it was done.
pub(crate) fn outcome_unknown() -> Fault {
    let detail = "it may or may not have been done; repeat the request with the same Idempotency-Key to learn which";
    let mut fault = Fault::new(FaultKind::OutcomeUnknown, "outcome-unknown", detail);
    fault.retry_after_ms = Some(1000);
    fault
}
