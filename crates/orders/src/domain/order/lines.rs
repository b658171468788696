//! What of an order's lines is there: as sold, or fewer units once a picker found less. Exact integers throughout: the parts
//! of a line are its price times units and its tax by [`Money::share_of`], so that they always add up to the line.
//! Leaves refunding them to `refunds`.

use std::collections::BTreeSet;

use contracts::Sku;
use contracts::inventory::{HoldReduce, Kept};
use contracts::orders::{Line, OrderShortPicked, ShortLine};
use kernel::{Fault, Money};

use super::{Cause, Order, Said, What};

/// What a picker says of a SKU.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Picked {
    /// What.
    pub sku: Sku,
    /// How many there are, over all lines.
    pub picked: i64,
    /// Whether the others can be sold again, or are written off.
    pub restock: bool,
}

/// A line as it is now.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct LineNow<'a> {
    /// As it was sold.
    pub sold: &'a Line,
    /// How many units there are; 0 if the line is gone.
    pub quantity: i64,
    /// The tax on them.
    pub tax: Money,
    /// Their price and tax.
    pub total: Money,
}

impl<'a> LineNow<'a> {
    fn of(sold: &'a Line, quantity: i64) -> Self {
        // A part of an amount that fits, fits.
        let tax = sold.tax.share_of(quantity, sold.quantity.get()).unwrap_or(sold.tax);
        let total = Money::new(sold.unit_price.minor * quantity + tax.minor, sold.total.currency);
        Self { sold, quantity, tax, total }
    }
}

impl Order {
    /// The lines as they are now. Where the same SKU stands in several, what was picked counts for them in their order: the
    /// last goes short first.
    #[must_use]
    pub fn lines_now(&self) -> Vec<LineNow<'_>> {
        let mut left = self.picked.clone();
        let line = |sold| {
            let ordered = line_units(sold);
            let quantity = match left.get_mut(&sold.sku) {
                Some(left) => {
                    let quantity = ordered.min(*left);
                    *left -= quantity;
                    quantity
                }
                None => ordered,
            };
            LineNow::of(sold, quantity)
        };
        self.lines.iter().map(line).collect()
    }

    /// How many units of a SKU are there now, over all lines.
    pub(super) fn units_now(&self, sku: &Sku) -> i64 {
        self.picked.get(sku).copied().unwrap_or_else(|| self.units_sold(sku))
    }

    fn units_sold(&self, sku: &Sku) -> i64 {
        self.lines.iter().filter(|line| line.sku == *sku).map(line_units).sum()
    }

    /// What the first `units` of a SKU cost with tax, counted over its lines in their order.
    pub(super) fn worth_of(&self, sku: &Sku, mut units: i64) -> i64 {
        let mut worth = 0;
        for line in self.lines_now().iter().filter(|line| line.sold.sku == *sku) {
            let taken = units.min(line.quantity);
            units -= taken;
            worth += LineNow::of(line.sold, taken).total.minor;
        }
        worth
    }

    /// Takes in what was picked of SKUs that are short. Said again it changes nothing; it never rises, for the hold has lost
    /// the others.
    pub(super) fn short_pick(&mut self, picks: &[Picked], cause: &Cause) -> Result<Vec<Said>, Fault> {
        self.check_picks(picks)?;
        let news: Vec<&Picked> = picks.iter().filter(|pick| pick.picked < self.units_now(&pick.sku)).collect();
        if news.is_empty() {
            return Ok(Vec::new());
        }
        let words = news.iter().map(|pick| format!("{}: {} of {}", pick.sku, pick.picked, self.units_sold(&pick.sku)));
        let words = words.collect::<Vec<_>>().join("; ");
        let kept = |pick: &&Picked| Kept { sku: pick.sku.clone(), units: pick.picked, restock: pick.restock };
        let reduce = HoldReduce { order: self.id, store: self.store, lines: news.iter().map(kept).collect() };
        self.picked.extend(news.iter().map(|pick| (pick.sku.clone(), pick.picked)));
        let lines = self.lines_now();
        let sum = |amount: fn(&LineNow<'_>) -> i64| lines.iter().map(amount).sum::<i64>();
        let (tax, total) = (sum(|line| line.tax.minor), sum(|line| line.total.minor) + self.fee.minor);
        let (left, short) = (sum(|line| line.quantity), short_of(&lines));
        (self.tax.minor, self.total.minor) = (tax, total);
        self.note(What::ShortPicked, Some(words), cause);
        let mut said = vec![Said::Reduce(reduce)];
        if left == 0 {
            said.extend(self.give_up("nothing-left", cause));
        } else {
            said.push(Said::ShortPicked(OrderShortPicked { order: self.id, short, total: self.total }));
        }
        Ok(said)
    }

    fn check_picks(&self, picks: &[Picked]) -> Result<(), Fault> {
        let mut named = BTreeSet::new();
        for (index, pick) in picks.iter().enumerate() {
            let (sold, now) = (self.units_sold(&pick.sku), self.units_now(&pick.sku));
            let refused = |field: &str, detail: String| Err(Fault::invalid_field(format!("/lines/{index}/{field}"), detail));
            if sold == 0 {
                return refused("sku", format!("{} is not in this order", pick.sku));
            }
            if !named.insert(&pick.sku) {
                return refused("sku", format!("{} is named twice; say once how many there are over all lines", pick.sku));
            }
            if pick.picked < 0 || pick.picked > sold {
                return refused("picked", format!("expected 0 to {sold}, which were ordered"));
            }
            if pick.picked > now {
                return refused("picked", format!("expected 0 to {now}: the others were given up before"));
            }
        }
        Ok(())
    }
}

fn line_units(line: &Line) -> i64 {
    line.quantity.get()
}

fn short_of(lines: &[LineNow<'_>]) -> Vec<ShortLine> {
    let short = lines.iter().filter(|line| line.quantity < line_units(line.sold));
    let line = |line: &LineNow<'_>| ShortLine {
        sku: line.sold.sku.clone(),
        name: line.sold.name.clone(),
        ordered: line_units(line.sold),
        picked: line.quantity,
    };
    short.map(line).collect()
}
