//! The rules of delivery, pure: a store's form, a courier's duty, the machine of a delivery, the two kept in agreement,
//! and who is offered what. Leaves rows, events and time to the deciders.

pub(crate) mod assignment;
pub(crate) mod courier;
pub(crate) mod delivery;
pub(crate) mod dispatch;
pub(crate) mod offers;
pub(crate) mod state;
pub(crate) mod store;
pub(crate) mod turn;
