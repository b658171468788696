//! The rules of inventory, pure: how a hold lives, what counting and holding do to supply, which slots there are
//! and which were taken away.
//! Leaves rows to `store` and the order of loading and saving to `service`.

pub(crate) mod hold;
pub(crate) mod slots;
pub(crate) mod supply;
pub(crate) mod timetable;
pub(crate) mod withdrawal;
