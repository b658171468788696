//! Who is offered what: first come, first served on both sides, and nobody is asked again at once for what they refused.
//! Leaves making the offers, which are checked again, to `assignment`.

use contracts::{OrderId, PersonId};
use kernel::{Millis, Timestamp};

use super::delivery::Delivery;

/// Pairs of deliveries that wait and couriers who are free, both of one store and in the order of their waiting. Whoever
/// refused a delivery less than `reoffer_after_ms` ago is asked again only if nobody else is left.
pub(crate) fn match_offers(
    waiting: &[Delivery],
    free: &[PersonId],
    now: Timestamp,
    reoffer_after_ms: Millis,
) -> Vec<(OrderId, PersonId)> {
    let mut free = free.to_vec();
    let mut pairs = Vec::new();
    let mut refused = Vec::new();
    for delivery in waiting.iter().filter(|delivery| delivery.may_be_offered(now)) {
        match free.iter().position(|courier| !delivery.offers.refused_by(*courier, now, reoffer_after_ms)) {
            Some(index) => pairs.push((delivery.order, free.remove(index))),
            None => refused.push(delivery.order),
        }
    }
    pairs.extend(refused.into_iter().zip(free));
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::delivery::tests::{at, delivery, offer_to, person, rider, turn};
    use crate::domain::offers::Outcome;
    use crate::domain::turn::By;

    fn waiting(seed: u64, refused_by: &[u64]) -> Delivery {
        let mut delivery = delivery(seed);
        delivery.make_ready(&turn(By::ORDERS, 0));
        for courier in refused_by {
            offer_to(&mut delivery, *courier, 0).unwrap();
            delivery.give_back(Outcome::Declined, &rider(*courier, 1)).unwrap();
        }
        delivery
    }

    #[track_caller]
    fn check(waiting: &[Delivery], free: &[u64], now: Timestamp, expected: &[(usize, u64)]) {
        let free: Vec<PersonId> = free.iter().map(|courier| person(*courier)).collect();
        let expected: Vec<_> = expected.iter().map(|(index, courier)| (waiting[*index].order, person(*courier))).collect();
        assert_eq!(match_offers(waiting, &free, now, 1000), expected);
    }

    #[test]
    fn first_come_first_served() {
        let two = [waiting(1, &[]), waiting(2, &[])];
        check(&two, &[5, 6, 7], at(2), &[(0, 5), (1, 6)]);
        check(&two, &[5], at(2), &[(0, 5)]);
        check(&two, &[], at(2), &[]);
        let too_late = two[0].due_at.unwrap();
        check(&two, &[5, 6], too_late, &[]);
    }

    #[test]
    fn who_refused_is_passed_over_unless_nobody_else_is_free() {
        check(&[waiting(1, &[5])], &[5, 6], at(2), &[(0, 6)]);
        check(&[waiting(1, &[5])], &[5], at(2), &[(0, 5)]);
        check(&[waiting(1, &[5])], &[5, 6], at(2000), &[(0, 5)]);
        check(&[waiting(1, &[5]), waiting(2, &[])], &[5], at(2), &[(1, 5)]);
        check(&[waiting(1, &[5, 6]), waiting(2, &[])], &[5, 6], at(2), &[(1, 5), (0, 6)]);
    }
}
