//! Who is calling: the person a token names, the cart whose capability was shown, and which request it is.
//! Leaves the proof of a token to `token`, and what a caller may do with one object to the service.

use std::fmt;
use std::str::FromStr;

use kernel::{Fault, FaultKind, Id, TraceContext};
use serde::{Deserialize, Serialize};

/// The header in which a cart's capability is shown.
pub const CART_CAPABILITY: &str = "cart-capability";

/// The header that names one request, in both directions.
pub const REQUEST_ID: &str = "x-request-id";

/// The header that says to which trace a request belongs (W3C Trace Context), in both directions.
pub const TRACEPARENT: &str = "traceparent";

/// What a person is in the shop.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Runs the installation and may do everything.
    Admin,
    /// Runs one store or all of them: catalogue, prices, stock, refunds.
    Manager,
    /// Picks and packs orders.
    Picker,
    /// Gives deliveries to couriers.
    Dispatcher,
    /// Brings orders to the door.
    Courier,
    /// Buys.
    Customer,
}

impl Role {
    /// Every role, for tests and tables that enumerate them.
    pub const ALL: [Self; 6] = [Self::Admin, Self::Manager, Self::Picker, Self::Dispatcher, Self::Courier, Self::Customer];

    /// The kebab-case word of the role.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Manager => "manager",
            Self::Picker => "picker",
            Self::Dispatcher => "dispatcher",
            Self::Courier => "courier",
            Self::Customer => "customer",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text is no role.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RoleParseError;

impl fmt::Display for RoleParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a role: expected admin, manager, picker, dispatcher, courier or customer")
    }
}

impl std::error::Error for RoleParseError {}

impl FromStr for Role {
    type Err = RoleParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|role| role.as_str() == text).ok_or(RoleParseError)
    }
}

/// One role, in one store or in all of them.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Grant {
    /// What the person is.
    pub role: Role,
    /// Where; `None` is every store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store: Option<Id>,
}

/// A person as identity's token names them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Person {
    /// The customer, member of staff or courier.
    pub id: Id,
    /// How to address them.
    pub name: String,
    /// What they are, and where.
    pub grants: Vec<Grant>,
}

/// Whoever sent a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Caller {
    /// The person, if a valid token was shown.
    pub person: Option<Person>,
    /// The text of the header `Cart-Capability` as it came; only orders can tell whether it is genuine.
    pub capability: Option<String>,
    /// The name of this request, in its logs and in its answer.
    pub request_id: String,
    /// The trace that this request belongs to, handed to every event it causes.
    pub trace: TraceContext,
}

impl Caller {
    /// The person, or a fault that asks for a token.
    pub fn person(&self) -> Result<&Person, Fault> {
        self.person
            .as_ref()
            .ok_or_else(|| unauthenticated("this needs a token: sign in and send it as `Authorization: Bearer …`"))
    }

    /// Whether the caller has `role` in any store.
    #[must_use]
    pub fn has(&self, role: Role) -> bool {
        self.grants().iter().any(|grant| grant.role == role)
    }

    /// Whether the caller may act as `role` in `store`: by a grant there, by one for all stores, or as admin.
    #[must_use]
    pub fn may(&self, role: Role, store: Id) -> bool {
        let covers = |grant: &Grant| grant.store.is_none_or(|granted| granted == store);
        self.grants().iter().any(|grant| grant.role == Role::Admin || (grant.role == role && covers(grant)))
    }

    fn grants(&self) -> &[Grant] {
        self.person.as_ref().map_or(&[], |person| &person.grants)
    }
}

/// Nobody has shown who is calling; `detail` says what is wanted.
pub(crate) fn unauthenticated(detail: impl Into<String>) -> Fault {
    Fault::new(FaultKind::Unauthenticated, "unauthenticated", detail)
}
