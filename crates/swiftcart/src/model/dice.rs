//! One number from which every choice of one move is taken, the smaller the simpler: so that what a test finds shrinks.

/// What is left of the number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Dice(pub(super) u64);

impl Dice {
    /// One of `sides`, which must not be 0.
    pub(super) fn roll(&mut self, sides: usize) -> usize {
        let sides = sides as u64;
        let rolled = self.0 % sides;
        self.0 /= sides;
        usize::try_from(rolled).expect("less than what fits")
    }

    /// One of `items`, if there is any.
    pub(super) fn pick<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        if items.is_empty() { None } else { items.get(self.roll(items.len())) }
    }

    /// Whether it comes to `of` out of `sides`; no for a number of 0.
    pub(super) fn happens(&mut self, of: usize, sides: usize) -> bool {
        self.roll(sides) >= sides - of
    }
}
