//! Who may call a route, stated at its registration and checked before its handler runs and its body is read.
//! Leaves the check of the object (whose cart, which store) to the service.

use std::fmt;

use axum::http::HeaderMap;
use kernel::Fault;

use crate::caller::{Caller, Role, unauthenticated};

/// One kind of caller.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Who {
    /// Everyone, known or not.
    Anyone,
    /// Whoever shows a capability of a cart; the service checks that it is genuine and of which cart.
    CartBearer,
    /// Whoever sends a key in the header of this name, in lower case; the service checks that it is the right one.
    KeyHolder(&'static str),
    /// Any person with a valid token.
    SignedIn,
    /// A person with this role in any store; an admin has every role.
    Role(Role),
}

impl Who {
    fn covers(self, caller: &Caller, headers: &HeaderMap) -> bool {
        match self {
            Self::Anyone => true,
            Self::CartBearer => caller.capability.is_some(),
            Self::KeyHolder(header) => headers.contains_key(header),
            Self::SignedIn => caller.person.is_some(),
            Self::Role(role) => caller.has(role) || caller.has(Role::Admin),
        }
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anyone => f.write_str("anyone"),
            Self::CartBearer => f.write_str("cart-bearer"),
            Self::KeyHolder(_) => f.write_str("key-holder"),
            Self::SignedIn => f.write_str("signed-in"),
            Self::Role(role) => role.fmt(f),
        }
    }
}

/// The callers that a route is for; one that is in none of its kinds is refused.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Access(Vec<Who>);

impl Access {
    /// Callers of at least one of these kinds; of none, if there are none.
    #[must_use]
    pub fn any_of(kinds: impl IntoIterator<Item = Who>) -> Self {
        Self(kinds.into_iter().collect())
    }

    /// Everyone.
    #[must_use]
    pub fn anyone() -> Self {
        Self::any_of([Who::Anyone])
    }

    /// Whoever shows a capability of a cart.
    #[must_use]
    pub fn cart_bearer() -> Self {
        Self::any_of([Who::CartBearer])
    }

    /// Whoever sends a key in the header of this name, in lower case.
    #[must_use]
    pub fn key_holder(header: &'static str) -> Self {
        Self::any_of([Who::KeyHolder(header)])
    }

    /// Any person with a valid token.
    #[must_use]
    pub fn signed_in() -> Self {
        Self::any_of([Who::SignedIn])
    }

    /// Customers.
    #[must_use]
    pub fn customer() -> Self {
        Self::role(Role::Customer)
    }

    /// Couriers.
    #[must_use]
    pub fn courier() -> Self {
        Self::role(Role::Courier)
    }

    /// Admins only.
    #[must_use]
    pub fn admin() -> Self {
        Self::role(Role::Admin)
    }

    /// Everybody who works in a store: managers, pickers and dispatchers.
    #[must_use]
    pub fn staff() -> Self {
        Self::any_of([Role::Manager, Role::Picker, Role::Dispatcher].map(Who::Role))
    }

    /// Persons with `role`.
    #[must_use]
    pub fn role(role: Role) -> Self {
        Self::any_of([Who::Role(role)])
    }

    /// These callers, and those of one more kind.
    #[must_use]
    pub fn or(mut self, who: Who) -> Self {
        self.0.push(who);
        self
    }

    /// The kinds, for tests that enumerate routes and callers.
    #[must_use]
    pub fn kinds(&self) -> &[Who] {
        &self.0
    }

    /// Lets `caller` pass, or says what is wanted: 401 if no person is known, 403 if another is needed.
    pub fn check(&self, caller: &Caller, headers: &HeaderMap) -> Result<(), Fault> {
        if self.0.iter().any(|who| who.covers(caller, headers)) {
            return Ok(());
        }
        let wanted = format!("this is for {}", self.in_words());
        let nobody_shown = caller.person.is_none() && (caller.capability.is_none() || !self.0.contains(&Who::CartBearer));
        if nobody_shown { Err(unauthenticated(wanted)) } else { Err(Fault::forbidden(wanted)) }
    }

    fn in_words(&self) -> String {
        let words = self.0.iter().map(|who| match who {
            Who::Anyone => "anyone".to_owned(),
            Who::CartBearer => "whoever sends the capability of the cart as `Cart-Capability`".to_owned(),
            Who::KeyHolder(header) => format!("whoever sends the service's key in the header `{header}`"),
            Who::SignedIn => "whoever is signed in and sends their token as `Authorization: Bearer …`".to_owned(),
            Who::Role(role) => format!("a person with the role {role} who sends their token as `Authorization: Bearer …`"),
        });
        let words: Vec<String> = words.collect();
        if words.is_empty() { "nobody".to_owned() } else { words.join(", or ") }
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, who) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { " | " };
            write!(f, "{separator}{who}")?;
        }
        if self.0.is_empty() { f.write_str("nobody") } else { Ok(()) }
    }
}
