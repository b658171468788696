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
}

/// The switches of this process.
#[derive(Clone, Copy, Debug)]
pub struct Sabotage;

#[cfg(feature = "sabotage")]
mod switches {
    use std::sync::atomic::AtomicBool;
    pub(super) static OFF: [AtomicBool; 8] = [const { AtomicBool::new(false) }; 8];
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
