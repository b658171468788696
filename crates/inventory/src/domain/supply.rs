//! How many of a thing a store can still promise and how many it has promised, and what may happen to the two numbers.
//! Leaves to `hold` when it happens.

use contracts::inventory::Band;

/// The two numbers. Neither is ever below 0.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Level {
    /// What can still be promised.
    pub(crate) available: i64,
    /// What is promised and still there.
    pub(crate) held: i64,
}

/// Fewer were counted, or fewer places given, than are promised already; the number is the least that would do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct BelowHeld(pub(crate) i64);

impl Level {
    /// What is there.
    pub(crate) fn on_hand(self) -> i64 {
        self.available + self.held
    }

    /// `units` are promised; they were looked for before.
    pub(crate) fn reserve(self, units: i64) -> Self {
        assert!(units <= self.available, "nothing is promised that is not there");
        Self { available: self.available - units, held: self.held + units }
    }

    /// `units` that were promised are free again.
    pub(crate) fn give_back(self, units: i64) -> Self {
        assert!(units <= self.held, "nothing is given back that was not held");
        Self { available: self.available + units, held: self.held - units }
    }

    /// `units` that were promised have left.
    pub(crate) fn consume(self, units: i64) -> Self {
        assert!(units <= self.held, "nothing leaves that was not held");
        Self { available: self.available, held: self.held - units }
    }

    /// `on_hand` were counted: what is promised stays promised.
    pub(crate) fn count(self, on_hand: i64) -> Result<Self, BelowHeld> {
        if on_hand < self.held {
            return Err(BelowHeld(self.held));
        }
        Ok(Self { available: on_hand - self.held, held: self.held })
    }

    /// A slot of `places` is to have `wanted`. Places that were used are no longer held, but they are still taken.
    pub(crate) fn resize(self, places: i64, wanted: i64) -> Result<Self, BelowHeld> {
        let taken = places - self.available;
        if wanted < taken {
            return Err(BelowHeld(taken));
        }
        Ok(Self { available: wanted - taken, held: self.held })
    }
}

/// The word of a band, as it is sent.
pub(crate) fn word_of(band: Band) -> &'static str {
    match band {
        Band::None => "none",
        Band::Few => "few",
        Band::Plenty => "plenty",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn counting_keeps_what_is_promised() {
        let level = Level { available: 7, held: 3 };
        assert_eq!(level.count(10), Ok(level));
        assert_eq!(level.count(3), Ok(Level { available: 0, held: 3 }));
        assert_eq!(level.count(2), Err(BelowHeld(3)));
        assert_eq!(Level::default().count(0), Ok(Level::default()));
    }

    #[test]
    fn used_places_stay_taken() {
        // Ten places, of which three are held and two were used.
        let level = Level { available: 5, held: 3 };
        assert_eq!(level.resize(10, 12), Ok(Level { available: 7, held: 3 }));
        assert_eq!(level.resize(10, 5), Ok(Level { available: 0, held: 3 }));
        assert_eq!(level.resize(10, 4), Err(BelowHeld(5)));
    }

    #[test]
    fn the_words_of_bands_are_those_of_the_contract() {
        for band in [Band::None, Band::Few, Band::Plenty] {
            assert_eq!(serde_json::to_value(band).unwrap(), word_of(band));
        }
    }

    proptest! {
        #[test]
        fn promising_and_giving_back_change_nothing_that_is_there(available in 0i64..1000, held in 0i64..1000, units in 0i64..1000) {
            let level = Level { available, held };
            prop_assume!(units <= available);
            prop_assert_eq!(level.reserve(units).on_hand(), level.on_hand());
            prop_assert_eq!(level.reserve(units).give_back(units), level);
            prop_assert_eq!(level.reserve(units).consume(units).on_hand(), level.on_hand() - units);
        }
    }
}
