//! The live display of a run, where somebody looks: one line on the terminal. Leaves the summary at the end to `figures`.

use std::io::IsTerminal;
use std::sync::Arc;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use kernel::Millis;

use crate::world::World;

/// How often it is drawn.
const DRAW_EVERY_MS: Millis = 200;

/// Shows how far the run is until the day ends; nothing if the standard output is no terminal.
pub(crate) async fn show(world: Arc<World>, baskets: usize) {
    if !std::io::stdout().is_terminal() {
        return;
    }
    let length = u64::try_from(baskets).unwrap_or(u64::MAX);
    let bar = ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::stdout());
    if let Ok(style) = ProgressStyle::with_template("{elapsed_precise} {bar:30} {pos}/{len} baskets  {per_sec}  {msg}") {
        bar.set_style(style);
    }
    while !world.closing.is_closed() {
        let glance = world.figures.glance();
        let (placed, confirmed) = (glance.placed, glance.confirmed);
        let message =
            format!("placed {placed}  confirmed {confirmed}  delivered {}  refused {}", glance.delivered, glance.refused);
        bar.set_position(glance.baskets);
        bar.set_message(message);
        world.closing.or(world.runtime().sleep(DRAW_EVERY_MS)).await;
    }
    bar.finish_and_clear();
}
