//! Which parts of a shop a process is: services, and the gateway in front of them; all of them unless it is told.
//! Leaves what each part does to itself, and where the others answer to `peers`.

use std::collections::BTreeSet;

use crate::tables::SANDBOX;

/// The services that a shop is made of, in the order in which they are named. The sandbox provider rides with payments.
pub(crate) const SERVICES: [&str; 7] = ["identity", "catalog", "orders", "inventory", "payments", "delivery", "notifications"];

/// The part that has no rows of its own: it answers for all.
const GATEWAY: &str = "gateway";

/// What a process is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Roles(BTreeSet<&'static str>);

impl Roles {
    /// The roles of these names; of no names, all.
    pub(crate) fn named(names: &[String]) -> Result<Self, String> {
        let all = || SERVICES.into_iter().chain([GATEWAY]);
        if names.is_empty() {
            return Ok(Self(all().collect()));
        }
        let role = |name: &String| {
            let unknown = || format!("there is no role `{name}`; there are: {}", all().collect::<Vec<_>>().join(", "));
            all().find(|role| role == name).ok_or_else(unknown)
        };
        names.iter().map(role).collect::<Result<_, _>>().map(Self)
    }

    /// Whether this process is the whole shop.
    pub(crate) fn are_all(&self) -> bool {
        self.0.len() == SERVICES.len() + 1
    }

    /// Whether it answers for services that are elsewhere.
    pub(crate) fn have_gateway(&self) -> bool {
        self.0.contains(GATEWAY)
    }

    /// Whether it has any service, and so needs a database.
    pub(crate) fn have_services(&self) -> bool {
        self.0.iter().any(|role| *role != GATEWAY)
    }

    /// Whether `service` is here.
    pub(crate) fn serve(&self, service: &str) -> bool {
        self.0.contains(part_of(service))
    }

    /// The services that are not here.
    pub(crate) fn elsewhere(&self) -> impl Iterator<Item = &'static str> {
        SERVICES.into_iter().filter(|service| !self.serve(service))
    }
}

/// The role whose process `service` is in.
pub(crate) fn part_of(service: &str) -> &str {
    if service == SANDBOX { "payments" } else { service }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(names: &[&str]) -> Result<Roles, String> {
        Roles::named(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn no_name_is_all_and_an_unknown_one_is_told_with_those_that_there_are() {
        let all = named(&[]).unwrap();
        assert!(all.are_all() && all.have_gateway() && all.elsewhere().count() == 0);
        let told = named(&["orders", "till"]).unwrap_err();
        assert!(told.contains("`till`") && SERVICES.iter().all(|role| told.contains(role)) && told.contains(GATEWAY), "{told}");
    }

    #[test]
    fn the_provider_rides_with_payments() {
        let roles = named(&["payments"]).unwrap();
        assert!(roles.serve(SANDBOX) && roles.serve("payments") && !roles.serve("orders"));
        assert!(!roles.are_all() && !roles.have_gateway() && roles.have_services());
        assert_eq!(roles.elsewhere().count(), SERVICES.len() - 1);
        assert!(!named(&["gateway"]).unwrap().have_services());
    }
}
