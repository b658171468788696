//! What payments decides, as pure functions: the machine of a payment, the provider's words, the audit.
//! Leaves rows, clocks and calls to the other files.

pub(crate) mod audit;
pub(crate) mod outcome;
pub(crate) mod payment;
