//! Switches that take one mechanism away, so that a test can show that the suite sees its absence.
//! Without the feature `sabotage` every switch is the constant `false` and costs nothing.

/// What can be switched off.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(usize)]
pub enum Mechanism {
    /// The head row is a statement of its own and the first one.
    HeadFirst,
    /// The head row's epoch is compared.
    Epoch,
    /// A row to be written must be at its expected version.
    Version,
    /// A row that was only read must be at its expected version.
    ReadOnly,
    /// `CHECK` constraints of the tables (read when migrations are applied).
    Check,
    /// A cursor moves by compare-and-set.
    Cursor,
    /// An event is applied only if the one before it was.
    Chain,
    /// An idempotency key is looked for and stored.
    Key,
    /// The answer of a worker counts only for the attempt that it was asked for.
    Attempt,
    /// A timer's row is looked at when it fires, and goes in the same batch.
    TimerOnce,
}

impl Mechanism {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::HeadFirst,
        Self::Epoch,
        Self::Version,
        Self::ReadOnly,
        Self::Check,
        Self::Cursor,
        Self::Chain,
        Self::Key,
        Self::Attempt,
        Self::TimerOnce,
    ];

    /// Its name, as whoever starts a process with it switched off writes it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::HeadFirst => "head-first",
            Self::Epoch => "epoch",
            Self::Version => "version",
            Self::ReadOnly => "read-only",
            Self::Check => "check",
            Self::Cursor => "cursor",
            Self::Chain => "chain",
            Self::Key => "key",
            Self::Attempt => "attempt",
            Self::TimerOnce => "timer-once",
        }
    }
}

/// The switches of this process.
#[derive(Clone, Copy, Debug)]
pub struct Sabotage;

#[cfg(feature = "sabotage")]
mod switches {
    use std::sync::atomic::AtomicBool;

    use super::Mechanism;

    pub(super) static OFF: [AtomicBool; Mechanism::ALL.len()] = [const { AtomicBool::new(false) }; Mechanism::ALL.len()];
}

impl Sabotage {
    /// Whether `mechanism` is switched off.
    #[cfg(feature = "sabotage")]
    #[must_use]
    pub fn off(mechanism: Mechanism) -> bool {
        switches::OFF[mechanism as usize].load(std::sync::atomic::Ordering::Relaxed)
    }

    /// Whether `mechanism` is switched off: never, in a build without the feature `sabotage`.
    #[cfg(not(feature = "sabotage"))]
    #[must_use]
    pub const fn off(_mechanism: Mechanism) -> bool {
        false
    }

    /// Switches `mechanism` off or on again, for the whole process.
    #[cfg(feature = "sabotage")]
    pub fn switch(mechanism: Mechanism, off: bool) {
        switches::OFF[mechanism as usize].store(off, std::sync::atomic::Ordering::Relaxed);
    }
}
