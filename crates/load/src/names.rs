//! Which product an item's name means. The rule, which gives the same answer for the same catalogue on every machine:
//!
//! 1. Words are runs of letters and digits in lower case, without the `s` of a plural.
//! 2. The candidates are what the store's own search finds for the item (it knows keywords that are not shown); where it
//!    finds nothing, everything that the store lists.
//! 3. The likeness of a candidate is twice the number of words that its name shares with the item, over the number of words
//!    of both (Dice). The most alike wins.
//! 4. Among those that are equally alike, even if none is, the hash of the item chooses, counted in the order of their SKUs.

use std::collections::BTreeSet;

use contracts::Sku;
use serde::Deserialize;

/// A product as a store lists it.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub(crate) struct Listed {
    pub(crate) sku: Sku,
    pub(crate) name: String,
}

/// What `item` means among `found`, or among `all` if nothing was found; `None` only if the store lists nothing.
pub(crate) fn choose<'a>(item: &str, found: &'a [Listed], all: &'a [Listed]) -> Option<&'a Listed> {
    let candidates = if found.is_empty() { all } else { found };
    let wanted = words(item);
    let likeness = |listed: &Listed| Likeness::of(&wanted, &words(&listed.name));
    let best = candidates.iter().map(likeness).max()?;
    let mut alike: Vec<&Listed> = candidates.iter().filter(|listed| likeness(listed) == best).collect();
    alike.sort_by(|a, b| a.sku.cmp(&b.sku));
    let count = u64::try_from(alike.len()).ok()?;
    alike.get(usize::try_from(hash(item) % count).ok()?).copied()
}

/// A fraction: how alike two sets of words are.
#[derive(Clone, Copy, Debug)]
struct Likeness {
    shared: u64,
    words: u64,
}

impl Likeness {
    fn of(wanted: &BTreeSet<String>, name: &BTreeSet<String>) -> Self {
        let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        Self { shared: count(wanted.intersection(name).count()), words: count(wanted.len() + name.len()).max(1) }
    }
}

impl Ord for Likeness {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.shared * other.words).cmp(&(other.shared * self.words))
    }
}

impl PartialOrd for Likeness {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Likeness {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Likeness {}

fn words(text: &str) -> BTreeSet<String> {
    let lower = text.to_lowercase();
    lower.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(singular).collect()
}

fn singular(word: &str) -> String {
    let plural = word.len() > 3 && word.ends_with('s') && !word.ends_with("ss");
    if plural { word[..word.len() - 1].to_owned() } else { word.to_owned() }
}

/// FNV-1a, folded; the same everywhere and for ever.
fn hash(text: &str) -> u64 {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325, step);
    hash ^ (hash >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shelf(rows: &[(&str, &str)]) -> Vec<Listed> {
        rows.iter().map(|(sku, name)| Listed { sku: sku.parse().expect("a SKU"), name: (*name).to_owned() }).collect()
    }

    fn all() -> Vec<Listed> {
        shelf(&[
            ("MILK-WHOLE", "Whole milk, 1 gal"),
            ("MILK-2", "2% milk, 1 gal"),
            ("MILK-CHOC", "Chocolate whole milk drink, 1 pt"),
            ("ROLLS", "Dinner rolls, 12 ct"),
            ("BANANA", "Bananas, 1 lb"),
            ("MANGO", "Mango, each"),
        ])
    }

    fn chosen(item: &str, found: &[Listed]) -> String {
        choose(item, found, &all()).expect("a product").sku.to_string()
    }

    #[test]
    fn the_most_alike_name_wins() {
        assert_eq!(chosen("whole milk", &[]), "MILK-WHOLE");
        assert_eq!(chosen("rolls/buns", &[]), "ROLLS");
        assert_eq!(chosen("banana", &[]), "BANANA");
    }

    #[test]
    fn what_the_search_found_goes_before_names() {
        let found = shelf(&[("MANGO", "Mango, each")]);
        assert_eq!(chosen("whole milk", &found), "MANGO");
    }

    #[test]
    fn ties_are_settled_by_the_item_and_not_by_the_order_of_the_answer() {
        let found = shelf(&[("BANANA", "Bananas, 1 lb"), ("MANGO", "Mango, each"), ("KIWI", "Kiwi, each")]);
        let reversed: Vec<Listed> = found.iter().rev().cloned().collect();
        let items = ["tropical fruit", "pip fruit", "citrus fruit", "berries", "grapes", "other"];
        for item in items {
            assert_eq!(chosen(item, &found), chosen(item, &reversed), "{item}");
        }
        let different: BTreeSet<String> = items.iter().map(|item| chosen(item, &found)).collect();
        assert!(different.len() > 1, "the hash spreads: {different:?}");
        assert_eq!(chosen("tropical fruit", &found), chosen("tropical fruit", &found));
    }

    #[test]
    fn an_empty_store_sells_nothing() {
        assert_eq!(choose("milk", &[], &[]), None);
    }
}
