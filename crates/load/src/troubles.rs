//! What goes wrong on purpose: some orders meet one trouble each, and whoever it concerns makes it happen.
//! Leaves what the shop makes of it to the shop, and counting to `figures`.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use contracts::{OrderId, StoreId};
use kernel::Draw;
use serde_json::{Value, json};

use crate::client::{Ask, Client};
use crate::error::LoadError;
use crate::people::Session;

/// One trouble of one order.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub(crate) enum Trouble {
    /// The shopper gives the order up at once.
    CancelledAtOnce,
    /// The shopper gives the order up as soon as it is confirmed.
    CancelledConfirmed,
    /// The store gives the order up while it is picked.
    CancelledPicking,
    /// The store calls the order back when it waits for its courier, or is on its way.
    Recalled,
    /// The first card is declined, the second is good.
    OtherCard,
    /// The bank asks the shopper, who says yes.
    ActionApproved,
    /// The bank asks the shopper, who says no and takes another card.
    ActionRefused,
    /// One unit less than was ordered is there.
    ShortPick,
    /// Nothing of what was ordered is there.
    NothingLeft,
    /// The first courier declines.
    CourierDeclines,
    /// The first courier gives the order back before picking it up.
    CourierDrops,
    /// Nobody opens; the second try is good.
    TriedAgain,
    /// Nobody opens; the goods go back.
    Returned,
    /// Some of the money is given back afterwards.
    RefundedInPart,
    /// All of the money is given back afterwards.
    RefundedInFull,
}

impl Trouble {
    const ALL: [Self; 15] = [
        Self::CancelledAtOnce,
        Self::CancelledConfirmed,
        Self::CancelledPicking,
        Self::Recalled,
        Self::OtherCard,
        Self::ActionApproved,
        Self::ActionRefused,
        Self::ShortPick,
        Self::NothingLeft,
        Self::CourierDeclines,
        Self::CourierDrops,
        Self::TriedAgain,
        Self::Returned,
        Self::RefundedInPart,
        Self::RefundedInFull,
    ];

    /// As it is counted.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::CancelledAtOnce => "cancelled at once",
            Self::CancelledConfirmed => "cancelled when confirmed",
            Self::CancelledPicking => "cancelled by the store while picked",
            Self::Recalled => "called back by the store",
            Self::OtherCard => "declined, then another card",
            Self::ActionApproved => "bank asked, approved",
            Self::ActionRefused => "bank asked, refused, then another card",
            Self::ShortPick => "short pick",
            Self::NothingLeft => "nothing left to pick",
            Self::CourierDeclines => "courier declines",
            Self::CourierDrops => "courier drops out",
            Self::TriedAgain => "failed, tried again",
            Self::Returned => "failed, returned",
            Self::RefundedInPart => "refunded in part",
            Self::RefundedInFull => "refunded in full",
        }
    }

    /// The card that the shopper begins with, where the trouble needs another than the usual one.
    pub(crate) fn token(self) -> Option<&'static str> {
        match self {
            Self::OtherCard => Some("tok_decline"),
            Self::ActionApproved | Self::ActionRefused => Some("tok_action"),
            _ => None,
        }
    }

    /// The trouble of one basket of which `percent` meet one.
    pub(crate) fn draw(draw: &mut Draw, percent: u64) -> Option<Self> {
        let meets = draw.below(100) < percent;
        let which = usize::try_from(draw.below(Self::ALL.len() as u64)).unwrap_or_default();
        meets.then(|| Self::ALL[which])
    }
}

/// Which order is to meet what; each trouble is met once.
#[derive(Default)]
pub(crate) struct Plans(Mutex<HashMap<OrderId, Trouble>>);

impl Plans {
    /// The order is to meet `trouble`.
    pub(crate) fn plan(&self, order: OrderId, trouble: Trouble) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(order, trouble);
    }

    /// Whether the order is still to meet one of `troubles`.
    pub(crate) fn is_any(&self, order: OrderId, troubles: &[Trouble]) -> bool {
        let plans = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        plans.get(&order).is_some_and(|trouble| troubles.contains(trouble))
    }

    /// Whether the order is to meet one of `troubles` now; it is met then.
    pub(crate) fn meets(&self, order: OrderId, troubles: &[Trouble]) -> Option<Trouble> {
        let mut plans = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let planned = plans.get(&order).copied().filter(|trouble| troubles.contains(trouble))?;
        plans.remove(&order);
        Some(planned)
    }
}

/// The managers of the stores, who decide what nobody else may.
#[derive(Default)]
pub(crate) struct Managers(pub(crate) HashMap<StoreId, Session>);

impl Managers {
    /// Does something with an order as the manager of its store. That the order has moved on meanwhile is no error: its
    /// shopper will see.
    pub(crate) async fn post(&self, client: &Client, store: StoreId, path: String, body: Value) -> Result<bool, LoadError> {
        let Some(session) = self.0.get(&store) else {
            return Err(LoadError::Options(format!("store {store} has no manager among the logins")));
        };
        let reply = session.send(&Ask::post(path).key(client.new_key()).body(body)).await?;
        if reply.is_success() || reply.status == 409 { Ok(reply.is_success()) } else { Err(reply.refused()) }
    }

    /// Gives the order up for the store.
    pub(crate) async fn cancel(&self, client: &Client, store: StoreId, order: OrderId) -> Result<bool, LoadError> {
        self.post(client, store, format!("/v1/orders/{order}/cancel"), json!({ "reason": "the store cannot bring it" })).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kernel::{Bucket, Id, Timestamp};

    #[test]
    fn so_many_of_a_hundred_meet_a_trouble_and_every_trouble_comes() {
        let mut draw = Draw::seeded(1);
        let drawn: Vec<Trouble> = (0..10_000).filter_map(|_| Trouble::draw(&mut draw, 20)).collect();
        assert!((1800..2200).contains(&drawn.len()), "{}", drawn.len());
        assert!(Trouble::ALL.iter().all(|trouble| drawn.contains(trouble)));
        assert_eq!(Trouble::draw(&mut draw, 0), None);
    }

    #[test]
    fn a_trouble_is_met_once_and_by_whom_it_concerns() {
        let order = OrderId(Id::new(Timestamp::from_millis(1), Bucket(1), &mut Draw::seeded(1)));
        let plans = Plans::default();
        plans.plan(order, Trouble::ShortPick);
        assert_eq!(plans.meets(order, &[Trouble::Returned]), None);
        assert_eq!(plans.meets(order, &[Trouble::ShortPick, Trouble::NothingLeft]), Some(Trouble::ShortPick));
        assert_eq!(plans.meets(order, &[Trouble::ShortPick]), None);
    }
}
