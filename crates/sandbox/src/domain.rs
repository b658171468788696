//! What the provider decides, as pure functions: intents and what may be done to them, tokens, faults, signatures.
//! Leaves rows, clocks and answers to the other files.

pub(crate) mod demand;
pub(crate) mod faults;
pub(crate) mod intent;
pub(crate) mod signature;
