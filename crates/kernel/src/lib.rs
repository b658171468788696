//! The words every other crate speaks: ids and buckets, money, instants, chance, faults and the ports to the world.
//! Leaves every protocol, driver and rule of business to others: no I/O happens here and no runtime is known.

mod fail_point;
mod fault;
mod id;
mod money;
mod runtime;
mod time;
mod trace;

pub use fail_point::fail_point;
#[cfg(feature = "fail-points")]
pub use fail_point::on_fail_point;
pub use fault::{Fault, FaultKind, FieldFault};
pub use id::{Bucket, Buckets, Id, IdParseError};
pub use money::{BASIS_POINTS, Currency, CurrencyParseError, Money, share_of};
pub use runtime::{BoxFuture, Draw, Runtime};
pub use time::{Millis, Timestamp};
pub use trace::TraceContext;

/// Named types for the ids of one kind of aggregate, so that a cart's id cannot be passed for an order's.
#[macro_export]
macro_rules! typed_id {
    ($($(#[$doc:meta])* $name:ident;)+) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $crate::Id);

        impl $name {
            /// The bucket written into the id.
            #[must_use]
            pub fn bucket(self) -> $crate::Bucket {
                self.0.bucket()
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::IdParseError;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }

        impl From<$name> for $crate::Id {
            fn from(id: $name) -> Self {
                id.0
            }
        }
    )+};
}
