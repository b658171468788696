//! The port to the world for tests: tasks and waits are real, and the clock goes as the test wants it.
//! Leaves the real clock to `engine::TokioRuntime`.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use engine::TokioRuntime;
use kernel::{BoxFuture, Draw, Millis, Runtime, Timestamp};

/// How much shorter a hurried sleep is than what was asked for.
const HURRY: Millis = 100;

/// The real world with another clock.
#[derive(Debug)]
pub struct TestRuntime {
    world: TokioRuntime,
    time: Time,
    /// How far the clock was moved: from now if it flows, else from 1970.
    moved_ms: AtomicI64,
    draws: AtomicU64,
}

/// What moves the clock besides the test.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Time {
    Flows,
    Stands,
    Hurries,
}

impl TestRuntime {
    /// The real clock, until it is moved ahead.
    #[must_use]
    pub fn flowing() -> Self {
        Self::new(Time::Flows, 0)
    }

    /// A clock that stands at `at` until it is moved; chance repeats from run to run.
    #[must_use]
    pub fn standing(at: Timestamp) -> Self {
        Self::new(Time::Stands, at.as_millis())
    }

    /// A clock that each sleep moves by what was asked for, and that takes a hundredth of it; chance repeats.
    #[must_use]
    pub fn hurried() -> Self {
        Self::new(Time::Hurries, 0)
    }

    fn new(time: Time, moved_ms: Millis) -> Self {
        Self { world: TokioRuntime::new(), time, moved_ms: AtomicI64::new(moved_ms), draws: AtomicU64::new(1) }
    }

    /// Moves the clock ahead.
    pub fn advance(&self, ms: Millis) {
        self.moved_ms.fetch_add(ms, Ordering::SeqCst);
    }
}

impl Runtime for TestRuntime {
    fn now(&self) -> Timestamp {
        let moved_ms = self.moved_ms.load(Ordering::SeqCst);
        match self.time {
            Time::Flows => self.world.now().plus_ms(moved_ms),
            Time::Stands | Time::Hurries => Timestamp::from_millis(moved_ms),
        }
    }

    fn draw(&self) -> Draw {
        match self.time {
            Time::Flows => self.world.draw(),
            Time::Stands | Time::Hurries => Draw::seeded(self.draws.fetch_add(1, Ordering::SeqCst)),
        }
    }

    fn spawn(&self, name: &'static str, task: BoxFuture<'static, ()>) {
        self.world.spawn(name, task);
    }

    fn sleep(&self, ms: Millis) -> BoxFuture<'static, ()> {
        match self.time {
            Time::Flows | Time::Stands => self.world.sleep(ms),
            Time::Hurries => {
                self.advance(ms);
                self.world.sleep(ms / HURRY)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_clock_goes_its_way() {
        let flowing = TestRuntime::flowing();
        let begun = flowing.now();
        flowing.advance(60_000);
        assert!(flowing.now() >= begun.plus_ms(60_000));

        let noon = Timestamp::from_millis(1_764_000_000_000);
        let standing = TestRuntime::standing(noon);
        standing.sleep(2).await;
        assert_eq!(standing.now(), noon);
        standing.advance(5);
        assert_eq!(standing.now(), noon.plus_ms(5));

        let hurried = TestRuntime::hurried();
        hurried.sleep(200).await;
        assert_eq!(hurried.now(), Timestamp::from_millis(200));
    }
}
