//! What processes take: processor time and memory of trees of them, as Linux tells in /proc.
//! Leaves whose trees these are to `shapes`.

use std::collections::HashMap;
use std::fs;

use anyhow::{Context, Result};

/// What Linux counts processor time in, for whoever reads /proc.
const TICKS_PER_SECOND: f64 = 100.0;

/// All processes of one instant.
pub(super) struct Snapshot(HashMap<u32, Process>);

struct Process {
    parent: u32,
    /// Its own time, and that of its children that have ended.
    ticks: f64,
}

impl Snapshot {
    /// What runs now.
    pub(super) fn take() -> Result<Self> {
        let mut processes = HashMap::new();
        for entry in fs::read_dir("/proc").context("this needs /proc, as Linux has it")? {
            let name = entry.context("/proc cannot be listed")?.file_name();
            let Some(id) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
            // It may have ended meanwhile.
            let Ok(stat) = fs::read_to_string(format!("/proc/{id}/stat")) else { continue };
            if let Some(process) = Process::parse(&stat) {
                processes.insert(id, process);
            }
        }
        Ok(Self(processes))
    }

    /// Processor time of `root` and all below it, in seconds, what has ended there included.
    pub(super) fn cpu_s(&self, root: u32) -> f64 {
        self.tree(root).into_iter().map(|id| self.cpu_of(id)).sum()
    }

    /// Processor time of one process, in seconds, with that of its children that have ended.
    pub(super) fn cpu_of(&self, id: u32) -> f64 {
        self.0.get(&id).map_or(0.0, |process| process.ticks) / TICKS_PER_SECOND
    }

    /// Memory of `root` and all below it in MiB, what they share counted once.
    pub(super) fn memory_mib(&self, root: u32) -> f64 {
        self.tree(root).iter().filter_map(|id| share_kib(*id)).sum::<f64>() / 1024.0
    }

    fn tree(&self, root: u32) -> Vec<u32> {
        let mut found = vec![root];
        let mut at = 0;
        while at < found.len() {
            let parent = found[at];
            found.extend(self.0.iter().filter(|(_, process)| process.parent == parent).map(|(id, _)| *id));
            at += 1;
        }
        found
    }
}

impl Process {
    /// Reads a line of /proc/ID/stat. The name in brackets may hold anything.
    fn parse(stat: &str) -> Option<Self> {
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let number = |index: usize| fields.get(index)?.parse::<f64>().ok();
        let parent = fields.get(1)?.parse().ok()?;
        Some(Self { parent, ticks: number(11)? + number(12)? + number(13)? + number(14)? })
    }
}

/// The process's share of the memory that it has.
fn share_kib(id: u32) -> Option<f64> {
    let told = fs::read_to_string(format!("/proc/{id}/smaps_rollup")).ok()?;
    told.lines().find_map(|line| line.strip_prefix("Pss:"))?.trim().trim_end_matches(" kB").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_read_whatever_its_name() {
        let process = Process::parse("7 (a b) c) S 3 7 7 0 -1 0 1 2 3 4 10 20 30 40 20 0 1 0").unwrap();
        assert_eq!((process.parent, process.ticks.to_string().as_str()), (3, "100"));
    }

    #[test]
    fn a_tree_holds_everybody_below() {
        let process = |parent, ticks| Process { parent, ticks };
        let all = [(1, process(0, 1.0)), (2, process(1, 100.0)), (3, process(2, 200.0)), (4, process(1, 400.0))];
        let snapshot = Snapshot(all.into_iter().collect());
        assert!((snapshot.cpu_s(2) - 3.0).abs() < 1e-9);
        assert!(Snapshot::take().unwrap().memory_mib(std::process::id()) > 0.1);
    }
}
