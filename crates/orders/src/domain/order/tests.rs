//! The machine of an order from every side: its way, each way out, what it refuses, and that nothing that is heard, in
//! whatever order and however often, brings it where it must not be.
//! Leaves who may ask for a move, and what is stored, to the tests of the service.

use std::collections::{BTreeSet, VecDeque};

use contracts::{Point, Quantity, SlotKey};
use kernel::{Bucket, Currency, Draw, Id};
use proptest::prelude::*;

use super::*;

const MARGIN_MS: Millis = 60_000;

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millis(1_764_000_000_000).plus_ms(ms)
}

fn usd(minor: i64) -> Money {
    let currency: Currency = "USD".parse().unwrap();
    Money::new(minor, currency)
}

/// An order that was placed just now.
fn placed() -> Order {
    let id = |seed| Id::new(at(0), Bucket(3), &mut Draw::seeded(seed));
    let line = Line {
        sku: "OAT-MILK".parse().unwrap(),
        name: "Oat milk, 1 qt".to_owned(),
        quantity: Quantity::try_from(3).unwrap(),
        unit_price: usd(400),
        tax: usd(59),
        total: usd(1259),
    };
    Order {
        id: OrderId(id(1)),
        cart: CartId(id(2)),
        customer: None,
        store: StoreId(id(3)),
        contact: Contact { name: "Ada".to_owned(), email: "ada@example.com".to_owned(), phone: String::new() },
        address: Address { street: "1 Elm St".to_owned(), note: String::new(), point: Point { lat: 33.77, lon: -84.36 } },
        slot: Slot { starts_at: SlotKey(at(3_600_000)), ends_at: at(7_200_000), cutoff_at: at(5_400_000) },
        lines: vec![line],
        fee: usd(299),
        tax: usd(59),
        total: usd(1558),
        payment_token: "tok_visa".to_owned(),
        state: State::Placed,
        hold: Hold::Requested,
        payment: Payment::Created,
        delivery: Delivery::default(),
        reason: None,
        history: vec![Moment { state: State::Placed, at: at(0), by: "guest".to_owned() }],
        placed_at: at(0),
    }
}

/// What can happen to an order.
#[derive(Clone, Debug)]
enum Step {
    Hear(Heard),
    Cancel,
    Pick,
    Ready,
}

fn take(order: &mut Order, step: &Step) -> Result<Vec<Said>, Fault> {
    match step {
        Step::Hear(heard) => Ok(order.hear(heard.clone(), at(1), MARGIN_MS)),
        Step::Cancel => order.cancel("gave-up", "shopper", at(1), MARGIN_MS),
        Step::Pick => order.pick("picker", at(1)),
        Step::Ready => order.ready("picker", at(1)),
    }
}

fn hold(hold: Hold) -> Step {
    Step::Hear(Heard::Hold(hold))
}

fn payment(payment: Payment) -> Step {
    Step::Hear(Heard::Payment(payment))
}

fn reserved() -> Step {
    hold(Hold::Reserved { expires_at: at(600_000) })
}

fn rejected() -> Step {
    let milk = Short { thing: Thing::Sku("OAT-MILK".parse().unwrap()), wanted: 3, left: 1 };
    let slot = Short { thing: Thing::Slot(SlotKey(at(3_600_000))), wanted: 1, left: 0 };
    hold(Hold::Rejected { short: vec![milk, slot] })
}

fn declined() -> Step {
    payment(Payment::Declined { reason: "card-declined".to_owned() })
}

fn authorised() -> Step {
    payment(Payment::Authorised)
}

fn voided() -> Step {
    payment(Payment::Voided)
}

fn committed() -> Step {
    hold(Hold::Committed)
}

fn released() -> Step {
    hold(Hold::Released)
}

fn expired() -> Step {
    hold(Hold::Expired)
}

fn withdrawn() -> Step {
    Step::Hear(Heard::Withdrawn)
}

fn word(said: &Said) -> &'static str {
    match said {
        Said::Reserved(_) => "reserved",
        Said::Commit(_) => "commit",
        Said::Confirmed(_) => "confirmed",
        Said::Rejected(_) => "rejected",
        Said::PaymentFailed(_) => "payment-failed",
        Said::Cancelling(_) => "cancelling",
        Said::Release(_) => "release",
        Said::Cancelled(_) => "cancelled",
        Said::Ready(_) => "ready",
        Said::Delivered(_) => "delivered",
        Said::Consume(_) => "consume",
    }
}

fn words(said: &[Said]) -> String {
    said.iter().map(word).collect::<Vec<_>>().join(" ")
}

/// The whole way to the door: each step, the state it leads to, and what is said then.
fn way() -> Vec<(Step, State, &'static str)> {
    vec![
        (reserved(), State::Reserved, "reserved"),
        (authorised(), State::Authorised, "commit"),
        (committed(), State::Confirmed, "confirmed"),
        (Step::Hear(Heard::Pin("4071".to_owned())), State::Confirmed, ""),
        (Step::Pick, State::Picking, ""),
        (Step::Ready, State::Ready, "ready"),
        (Step::Hear(Heard::Courier("Amara".to_owned())), State::Ready, ""),
        (Step::Hear(Heard::PickedUp), State::OutForDelivery, ""),
        (Step::Hear(Heard::Arrived), State::OutForDelivery, ""),
        (Step::Hear(Heard::Delivered), State::Delivered, "delivered consume"),
        (hold(Hold::Consumed), State::Delivered, ""),
        (payment(Payment::Captured { amount: usd(1558) }), State::Delivered, ""),
    ]
}

/// An order in `state`, by the shortest way there.
fn order_in(state: State) -> Order {
    let steps = match state {
        State::Rejected => vec![rejected()],
        State::PaymentFailed => vec![reserved(), declined()],
        State::Cancelling => vec![Step::Cancel],
        State::Cancelled => vec![Step::Cancel, released(), voided()],
        _ => way().into_iter().map(|(step, ..)| step).collect(),
    };
    let mut order = placed();
    for step in steps {
        if order.state == state {
            break;
        }
        take(&mut order, &step).unwrap();
    }
    assert_eq!(order.state, state);
    order
}

const STATES: [State; 12] = [
    State::Placed,
    State::Reserved,
    State::Authorised,
    State::Confirmed,
    State::Picking,
    State::Ready,
    State::OutForDelivery,
    State::Delivered,
    State::Rejected,
    State::PaymentFailed,
    State::Cancelling,
    State::Cancelled,
];

#[test]
fn an_order_goes_its_way_to_the_door() {
    let mut order = placed();
    for (step, state, said) in way() {
        assert_eq!(words(&take(&mut order, &step).unwrap()), said, "{step:?}");
        assert_eq!(order.state, state, "{step:?}");
    }
    let by: Vec<(&str, &str)> = order.history.iter().map(|moment| (moment.state.as_str(), moment.by.as_str())).collect();
    let expected = [
        ("placed", "guest"),
        ("reserved", "inventory"),
        ("authorised", "payments"),
        ("confirmed", "inventory"),
        ("picking", "picker"),
        ("ready", "picker"),
        ("out_for_delivery", "delivery"),
        ("delivered", "delivery"),
    ];
    assert_eq!(by, expected);
    assert_eq!(order.delivery.pin.as_deref(), Some("4071"));
    assert_eq!(order.delivery.courier.as_deref(), Some("Amara"));
}

#[test]
fn each_way_out_ends_and_says_what_others_must_do() {
    let cases: Vec<(&str, Vec<Step>, State, &str)> = vec![
        ("short of stock and slot", vec![rejected()], State::Rejected, "rejected"),
        (
            "given up before anything is known",
            vec![Step::Cancel, released(), voided()],
            State::Cancelled,
            "cancelling release cancelled",
        ),
        (
            "given up while stock turns out short",
            vec![Step::Cancel, rejected(), voided()],
            State::Cancelled,
            "cancelling release cancelled",
        ),
        (
            "given up while stock is being held",
            vec![Step::Cancel, reserved(), released(), voided()],
            State::Cancelled,
            "cancelling release cancelled",
        ),
        (
            "given up while the money is asked for",
            vec![reserved(), Step::Cancel, voided(), released()],
            State::Cancelled,
            "reserved cancelling release cancelled",
        ),
        (
            "given up while the hold is being committed",
            vec![reserved(), authorised(), Step::Cancel, committed(), voided(), released()],
            State::Cancelled,
            "reserved commit cancelling release cancelled",
        ),
        (
            "given up when it was promised",
            vec![reserved(), authorised(), committed(), Step::Cancel, voided(), released(), withdrawn()],
            State::Cancelled,
            "reserved commit confirmed cancelling release cancelled",
        ),
        (
            "declined and given up",
            vec![reserved(), declined(), Step::Cancel, released(), voided()],
            State::Cancelled,
            "reserved payment-failed cancelling release cancelled",
        ),
        (
            "declined until the hold ran out",
            vec![reserved(), declined(), expired(), voided()],
            State::Cancelled,
            "reserved payment-failed cancelling cancelled",
        ),
        (
            "the hold ran out before the money was there",
            vec![reserved(), expired(), authorised(), voided()],
            State::Cancelled,
            "reserved cancelling cancelled",
        ),
        (
            "the commit came too late",
            vec![reserved(), authorised(), expired(), voided()],
            State::Cancelled,
            "reserved commit cancelling cancelled",
        ),
    ];
    for (name, steps, state, said) in cases {
        let mut order = placed();
        let all: Vec<Said> = steps.iter().flat_map(|step| take(&mut order, step).unwrap()).collect();
        assert_eq!((words(&all).as_str(), order.state), (said, state), "{name}");
        assert_eq!(order.history.last().map(|moment| moment.state), Some(state), "{name}");
    }
}

#[test]
fn what_is_said_carries_what_others_need() {
    let mut order = placed();
    let Some(Said::Reserved(asked)) = take(&mut order, &reserved()).unwrap().pop() else { panic!("the money is asked for") };
    assert_eq!((asked.amount, asked.payment_token.as_str(), asked.pay_by), (order.total, "tok_visa", at(600_000 - MARGIN_MS)));
    let Some(Said::Rejected(event)) = take(&mut placed(), &rejected()).unwrap().pop() else { panic!("it is rejected") };
    let slot = SlotKey(at(3_600_000));
    assert_eq!(event.detail, format!("OAT-MILK: 3 wanted, 1 left; the slot at {slot} is full or closed"));
    let mut order = order_in(State::OutForDelivery);
    let said = take(&mut order, &Step::Hear(Heard::Delivered)).unwrap();
    assert!(matches!(&said[0], Said::Delivered(event) if event.amount == order.total), "{said:?}");
    for (step, reason) in [(Step::Cancel, "gave-up"), (expired(), "hold-expired")] {
        let mut order = order_in(State::Reserved);
        take(&mut order, &step).unwrap();
        assert_eq!(order.reason.as_deref(), Some(reason));
    }
}

#[test]
fn each_state_allows_these_moves_and_no_other() {
    for state in STATES {
        let expected = match state {
            State::Placed | State::Reserved | State::Authorised | State::PaymentFailed => ["", "illegal-move", "illegal-move"],
            State::Cancelling => ["", "illegal-move", "illegal-move"],
            State::Confirmed => ["", "", "illegal-move"],
            State::Picking => ["too-late", "illegal-move", ""],
            State::Ready | State::OutForDelivery => ["too-late", "illegal-move", "illegal-move"],
            State::Delivered | State::Rejected | State::Cancelled => ["order-ended", "illegal-move", "illegal-move"],
        };
        for (step, expected) in [Step::Cancel, Step::Pick, Step::Ready].iter().zip(expected) {
            let before = order_in(state);
            let mut order = before.clone();
            let reason = take(&mut order, step).map_or_else(|fault| fault.reason, |_| String::new());
            assert_eq!(reason, expected, "{state:?} {step:?}");
            assert!(expected.is_empty() || order == before, "{state:?} {step:?}: what is refused changes nothing");
        }
    }
}

#[test]
fn the_words_of_states_are_those_stored() {
    for state in STATES {
        assert_eq!(serde_json::to_value(state).unwrap(), state.as_str());
    }
}

#[test]
fn after_a_cancel_the_last_answer_ends_it_whichever_it_is() {
    let answers = [released(), voided(), withdrawn()];
    let orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
    for state in [State::Placed, State::Reserved, State::PaymentFailed, State::Authorised, State::Confirmed] {
        // Delivery is waited for only if it was told of the order.
        let needed: &[usize] = if state == State::Confirmed { &[0, 1, 2] } else { &[0, 1] };
        for sequence in orders {
            let mut order = order_in(state);
            take(&mut order, &Step::Cancel).unwrap();
            let mut missing: BTreeSet<usize> = needed.iter().copied().collect();
            for answer in sequence {
                take(&mut order, &answers[answer]).unwrap();
                missing.remove(&answer);
                assert_eq!(order.state == State::Cancelled, missing.is_empty(), "{state:?} {sequence:?} after {answer}");
            }
        }
    }
}

#[test]
fn money_that_was_given_back_confirms_nothing() {
    let mut order = order_in(State::Authorised);
    take(&mut order, &voided()).unwrap();
    assert_eq!(words(&take(&mut order, &committed()).unwrap()), "");
    let said = take(&mut order, &Step::Cancel).unwrap();
    assert_eq!(words(&said), "cancelling release");
    assert_eq!(words(&take(&mut order, &released()).unwrap()), "cancelled");
}

/// Anything at all that can happen, by number.
fn any_step() -> impl Strategy<Value = Step> {
    let steps = vec![
        reserved(),
        rejected(),
        committed(),
        expired(),
        released(),
        hold(Hold::Consumed),
        authorised(),
        declined(),
        voided(),
        payment(Payment::Captured { amount: usd(1558) }),
        Step::Hear(Heard::Pin("4071".to_owned())),
        Step::Hear(Heard::Courier("Amara".to_owned())),
        Step::Hear(Heard::PickedUp),
        Step::Hear(Heard::Arrived),
        Step::Hear(Heard::Delivered),
        withdrawn(),
        Step::Cancel,
        Step::Pick,
        Step::Ready,
    ];
    prop::sample::select(steps)
}

/// What must hold between an order before a step and after it, and of what it said.
fn check(before: &Order, after: &Order, said: &[Said]) -> Result<(), TestCaseError> {
    prop_assert_eq!(after.history.last().map(|moment| moment.state), Some(after.state));
    prop_assert_eq!(&after.history[..before.history.len()], &before.history[..]);
    let states: BTreeSet<&str> = after.history.iter().map(|moment| moment.state.as_str()).collect();
    prop_assert_eq!(states.len(), after.history.len(), "a state is entered once");
    prop_assert!(!before.state.is_final() || before.state == after.state, "what has ended stays so");
    prop_assert!(
        before.hold.rank() <= after.hold.rank() && before.payment.rank() <= after.payment.rank(),
        "what is known stays so"
    );
    for said in said {
        match said {
            Said::Confirmed(_) => prop_assert!(after.hold == Hold::Committed && after.payment == Payment::Authorised),
            Said::Cancelled(_) => prop_assert!(after.hold.is_over() && after.payment == Payment::Voided),
            Said::Delivered(_) => prop_assert!(after.was(State::Confirmed) && after.delivery.delivered),
            _ => {}
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn nothing_that_happens_in_any_order_breaks_an_order(
        start in prop::sample::select(&STATES[..]),
        steps in prop::collection::vec(any_step(), 0..40),
    ) {
        let mut order = order_in(start);
        let mut all = Vec::new();
        for step in steps {
            let before = order.clone();
            match take(&mut order, &step) {
                Ok(said) => {
                    check(&before, &order, &said)?;
                    all.extend(said.iter().map(word));
                }
                Err(_) => prop_assert_eq!(&order, &before),
            }
            if let Step::Hear(_) = step {
                let known = order.clone();
                prop_assert_eq!(words(&take(&mut order, &step).unwrap()), "", "heard again: {:?}", step);
                prop_assert_eq!(&order, &known);
            }
        }
        let once: BTreeSet<&str> = all.iter().copied().collect();
        prop_assert_eq!(once.len(), all.len(), "said twice: {:?}", all);
    }

    #[test]
    fn every_order_ends_and_all_agree_how(acts in prop::collection::vec((any_act(), any::<bool>()), 0..80), good: bool) {
        let mut world = World::new();
        for (act, good) in acts {
            world.act(act, good)?;
        }
        world.run_out(good)?;
        world.check_end()?;
    }
}

/// What may be next in the [`World`].
#[derive(Clone, Copy, Debug)]
enum Act {
    InventoryTakes,
    PaymentsTakes,
    DeliveryTakes,
    ProviderAnswers,
    HoldRunsOut,
    HearInventory,
    HearPayments,
    HearDelivery,
    HearAgain,
    Cancel,
    Pick,
    Ready,
    TimerFires,
}

/// What goes on by itself until nothing is left to do.
const ENGINE: [Act; 9] = [
    Act::InventoryTakes,
    Act::PaymentsTakes,
    Act::DeliveryTakes,
    Act::ProviderAnswers,
    Act::HearInventory,
    Act::HearPayments,
    Act::HearDelivery,
    Act::Pick,
    Act::Ready,
];

fn any_act() -> impl Strategy<Value = Act> {
    let rare = vec![Act::HoldRunsOut, Act::HearAgain, Act::Cancel, Act::TimerFires];
    prop_oneof![6 => prop::sample::select(ENGINE.to_vec()), 1 => prop::sample::select(rare)]
}

/// An order among the three services it lives with, each as it behaves towards an order: it takes what was said to it in
/// turn, and its answers stay in its order. What happens next of all this is anybody's choice.
struct World {
    order: Order,
    said: Vec<&'static str>,
    given_up: bool,
    last: Option<Heard>,
    to_inventory: VecDeque<&'static str>,
    to_payments: VecDeque<&'static str>,
    to_delivery: VecDeque<&'static str>,
    from_inventory: VecDeque<Heard>,
    from_payments: VecDeque<Heard>,
    from_delivery: VecDeque<Heard>,
    hold: Hold,
    payment: Payment,
    asked: bool,
    void_wanted: bool,
    withdrawn: bool,
}

impl World {
    fn new() -> Self {
        Self {
            order: placed(),
            said: Vec::new(),
            given_up: false,
            last: None,
            to_inventory: VecDeque::from(["request"]),
            to_payments: VecDeque::new(),
            to_delivery: VecDeque::new(),
            from_inventory: VecDeque::new(),
            from_payments: VecDeque::new(),
            from_delivery: VecDeque::new(),
            hold: Hold::Requested,
            payment: Payment::Created,
            asked: false,
            void_wanted: false,
            withdrawn: false,
        }
    }

    /// Does `act` if it can be done now, and tells whether it was. `good` decides what can go either way.
    fn act(&mut self, act: Act, good: bool) -> Result<bool, TestCaseError> {
        match act {
            Act::InventoryTakes => Ok(self.to_inventory.pop_front().map(|command| self.inventory(command, good)).is_some()),
            Act::PaymentsTakes => Ok(self.to_payments.pop_front().map(|event| self.payments(event)).is_some()),
            Act::DeliveryTakes => Ok(self.to_delivery.pop_front().map(|event| self.delivery(event)).is_some()),
            Act::ProviderAnswers => Ok(self.provider(good)),
            Act::HoldRunsOut => Ok(self.run_out_hold()),
            Act::HearInventory => self.from_inventory.pop_front().map_or(Ok(false), |heard| self.hear(heard)),
            Act::HearPayments => self.from_payments.pop_front().map_or(Ok(false), |heard| self.hear(heard)),
            Act::HearDelivery => self.from_delivery.pop_front().map_or(Ok(false), |heard| self.hear(heard)),
            Act::HearAgain => self.last.clone().map_or(Ok(false), |heard| self.hear(heard)),
            Act::Cancel => self.step(&Step::Cancel),
            Act::Pick => self.step(&Step::Pick),
            Act::Ready => self.step(&Step::Ready),
            Act::TimerFires if self.order.state.is_timed() => self.step(&Step::Cancel),
            Act::TimerFires => Ok(false),
        }
    }

    fn hear(&mut self, heard: Heard) -> Result<bool, TestCaseError> {
        self.last = Some(heard.clone());
        self.step(&Step::Hear(heard))
    }

    fn step(&mut self, step: &Step) -> Result<bool, TestCaseError> {
        let before = self.order.clone();
        let Ok(said) = take(&mut self.order, step) else { return Ok(false) };
        check(&before, &self.order, &said)?;
        self.given_up |= matches!(step, Step::Cancel);
        for word in said.iter().map(word) {
            self.said.push(word);
            match word {
                "commit" | "release" | "consume" => self.to_inventory.push_back(word),
                "reserved" | "delivered" => self.to_payments.push_back(word),
                "confirmed" | "ready" => self.to_delivery.push_back(word),
                "cancelling" => {
                    self.to_payments.push_back(word);
                    self.to_delivery.push_back(word);
                }
                _ => {}
            }
        }
        Ok(true)
    }

    fn inventory(&mut self, command: &str, enough: bool) {
        let Step::Hear(Heard::Hold(short)) = rejected() else { return };
        let next = match (command, &self.hold) {
            ("request", Hold::Requested) if enough => Hold::Reserved { expires_at: at(600_000) },
            ("request", Hold::Requested) => short,
            ("commit", Hold::Reserved { .. }) => Hold::Committed,
            ("release", Hold::Reserved { .. } | Hold::Committed) => Hold::Released,
            ("consume", Hold::Committed) => Hold::Consumed,
            // It is over: whoever asks is told so, and nothing moves.
            ("commit", Hold::Rejected { .. } | Hold::Released | Hold::Expired) => {
                return self.from_inventory.push_back(Heard::Hold(Hold::Expired));
            }
            ("release", Hold::Rejected { .. } | Hold::Released | Hold::Expired) => {
                return self.from_inventory.push_back(Heard::Hold(Hold::Released));
            }
            _ => return,
        };
        self.from_inventory.push_back(Heard::Hold(next.clone()));
        self.hold = next;
    }

    fn run_out_hold(&mut self) -> bool {
        let runs = matches!(self.hold, Hold::Reserved { .. });
        if runs {
            self.hold = Hold::Expired;
            self.from_inventory.push_back(Heard::Hold(Hold::Expired));
        }
        runs
    }

    fn payments(&mut self, event: &str) {
        match (event, &self.payment) {
            ("reserved", Payment::Created) if !self.void_wanted => self.asked = true,
            ("cancelling", Payment::Created) if self.asked => self.void_wanted = true,
            ("cancelling", Payment::Created | Payment::Authorised | Payment::Declined { .. }) => self.pay(Payment::Voided),
            ("delivered", Payment::Authorised) => self.pay(Payment::Captured { amount: usd(1558) }),
            _ => {}
        }
    }

    fn provider(&mut self, good: bool) -> bool {
        if !self.asked || self.payment != Payment::Created {
            return false;
        }
        self.asked = false;
        match (self.void_wanted, good) {
            (true, _) => self.pay(Payment::Voided),
            (false, true) => self.pay(Payment::Authorised),
            (false, false) => self.pay(Payment::Declined { reason: "card-declined".to_owned() }),
        }
        true
    }

    fn pay(&mut self, next: Payment) {
        self.payment = next.clone();
        self.from_payments.push_back(Heard::Payment(next));
    }

    fn delivery(&mut self, event: &str) {
        match event {
            "confirmed" if !self.withdrawn => self.from_delivery.push_back(Heard::Pin("4071".to_owned())),
            "ready" if !self.withdrawn => {
                let courier = Heard::Courier("Amara".to_owned());
                self.from_delivery.extend([courier, Heard::PickedUp, Heard::Arrived, Heard::Delivered]);
            }
            "cancelling" => {
                self.withdrawn = true;
                self.from_delivery.push_back(Heard::Withdrawn);
            }
            _ => {}
        }
    }

    /// Lets everything go on until nothing is left to do; a timer fires only when all else stands still.
    fn run_out(&mut self, good: bool) -> Result<(), TestCaseError> {
        for _ in 0..100 {
            let mut moved = false;
            for act in ENGINE {
                moved |= self.act(act, good)?;
            }
            if !moved && !self.act(Act::TimerFires, good)? {
                return Ok(());
            }
        }
        Err(TestCaseError::fail("it goes on and on"))
    }

    fn check_end(&self) -> Result<(), TestCaseError> {
        let order = &self.order;
        prop_assert!(order.state.is_final(), "stuck in {:?}", order);
        prop_assert!(!self.given_up || order.state == State::Cancelled);
        prop_assert_eq!(&order.payment, &self.payment);
        let short = matches!(self.hold, Hold::Rejected { .. });
        let agreed = match order.state {
            State::Delivered => self.hold == Hold::Consumed && self.payment == Payment::Captured { amount: usd(1558) },
            State::Cancelled => {
                let given_back = short || matches!(self.hold, Hold::Expired | Hold::Released);
                given_back && self.payment == Payment::Voided && self.withdrawn
            }
            _ => short && self.payment == Payment::Created,
        };
        prop_assert!(agreed, "{:?}: hold {:?}, payment {:?}", order.state, self.hold, self.payment);
        let once: BTreeSet<&str> = self.said.iter().copied().collect();
        prop_assert_eq!(once.len(), self.said.len(), "said twice: {:?}", self.said);
        Ok(())
    }
}
