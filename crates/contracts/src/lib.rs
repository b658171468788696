//! What services say to each other and to clients: events, commands, and the words in them; one module per service.
//! Leaves every rule to the services: nothing here decides.
//!
//! An event is named `<aggregate>.<what happened>` with a version; every version ever published keeps a stored example
//! under `examples/`, which must load for ever.

pub mod audit;
pub mod catalog;
pub mod delivery;
mod envelope;
pub mod identity;
pub mod inventory;
pub mod orders;
pub mod payments;
mod words;

pub use envelope::{Envelope, Event, Place};
pub use words::{
    Address, CartId, OrderId, PersonId, Point, ProductId, Quantity, RefundId, Sku, Slot, SlotKey, StoreId, WordError,
};

/// Type and version of every event and command that exists, for the tests that enumerate them.
#[must_use]
pub fn every_event() -> Vec<EventInfo> {
    [catalog::EVENTS, delivery::EVENTS, identity::EVENTS, inventory::EVENTS, orders::EVENTS, payments::EVENTS].concat()
}

/// One kind of event.
#[derive(Clone, Copy, Debug)]
pub struct EventInfo {
    /// As `order.placed.v1`.
    pub kind: &'static str,
    /// The topic it travels on.
    pub topic: &'static str,
    /// Loads a stored example and gives it back as it would be sent today.
    pub reload: fn(&str) -> Result<String, serde_json::Error>,
}

/// What an event of before there were several attempts counts as.
pub(crate) fn first() -> i64 {
    1
}

/// Whether it need not be said.
pub(crate) fn is_first(attempt: &i64) -> bool {
    *attempt == 1
}

/// Declares events: a struct each, its kind, its topic, and where it goes; and the module's list `EVENTS`.
macro_rules! events {
    ($topic_default:literal; $($(#[$doc:meta])* $name:ident = $kind:literal $(on $topic:literal)? at |$this:ident| $place:expr => { $($(#[$field_doc:meta])* $field:ident : $type:ty,)* })+) => {
        $(
            $(#[$doc])*
            #[derive(Clone, PartialEq, Debug, serde::Serialize, serde::Deserialize)]
            pub struct $name {
                $($(#[$field_doc])* pub $field: $type,)*
            }

            impl $crate::Event for $name {
                const KIND: &'static str = $kind;
                const TOPIC: &'static str = events!(@topic $topic_default $(, $topic)?);

                fn place(&self) -> $crate::Place {
                    let $this = self;
                    $place
                }
            }
        )+

        /// Every event and command of this module.
        pub const EVENTS: &[$crate::EventInfo] = &[$($crate::EventInfo {
            kind: $kind,
            topic: events!(@topic $topic_default $(, $topic)?),
            reload: |text| serde_json::from_str::<$name>(text).and_then(|event| serde_json::to_string_pretty(&event)),
        },)+];
    };
    (@topic $default:literal) => { $default };
    (@topic $default:literal, $topic:literal) => { $topic };
}
pub(crate) use events;
