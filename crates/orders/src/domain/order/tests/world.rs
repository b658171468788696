//! An order among the services it lives with, each as it behaves towards an order: it takes what was said to it in turn, and
//! its answers stay in its order. What happens next of all this is anybody's choice, until nothing is left to do; then the
//! order has ended and all agree how.

use std::collections::{BTreeSet, VecDeque};

use proptest::prelude::*;

use super::*;

/// What may be next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Act {
    InventoryTakes,
    PaymentsTakes,
    DeliveryTakes,
    ProviderAnswers,
    CourierMoves,
    HearInventory,
    HearPayments,
    HearDelivery,
    Pick,
    Ready,
    HoldRunsOut,
    BankAsks,
    AuthorisationGoes,
    SlotIsWithdrawn,
    CourierDropsOut,
    HearAgain,
    ShopperCancels,
    ManagerCancels,
    PaysAgain,
    ShortPick,
    DeliverAgain,
    BringBack,
    Refund,
    TimerFires,
}

/// What goes on by itself until nothing is left to do.
const ENGINE: [Act; 10] = [
    Act::InventoryTakes,
    Act::PaymentsTakes,
    Act::DeliveryTakes,
    Act::ProviderAnswers,
    Act::CourierMoves,
    Act::HearInventory,
    Act::HearPayments,
    Act::HearDelivery,
    Act::Pick,
    Act::Ready,
];

const RARE: [Act; 14] = [
    Act::HoldRunsOut,
    Act::BankAsks,
    Act::AuthorisationGoes,
    Act::SlotIsWithdrawn,
    Act::CourierDropsOut,
    Act::HearAgain,
    Act::ShopperCancels,
    Act::ManagerCancels,
    Act::PaysAgain,
    Act::ShortPick,
    Act::DeliverAgain,
    Act::BringBack,
    Act::Refund,
    Act::TimerFires,
];

fn any_act() -> impl Strategy<Value = Act> {
    prop_oneof![5 => prop::sample::select(ENGINE.to_vec()), 2 => prop::sample::select(RARE.to_vec())]
}

/// Where delivery has the goods.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Goods {
    /// Nothing is to be brought yet.
    None,
    /// They wait in the store.
    Waiting,
    /// A courier has them, in this try.
    Out,
    /// They could not be handed over; the courier has them still.
    Failed,
    HandedOver,
    Withdrawn,
}

/// What is said to another service.
#[derive(Clone, Debug)]
enum Told {
    Request,
    Said(Said),
}

struct World {
    order: Order,
    said: Vec<&'static str>,
    last: Option<Heard>,
    to_inventory: VecDeque<Told>,
    to_payments: VecDeque<Told>,
    to_delivery: VecDeque<Told>,
    from_inventory: VecDeque<Heard>,
    from_payments: VecDeque<Heard>,
    from_delivery: VecDeque<Heard>,
    hold: Hold,
    held: BTreeMap<Sku, i64>,
    /// The means of payment that the provider is asked about, if it is.
    asked: Option<i64>,
    attempt: i64,
    payment: Payment,
    void_wanted: bool,
    refunds: VecDeque<(RefundId, Money)>,
    refunded: i64,
    goods: Goods,
    assigned: bool,
    try_no: i64,
}

impl World {
    fn new() -> Self {
        Self {
            order: placed(),
            said: Vec::new(),
            last: None,
            to_inventory: VecDeque::from([Told::Request]),
            to_payments: VecDeque::new(),
            to_delivery: VecDeque::new(),
            from_inventory: VecDeque::new(),
            from_payments: VecDeque::new(),
            from_delivery: VecDeque::new(),
            hold: Hold::Requested,
            held: [(sku("MILK"), 5), (sku("SOAP"), 1)].into(),
            asked: None,
            attempt: 1,
            payment: Payment::Created,
            void_wanted: false,
            refunds: VecDeque::new(),
            refunded: 0,
            goods: Goods::None,
            assigned: false,
            try_no: 1,
        }
    }

    /// Does `act` if it can be done now, and tells whether it was. `good` decides what can go either way.
    fn act(&mut self, act: Act, good: bool) -> bool {
        match act {
            Act::InventoryTakes => self.to_inventory.pop_front().map(|told| self.inventory(&told, good)).is_some(),
            Act::PaymentsTakes => self.to_payments.pop_front().map(|told| self.payments(&told)).is_some(),
            Act::DeliveryTakes => self.to_delivery.pop_front().map(|told| self.delivery(&told)).is_some(),
            Act::ProviderAnswers => self.provider(good),
            Act::CourierMoves => self.courier(good),
            Act::HearInventory => self.from_inventory.pop_front().is_some_and(|heard| self.hear(heard)),
            Act::HearPayments => self.from_payments.pop_front().is_some_and(|heard| self.hear(heard)),
            Act::HearDelivery => self.from_delivery.pop_front().is_some_and(|heard| self.hear(heard)),
            Act::HearAgain => self.last.clone().is_some_and(|heard| self.hear(heard)),
            Act::HoldRunsOut => self.run_out_hold(),
            Act::BankAsks => self.bank_asks(),
            Act::AuthorisationGoes => self.payment == Payment::Authorised && self.pay(Payment::Expired),
            Act::SlotIsWithdrawn => self.withdraw_slot(),
            Act::CourierDropsOut => self.drop_out(),
            Act::Pick => self.step(&pick()),
            Act::Ready => self.step(&ready()),
            Act::ShopperCancels => self.step(&cancel(Part::Shopper)),
            Act::ManagerCancels => self.step(&cancel(Part::Manager)),
            Act::PaysAgain => self.step(&pay_again()),
            Act::ShortPick => {
                let milk = self.order.units_now(&sku("MILK"));
                let picks = if good { vec![("MILK", (milk - 1).max(0))] } else { vec![("MILK", 0), ("SOAP", 0)] };
                self.step(&short(&picks))
            }
            Act::DeliverAgain => self.step(&again()),
            Act::BringBack => self.step(&bring_back()),
            Act::Refund => {
                let seed = u64::try_from(self.order.refunds.len()).unwrap();
                self.step(&refund(seed, if good { Share::Amount(usd(500)) } else { Share::All }))
            }
            Act::TimerFires => !self.order.state.is_final() && self.step(&Step::Wait),
        }
    }

    fn hear(&mut self, heard: Heard) -> bool {
        self.last = Some(heard.clone());
        self.step(&Step::Hear(heard))
    }

    fn step(&mut self, step: &Step) -> bool {
        let asks_again = matches!(step, Step::Wait) && self.order.state.is_ending();
        let Ok(said) = take(&mut self.order, step) else { return false };
        assert_sound(&self.order);
        for said in said {
            if !asks_again {
                self.said.push(word(&said));
            }
            match said {
                Said::Commit(_) | Said::Release(_) | Said::Reduce(_) | Said::Consume(_) => {
                    self.to_inventory.push_back(Told::Said(said));
                }
                Said::Reserved(_) | Said::PaymentAgain(_) | Said::Delivered(_) | Said::RefundRequested(_) => {
                    self.to_payments.push_back(Told::Said(said));
                }
                Said::Confirmed(_) | Said::Ready(_) | Said::Recalled(_) | Said::DeliveryAgain(_) => {
                    self.to_delivery.push_back(Told::Said(said));
                }
                Said::Cancelling(_) => {
                    self.to_payments.push_back(Told::Said(said.clone()));
                    self.to_delivery.push_back(Told::Said(said));
                }
                _ => {}
            }
        }
        true
    }

    fn inventory(&mut self, told: &Told, enough: bool) {
        let Step::Hear(Heard::Hold(short)) = rejected() else { return };
        let over = self.hold.is_over();
        let next = match told {
            Told::Request if enough => Hold::Reserved { expires_at: at(600_000) },
            Told::Request => short,
            Told::Said(Said::Commit(_)) if over => Hold::Expired,
            Told::Said(Said::Commit(_)) => Hold::Committed,
            Told::Said(Said::Release(_)) => Hold::Released,
            Told::Said(Said::Consume(_)) if self.hold == Hold::Committed => Hold::Consumed,
            Told::Said(Said::Reduce(reduce)) => {
                self.held.extend(reduce.lines.iter().map(|kept| (kept.sku.clone(), kept.units)));
                return;
            }
            Told::Said(_) => return,
        };
        self.from_inventory.push_back(Heard::Hold(next.clone()));
        if !over {
            self.hold = next;
        }
    }

    fn run_out_hold(&mut self) -> bool {
        let runs = matches!(self.hold, Hold::Reserved { .. });
        if runs {
            self.hold = Hold::Expired;
            self.from_inventory.push_back(Heard::Hold(Hold::Expired));
        }
        runs
    }

    fn withdraw_slot(&mut self) -> bool {
        let holds = matches!(self.hold, Hold::Reserved { .. } | Hold::Committed);
        if holds {
            self.from_inventory.push_back(Heard::SlotWithdrawn { reason: "the van broke down".to_owned() });
        }
        holds
    }

    fn payments(&mut self, told: &Told) {
        let Told::Said(said) = told else { return };
        match (said, &self.payment) {
            (Said::Reserved(_), Payment::Created) if !self.void_wanted => self.asked = Some(1),
            (Said::PaymentAgain(event), Payment::Declined { .. }) if !self.void_wanted => {
                (self.asked, self.attempt, self.payment) = (Some(event.attempt), event.attempt, Payment::Created);
            }
            (Said::Cancelling(_), Payment::Created | Payment::ActionRequired { .. }) if self.asked.is_some() => {
                self.void_wanted = true;
            }
            (Said::Cancelling(_), Payment::Captured { .. }) => panic!("given back what was taken: {:?}", self.order),
            (Said::Cancelling(_), _) => {
                self.void_wanted = true;
                self.pay(Payment::Voided);
            }
            (Said::Delivered(event), Payment::Authorised) => {
                assert!(event.amount.minor <= TOTAL);
                self.pay(Payment::Captured { amount: event.amount });
            }
            (Said::RefundRequested(event), Payment::Captured { .. }) => self.refunds.push_back((event.refund, event.amount)),
            _ => {}
        }
    }

    fn bank_asks(&mut self) -> bool {
        self.asked.is_some()
            && self.payment == Payment::Created
            && self.pay(Payment::ActionRequired { url: "https://bank.example/3ds".to_owned(), until: at(540_000) })
    }

    /// What the provider is asked about comes to something: the money, a refund.
    fn provider(&mut self, good: bool) -> bool {
        if let Some((refund, amount)) = self.refunds.pop_front() {
            self.refunded += if good { amount.minor } else { 0 };
            let refunded = usd(self.refunded);
            let failed = Heard::RefundFailed { refund, reason: "card-closed".to_owned() };
            self.from_payments.push_back(if good { Heard::Refunded { refund, amount, refunded } } else { failed });
            return true;
        }
        if self.asked.take().is_none() {
            return false;
        }
        let asked_shopper = matches!(self.payment, Payment::ActionRequired { .. });
        match (self.void_wanted, good) {
            (true, _) => self.pay(Payment::Voided),
            (false, true) => self.pay(Payment::Authorised),
            // Nobody did what the bank asked for.
            (false, false) if asked_shopper => self.pay(Payment::Voided),
            (false, false) => self.pay(Payment::Declined { reason: "card-declined".to_owned() }),
        }
    }

    fn pay(&mut self, next: Payment) -> bool {
        let whole = matches!(next, Payment::Expired | Payment::Captured { .. } | Payment::Voided);
        self.payment = next.clone();
        let heard = if whole { Heard::Payment(next) } else { Heard::Attempt(self.attempt, next) };
        self.from_payments.push_back(heard);
        true
    }

    fn delivery(&mut self, told: &Told) {
        let Told::Said(said) = told else { return };
        match (said, self.goods) {
            (_, Goods::Withdrawn) => self.from_delivery.push_back(Heard::Withdrawn),
            (Said::Confirmed(_), _) => self.from_delivery.push_back(Heard::Pin("4071".to_owned())),
            (Said::Ready(_), Goods::None) => self.goods = Goods::Waiting,
            (Said::DeliveryAgain(event), Goods::Failed | Goods::Waiting) => {
                self.try_no = event.attempt;
                if self.goods == Goods::Failed {
                    self.goods = Goods::Out;
                    self.from_delivery.push_back(Heard::PickedUp(self.try_no));
                }
            }
            (Said::Cancelling(_), Goods::Out | Goods::Failed | Goods::HandedOver) => {
                panic!("given back what is not back: {:?}", self.order)
            }
            // Handed over before: that was said.
            (Said::Recalled(_), Goods::HandedOver) => {}
            (Said::Recalled(_) | Said::Cancelling(_), goods) => {
                if matches!(goods, Goods::Out | Goods::Failed) {
                    self.from_delivery.push_back(Heard::Returned);
                }
                self.goods = Goods::Withdrawn;
                self.from_delivery.push_back(Heard::Withdrawn);
            }
            _ => {}
        }
    }

    fn courier(&mut self, good: bool) -> bool {
        match (self.goods, good) {
            (Goods::Waiting, true) => {
                self.goods = Goods::Out;
                self.from_delivery.extend([Heard::Courier("Amara".to_owned()), Heard::PickedUp(self.try_no)]);
            }
            (Goods::Waiting, false) if !self.assigned => {
                self.assigned = true;
                self.from_delivery.push_back(Heard::Courier("Bo".to_owned()));
            }
            (Goods::Out, true) => {
                self.goods = Goods::HandedOver;
                self.from_delivery.extend([Heard::Arrived(self.try_no), Heard::Delivered]);
            }
            (Goods::Out, false) => {
                self.goods = Goods::Failed;
                let Step::Hear(heard) = failed(self.try_no) else { return false };
                self.from_delivery.push_back(heard);
            }
            _ => return false,
        }
        true
    }

    fn drop_out(&mut self) -> bool {
        let waits = self.assigned && self.goods == Goods::Waiting;
        if waits {
            self.assigned = false;
            self.from_delivery.push_back(Heard::Unassigned { reason: "courier-dropped-out".to_owned() });
        }
        waits
    }

    /// Lets everything go on until nothing is left to do; a timer fires only when all else stands still.
    fn run_out(&mut self, good: bool) -> Result<(), TestCaseError> {
        for _ in 0..100 {
            let mut moved = false;
            for act in ENGINE {
                moved |= self.act(act, good);
            }
            if !moved && !self.act(Act::TimerFires, good) {
                return Ok(());
            }
        }
        Err(TestCaseError::fail(format!("it goes on and on: {:?}", self.order)))
    }

    fn check_end(&self) -> Result<(), TestCaseError> {
        let order = &self.order;
        prop_assert!(order.state.is_final(), "stuck in {:?}", order);
        prop_assert_eq!(&order.payment, &self.payment);
        prop_assert_eq!(order.refunded(), usd(self.refunded));
        let short = matches!(self.hold, Hold::Rejected { .. });
        let agreed = match order.state {
            State::Delivered => {
                // What the provider let go on the way cannot be captured any more.
                let paid = self.payment == Payment::Captured { amount: order.total } || self.payment == Payment::Expired;
                let held: i64 = self.held.values().sum();
                let left: i64 = order.lines_now().iter().map(|line| line.quantity).sum();
                self.hold == Hold::Consumed && paid && self.goods == Goods::HandedOver && held == left
            }
            State::Cancelled => {
                let given_back = short || matches!(self.hold, Hold::Expired | Hold::Released);
                given_back && self.payment == Payment::Voided && self.goods == Goods::Withdrawn
            }
            _ => short && self.payment == Payment::Created,
        };
        let (hold, payment, goods) = (&self.hold, &self.payment, self.goods);
        prop_assert!(agreed, "hold {:?} of {:?}, payment {:?}, goods {:?}: {:?}", hold, self.held, payment, goods, order);
        let often = ["payment-again", "payment-failed", "short-picked", "reduce", "delivery-again", "refund-requested"];
        let said: Vec<&str> = self.said.iter().copied().filter(|word| !often.contains(word)).collect();
        let once: BTreeSet<&str> = said.iter().copied().collect();
        prop_assert_eq!(once.len(), said.len(), "said twice: {:?}", self.said);
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn every_order_ends_and_all_agree_how(acts in prop::collection::vec((any_act(), prop::bool::weighted(0.7)), 0..120), good: bool) {
        let mut world = World::new();
        for (act, good) in acts {
            world.act(act, good);
        }
        world.run_out(good)?;
        world.check_end()?;
    }
}
