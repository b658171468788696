//! Fail points: names at every durable step, so that a build for tests can end or freeze the process exactly there.
//! Leaves what happens at a point to the hook, which only a binary sets; without the feature `fail-points` a point is nothing.

#[cfg(feature = "fail-points")]
static HOOK: std::sync::OnceLock<Box<dyn Fn(&'static str) + Send + Sync>> = std::sync::OnceLock::new();

/// The step `name` has been reached: its name is written out here, unique, and begins with the crate's, as
/// `engine.before-commit`. Who adds a durable step adds its points; the crash suite finds them in the source.
#[cfg(feature = "fail-points")]
pub fn fail_point(name: &'static str) {
    if let Some(hook) = HOOK.get() {
        hook(name);
    }
}

/// The step `name` has been reached, which matters to nobody in a build without the feature `fail-points`.
#[cfg(not(feature = "fail-points"))]
#[inline(always)]
pub const fn fail_point(_name: &'static str) {}

/// From now on every point that is reached calls `hook`, in whichever thread. Tells whether it was the first to be set, for
/// only that one counts.
#[cfg(feature = "fail-points")]
pub fn on_fail_point(hook: impl Fn(&'static str) + Send + Sync + 'static) -> bool {
    HOOK.set(Box::new(hook)).is_ok()
}
