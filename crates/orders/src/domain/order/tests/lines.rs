//! Short picks: how they spread over lines, what they cost, and what is wrong with them.

use contracts::inventory::Kept;
use proptest::prelude::*;

use super::*;

fn fields(order: &mut Order, picks: &[(&str, i64)]) -> String {
    let fault = take(order, &short(picks)).unwrap_err();
    fault.fields.iter().map(|field| field.field.as_str()).collect()
}

fn quantities(order: &Order) -> Vec<i64> {
    order.lines_now().iter().map(|line| line.quantity).collect()
}

#[test]
fn what_is_short_goes_from_the_last_line_and_costs_less() {
    let mut order = order_in(State::Picking);
    let said = take(&mut order, &short(&[("MILK", 3)])).unwrap();
    assert_eq!(quantities(&order), [2, 1, 1]);
    // A third of the last line's tax of 59, rounded half up.
    let totals: Vec<i64> = order.lines_now().iter().map(|line| line.total.minor).collect();
    assert_eq!(totals, [839, 545, 400 + 20]);
    assert_eq!((order.tax, order.total), (usd(39 + 45 + 20), usd(839 + 545 + 420 + 299)));
    let [Said::Reduce(reduce), Said::ShortPicked(picked)] = &said[..] else { panic!("{said:?}") };
    assert_eq!(reduce.lines, [Kept { sku: sku("MILK"), units: 3, restock: true }]);
    assert_eq!(picked.total, order.total);
    let short: Vec<_> = picked.short.iter().map(|line| (line.sku.as_str(), line.ordered, line.picked)).collect();
    assert_eq!(short, [("MILK", 3, 1)]);

    take(&mut order, &super::short(&[("SOAP", 0), ("MILK", 1)])).unwrap();
    assert_eq!(quantities(&order), [1, 0, 0]);
    assert_sound(&order);
    let said = take_all(&mut order, &[ready(), picked_up(1), delivered()]);
    let amount = said.iter().find_map(|said| if let Said::Delivered(event) = said { Some(event.amount) } else { None });
    assert_eq!(amount, Some(usd(400 + 20 + 299)), "less is captured");
}

#[test]
fn said_again_it_changes_nothing() {
    let mut order = order_in(State::Picking);
    assert_eq!(take(&mut order, &short(&[("MILK", 5), ("SOAP", 1)])).unwrap(), [], "nothing is short");
    assert_eq!(order, order_in(State::Picking));
    take(&mut order, &short(&[("MILK", 2)])).unwrap();
    let before = order.clone();
    assert_eq!(take(&mut order, &short(&[("MILK", 2)])).unwrap(), []);
    assert_eq!(order, before);
}

#[test]
fn what_is_wrong_is_named() {
    let mut order = order_in(State::Picking);
    take(&mut order, &short(&[("MILK", 3)])).unwrap();
    let before = order.clone();
    assert_eq!(fields(&mut order, &[("MILK", 2), ("TEA", 1)]), "/lines/1/sku");
    assert_eq!(fields(&mut order, &[("MILK", 2), ("MILK", 1)]), "/lines/1/sku");
    assert_eq!(fields(&mut order, &[("SOAP", 2)]), "/lines/0/picked");
    assert_eq!(fields(&mut order, &[("SOAP", -1)]), "/lines/0/picked");
    assert_eq!(fields(&mut order, &[("MILK", 4)]), "/lines/0/picked", "what the hold has lost does not come back");
    assert_eq!(order, before);
}

proptest! {
    #[test]
    fn whatever_is_short_the_sums_add_up_and_never_rise(
        lines in prop::collection::vec((0usize..3, 1i64..20, 0i64..10_000, 0i64..10_000), 1..6),
        picks in prop::collection::vec((0usize..3, 0i64..60), 0..8),
    ) {
        let names = ["MILK", "SOAP", "TEA"];
        let mut order = order_in(State::Picking);
        order.lines = lines.into_iter().map(|(name, quantity, unit, tax)| line(names[name], quantity, unit, tax)).collect();
        order.tax = usd(order.lines.iter().map(|line| line.tax.minor).sum());
        order.total = order.ordered_total();
        for (name, picked) in picks {
            let before = order.clone();
            let taken = take(&mut order, &short(&[(names[name], picked)]));
            assert_sound(&order);
            prop_assert!(order.total.minor <= before.total.minor);
            if taken.is_err() {
                prop_assert_eq!(&order, &before);
            } else if order.state == State::Picking {
                prop_assert_eq!(order.units_now(&sku(names[name])), picked);
                prop_assert_eq!(order.lines_now().iter().filter(|line| line.sold.sku == sku(names[name]))
                    .map(|line| line.quantity).sum::<i64>(), picked);
            } else {
                prop_assert_eq!(order.reason.as_deref(), Some("nothing-left"));
                break;
            }
        }
    }
}
