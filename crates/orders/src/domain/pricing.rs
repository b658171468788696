//! What a cart costs: lines, tax, delivery fee, and the quote that binds them until it runs out.
//! Exact integers throughout; the one rounding rule is [`kernel::share_of`]. Leaves where prices come from to the copies.

use contracts::delivery::Store;
use contracts::orders::Line;
use contracts::{CartId, Point, Slot, StoreId};
use kernel::{Fault, FieldFault, Money, Timestamp, share_of};
use serde::{Deserialize, Serialize};

use super::cart::CartLine;

/// What orders knows of a SKU in a store.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Offer {
    /// Its name with its size.
    pub name: String,
    /// What one costs without tax, in minor units.
    pub price_minor: i64,
    /// A key of the store's taxes.
    pub tax_class: String,
    /// Whether it is sold now.
    pub listed: bool,
}

/// A promise: these lines, to this address, in this slot, for this money, if ordered in time.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Quote {
    /// The cart that it is for.
    pub cart: CartId,
    /// The store that will deliver.
    pub store: StoreId,
    /// When.
    pub slot: Slot,
    /// What, each with its price and tax.
    pub lines: Vec<Line>,
    /// The goods without tax.
    pub goods: Money,
    /// The tax on the goods.
    pub tax: Money,
    /// What delivery costs.
    pub fee: Money,
    /// All of it.
    pub total: Money,
    /// Until when it binds.
    pub expires_at: Timestamp,
}

impl Quote {
    /// Whether it is still for what the cart holds.
    #[must_use]
    pub fn matches(&self, lines: &[CartLine]) -> bool {
        self.lines.len() == lines.len()
            && self.lines.iter().zip(lines).all(|(quoted, line)| quoted.sku == line.sku && quoted.quantity == line.quantity)
    }
}

/// Prices `lines`; `offers` are what is known of each line's SKU, in their order.
///
/// # Errors
/// `not-sold` naming each line that is not listed, or whose tax class the store does not know any more; `amount-too-large`.
pub fn price_lines(store: &Store, lines: &[CartLine], offers: &[Option<Offer>]) -> Result<Vec<Line>, Fault> {
    let unsold: Vec<FieldFault> = lines
        .iter()
        .zip(offers)
        .enumerate()
        .filter(|(_, (_, offer))| {
            !offer.as_ref().is_some_and(|offer| offer.listed && store.tax_basis_points.contains_key(&offer.tax_class))
        })
        .map(|(index, (line, _))| FieldFault {
            field: format!("/lines/{index}"),
            detail: format!("{} is not sold by this store now; take it out", line.sku),
        })
        .collect();
    if !unsold.is_empty() {
        let mut fault = Fault::conflict("not-sold", "some lines are not sold by this store now");
        fault.fields = unsold;
        return Err(fault);
    }
    lines.iter().zip(offers.iter().flatten()).map(|(line, offer)| price_line(store, line, offer)).collect()
}

fn price_line(store: &Store, line: &CartLine, offer: &Offer) -> Result<Line, Fault> {
    let rate = store.tax_basis_points.get(&offer.tax_class).copied().unwrap_or_default();
    let unit_price = Money::new(offer.price_minor, store.currency);
    let net = unit_price.times(line.quantity.get()).ok_or_else(too_large)?;
    let tax = Money::new(share_of(net.minor, rate).ok_or_else(too_large)?, store.currency);
    let total = net.plus(tax).ok_or_else(too_large)?;
    Ok(Line { sku: line.sku.clone(), name: offer.name.clone(), quantity: line.quantity, unit_price, tax, total })
}

/// What delivery to `door` costs for goods of this worth.
///
/// # Errors
/// `below-minimum` if the goods are worth less than the store delivers.
pub fn fee(store: &Store, door: Point, goods: Money) -> Result<Money, Fault> {
    let fee = &store.fee;
    if goods.minor < fee.order_minimum_minor {
        let minimum = Money::new(fee.order_minimum_minor, store.currency);
        let detail = format!("this store delivers goods worth {minimum} or more; the cart holds {goods}");
        return Err(Fault::conflict("below-minimum", detail).with("minimum_minor", fee.order_minimum_minor));
    }
    if goods.minor >= fee.free_from_minor {
        return Ok(Money::zero(store.currency));
    }
    #[allow(clippy::cast_possible_truncation, reason = "a distance on earth in kilometres is below 20,038")]
    let kilometres = (store.point.metres_to(door) / 1000.0).ceil() as i64;
    let minor = fee.per_km_minor.checked_mul(kilometres).and_then(|way| way.checked_add(fee.base_minor));
    Ok(Money::new(minor.ok_or_else(too_large)?, store.currency))
}

/// The quote of a cart: its `lines` as priced, in `slot`, binding until `expires_at`.
///
/// # Errors
/// As [`fee`], and `amount-too-large`.
pub fn quote(
    cart: CartId,
    store: &Store,
    door: Point,
    slot: Slot,
    lines: Vec<Line>,
    expires_at: Timestamp,
) -> Result<Quote, Fault> {
    let sum = |amounts: Vec<Money>| amounts.into_iter().try_fold(Money::zero(store.currency), Money::plus).ok_or_else(too_large);
    let tax = sum(lines.iter().map(|line| line.tax).collect())?;
    let gross = sum(lines.iter().map(|line| line.total).collect())?;
    let goods = Money::new(gross.minor - tax.minor, store.currency);
    let fee = fee(store, door, goods)?;
    let total = gross.plus(fee).ok_or_else(too_large)?;
    Ok(Quote { cart, store: store.id, slot, lines, goods, tax, fee, total, expires_at })
}

fn too_large() -> Fault {
    Fault::invalid_field("/lines", "the amounts are larger than any order can be; lower the quantities")
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use contracts::delivery::{Fee, Hours, SlotTemplate};
    use contracts::{Quantity, SlotKey};
    use kernel::{Bucket, Draw, Id};
    use proptest::prelude::*;

    pub(crate) fn store() -> Store {
        Store {
            id: StoreId(Id::new(Timestamp::from_millis(1), Bucket(3), &mut Draw::seeded(1))),
            name: "Corner".to_owned(),
            street: "1 Main St".to_owned(),
            point: Point { lat: 33.77, lon: -84.36 },
            time_zone: "America/New_York".to_owned(),
            currency: "USD".parse().unwrap(),
            hours: Hours::Always(true),
            zone: vec![(-84.40, 33.74), (-84.32, 33.74), (-84.32, 33.80), (-84.40, 33.80), (-84.40, 33.74)],
            fee: Fee { base_minor: 299, per_km_minor: 60, free_from_minor: 3500, order_minimum_minor: 200 },
            slots: SlotTemplate { length_minutes: 60, places: 5, cutoff_minutes: 15, days_ahead: 2 },
            tax_basis_points: [("grocery".to_owned(), 490), ("standard".to_owned(), 890)].into(),
            paused: false,
        }
    }

    fn line(sku: &str, quantity: i64) -> CartLine {
        CartLine { sku: sku.parse().unwrap(), quantity: Quantity::try_from(quantity).unwrap() }
    }

    fn offer(price_minor: i64, tax_class: &str) -> Option<Offer> {
        Some(Offer { name: "Thing".to_owned(), price_minor, tax_class: tax_class.to_owned(), listed: true })
    }

    fn quote_of(lines: &[CartLine], offers: &[Option<Offer>]) -> Result<Quote, Fault> {
        let store = store();
        let slot = Slot {
            starts_at: SlotKey(Timestamp::from_millis(5)),
            ends_at: Timestamp::from_millis(9),
            cutoff_at: Timestamp::from_millis(8),
        };
        let cart = CartId(Id::new(Timestamp::from_millis(2), Bucket(1), &mut Draw::seeded(2)));
        let lines = price_lines(&store, lines, offers)?;
        quote(cart, &store, Point { lat: 33.78, lon: -84.36 }, slot, lines, Timestamp::from_millis(100))
    }

    #[test]
    fn a_quote_explains_every_cent() {
        let quote = quote_of(&[line("MILK", 2), line("SOAP", 1)], &[offer(449, "grocery"), offer(500, "standard")]).unwrap();
        assert_eq!((quote.goods.minor, quote.tax.minor), (1398, 44 + 45));
        // 1.1 km begin a second kilometre.
        assert_eq!(quote.fee.minor, 299 + 2 * 60);
        assert_eq!(quote.total.minor, 1398 + 89 + 419);
        let free = quote_of(&[line("MILK", 8)], &[offer(449, "grocery")]).unwrap();
        assert_eq!(free.fee.minor, 0);
    }

    #[test]
    fn refusals_name_the_line_or_the_minimum() {
        let unsold = quote_of(&[line("MILK", 1), line("GONE", 1)], &[offer(449, "grocery"), None]).unwrap_err();
        assert_eq!((unsold.reason.as_str(), unsold.fields[0].field.as_str()), ("not-sold", "/lines/1"));
        assert_eq!(quote_of(&[line("GUM", 1)], &[offer(100, "grocery")]).unwrap_err().reason, "below-minimum");
        assert_eq!(quote_of(&[line("YACHT", 999)], &[offer(i64::MAX / 2, "grocery")]).unwrap_err().fields[0].field, "/lines");
    }

    proptest! {
        #[test]
        fn parts_add_up(parts in proptest::collection::vec((1i64..999, 0i64..1_000_000), 1..30)) {
            let lines: Vec<CartLine> = parts.iter().map(|(quantity, _)| line("A", *quantity)).collect();
            let offers: Vec<_> = parts.iter().map(|(_, price)| offer(*price, "standard")).collect();
            if let Ok(quote) = quote_of(&lines, &offers) {
                prop_assert_eq!(quote.total.minor, quote.goods.minor + quote.tax.minor + quote.fee.minor);
                prop_assert_eq!(quote.goods.minor, parts.iter().map(|(quantity, price)| quantity * price).sum::<i64>());
                prop_assert!(quote.matches(&lines));
            }
        }
    }
}
