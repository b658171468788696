//! What tests may do to a process of this program through its environment: end it or freeze it at a fail point, and switch
//! mechanisms off. Only in builds with the feature `fail-points`. Leaves where the points are to the crates that have them.
//!
//! `SWIFTCART_FAIL_POINTS` holds deeds, parted by commas: `record=FILE` appends each point's name to FILE as it is first
//! reached; `crash=NAME@N` ends the process at once as NAME is reached for the Nth time; `freeze=NAME@N:MS` stops it there for
//! MS milliseconds. `SWIFTCART_SABOTAGE` names mechanisms, parted by commas, that are off from the start.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, bail};
use kernel::Millis;
use store::{Mechanism, Sabotage};

const DEEDS: &str = "SWIFTCART_FAIL_POINTS";
const SABOTAGE: &str = "SWIFTCART_SABOTAGE";

/// What is done at fail points.
#[derive(Debug)]
enum Deed {
    /// The point's name is written down when it is first reached.
    Record(File),
    /// The process ends there.
    Crash(Moment),
    /// The process stands still for so long.
    Freeze(Moment, Millis),
}

/// A point's `hit`th time, counted from 1.
#[derive(Debug, PartialEq, Eq)]
struct Moment {
    point: String,
    hit: u64,
}

/// Does from now on what the environment asks for.
pub(crate) fn install() -> anyhow::Result<()> {
    for name in words(&environment(SABOTAGE)) {
        Sabotage::switch(mechanism(name)?, true);
    }
    let deeds = words(&environment(DEEDS)).map(deed).collect::<anyhow::Result<Vec<_>>>()?;
    if deeds.is_empty() {
        return Ok(());
    }
    let hits = Mutex::new(HashMap::new());
    kernel::on_fail_point(move |point| {
        let hit = {
            let mut hits = hits.lock().unwrap_or_else(PoisonError::into_inner);
            let hit = hits.entry(point).or_insert(0_u64);
            *hit += 1;
            *hit
        };
        deeds.iter().for_each(|deed| done(deed, point, hit));
    });
    Ok(())
}

#[allow(clippy::disallowed_methods, reason = "no setting of a shop: only builds for tests have it")]
fn environment(name: &str) -> String {
    std::env::var(name).unwrap_or_default()
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|word| !word.is_empty())
}

fn mechanism(name: &str) -> anyhow::Result<Mechanism> {
    let names = Mechanism::ALL.map(Mechanism::name).join(", ");
    let found = Mechanism::ALL.into_iter().find(|mechanism| mechanism.name() == name);
    found.with_context(|| format!("{SABOTAGE}: {name} is none of {names}"))
}

fn deed(text: &str) -> anyhow::Result<Deed> {
    let wrong = || format!("{DEEDS}: {text} is none of record=FILE, crash=NAME@N, freeze=NAME@N:MS");
    match text.split_once('=').with_context(wrong)? {
        ("record", file) => {
            let opened = OpenOptions::new().create(true).append(true).open(file);
            opened.map(Deed::Record).with_context(|| format!("{DEEDS}: {file} cannot be written"))
        }
        ("crash", moment) => of_moment(moment).map(Deed::Crash).with_context(wrong),
        ("freeze", freeze) => {
            let (moment, ms) = freeze.split_once(':').with_context(wrong)?;
            Ok(Deed::Freeze(of_moment(moment).with_context(wrong)?, ms.parse().with_context(wrong)?))
        }
        _ => bail!(wrong()),
    }
}

fn of_moment(text: &str) -> Option<Moment> {
    let (point, hit) = text.split_once('@')?;
    hit.parse().ok().filter(|hit| *hit > 0).map(|hit| Moment { point: point.to_owned(), hit })
}

fn done(deed: &Deed, point: &str, hit: u64) {
    let now = |moment: &Moment| moment.hit == hit && moment.point == point;
    match deed {
        Deed::Record(file) if hit == 1 => {
            // In one write, so that two processes do not mix their lines. Whoever misses a line complains of it.
            let _ = (&*file).write_all(format!("{point}\n").as_bytes());
        }
        // No handler runs and nothing is flushed: as a kill -9 would end it.
        Deed::Crash(moment) if now(moment) => std::process::abort(),
        Deed::Freeze(moment, ms) if now(moment) => freeze(*ms),
        Deed::Record(_) | Deed::Crash(_) | Deed::Freeze(..) => {}
    }
}

/// Stops the whole process as SIGSTOP does; somebody outside of it counts the time and lets it go on.
fn freeze(ms: Millis) {
    let script = "kill -STOP $0; sleep $1; kill -CONT $0";
    let (process, seconds) = (std::process::id().to_string(), format!("{}.{:03}", ms / 1000, ms % 1000));
    let mut outsider = Command::new("sh");
    outsider.args(["-c", script, &process, &seconds]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    if let Err(error) = outsider.status() {
        tracing::error!(%error, "cannot freeze");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deeds_are_read_and_odd_ones_refused() {
        let moment = |hit| Moment { point: "engine.before-commit".to_owned(), hit };
        assert!(matches!(deed("crash=engine.before-commit@3"), Ok(Deed::Crash(at)) if at == moment(3)));
        assert!(matches!(deed("freeze=engine.before-commit@1:8000"), Ok(Deed::Freeze(at, 8000)) if at == moment(1)));
        for wrong in ["crash", "crash=a", "crash=a@0", "crash=a@x", "freeze=a@1", "freeze=a@1:x", "burn=a@1"] {
            assert!(deed(wrong).is_err_and(|error| format!("{error:#}").contains(wrong)), "{wrong}");
        }
    }

    #[test]
    fn every_mechanism_has_a_name() {
        for known in Mechanism::ALL {
            assert_eq!(mechanism(known.name()).ok(), Some(known));
        }
        assert!(mechanism("luck").is_err_and(|error| error.to_string().contains("timer-once")));
    }

    #[test]
    fn a_point_is_written_down_once() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("points");
        let record = deed(&format!("record={}", path.display())).unwrap();
        for hit in 1..=3 {
            done(&record, "engine.before-commit", hit);
        }
        done(&record, "engine.after-commit", 1);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "engine.before-commit\nengine.after-commit\n");
    }
}
