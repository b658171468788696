//! The port to the world: what time it is, a source of chance, tasks and sleep.
//! Leaves the real world to `engine::TokioRuntime`; a simulator gives another.

use std::future::Future;
use std::pin::Pin;

use crate::{Millis, Timestamp};

/// A future that owns what it needs and may move between threads.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Everything that would make two runs of the same inputs differ, behind one door.
pub trait Runtime: Send + Sync + 'static {
    /// The wall clock.
    fn now(&self) -> Timestamp;
    /// A fresh source of chance, unpredictable in the real world and seeded in a simulated one.
    fn draw(&self) -> Draw;
    /// Runs `task` until it ends; `name` tells it apart in traces.
    fn spawn(&self, name: &'static str, task: BoxFuture<'static, ()>);
    /// Ends after `ms` milliseconds.
    fn sleep(&self, ms: Millis) -> BoxFuture<'static, ()>;
}

/// A stream of random bytes from a seed of 256 bits (xoshiro256++, Blackman and Vigna, public domain).
/// Deciders draw from it; secrets do not: keys and passwords come from the operating system in the crate that makes them.
#[derive(Clone, Debug)]
pub struct Draw([u64; 4]);

impl Draw {
    /// The stream of a full seed.
    #[must_use]
    pub fn new(seed: [u64; 4]) -> Self {
        // All zeroes is the one state that the generator never leaves.
        Self(if seed == [0; 4] { [1, 2, 3, 4] } else { seed })
    }

    /// The stream of a small seed, spread by splitmix64; for tests, loads and simulations.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        let mut state = seed;
        Self::new(std::array::from_fn(|_| {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = state;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^ (z >> 31)
        }))
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        let s = &mut self.0;
        let result = s[0].wrapping_add(s[3]).rotate_left(23).wrapping_add(s[0]);
        let t = s[1] << 17;
        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= t;
        s[3] = s[3].rotate_left(45);
        result
    }

    /// A number below `end`, which must not be 0 (Lemire's multiplication; the bias is below 2⁻³² for small ends).
    pub fn below(&mut self, end: u64) -> u64 {
        let wide = u128::from(self.next_u64()) * u128::from(end);
        u64::try_from(wide >> 64).unwrap_or_default()
    }

    /// `N` random bytes.
    pub fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        for chunk in bytes.chunks_mut(8) {
            let word = self.next_u64().to_le_bytes();
            chunk.copy_from_slice(&word[..chunk.len()]);
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_and_another_differs() {
        let draws = |seed| {
            let mut draw = Draw::seeded(seed);
            [draw.next_u64(), draw.next_u64()]
        };
        assert_eq!(draws(7), draws(7));
        assert_ne!(draws(7), draws(8));
        let mut draw = Draw::seeded(1);
        assert!((0..1000).all(|_| draw.below(6) < 6));
    }
}
