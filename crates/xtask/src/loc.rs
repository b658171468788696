//! Counts lines of code: what a reader must understand, so without tests, comments and blank lines.
//! It leaves finding those apart to `source`.

use std::fmt::Write as _;

use anyhow::Result;

use crate::workspace::{File, Workspace};

/// The crates that make up the machine around the deciders; their sum is what a reader needs to trust before any service.
const MACHINE: [&str; 3] = ["engine", "store", "log"];

/// Counts the lines under `src` of every member and returns the table.
///
/// # Errors
/// When the workspace cannot be read.
pub fn report() -> Result<String> {
    let mut counts = Vec::new();
    for package in Workspace::load()?.packages {
        let files = package.files()?;
        let lines = files.iter().filter(|file| file.path.starts_with("src")).map(count).sum();
        counts.push((package.name, lines));
    }
    Ok(table(&counts))
}

/// The lines of a file that hold code and belong to no test.
#[must_use]
pub fn count(file: &File) -> usize {
    let lines = file.source.code().lines().zip(1..);
    lines.filter(|(text, line)| !(text.trim().is_empty() || file.test_line(*line))).count()
}

fn table(counts: &[(String, usize)]) -> String {
    let sum = |chosen: &dyn Fn(&str) -> bool| counts.iter().filter(|(name, _)| chosen(name)).map(|(_, lines)| lines).sum();
    let mut rows = counts.to_vec();
    rows.push((MACHINE.join(" + "), sum(&|name| MACHINE.contains(&name))));
    rows.push(("all".to_owned(), sum(&|_| true)));

    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let mut table = String::new();
    for (index, (name, lines)) in rows.iter().enumerate() {
        if index == counts.len() {
            table.push('\n');
        }
        let _ = writeln!(table, "{name:width$} {lines:>8}");
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Source;

    #[test]
    fn tests_comments_and_blanks_do_not_count() {
        let text = "//! doc\n\nfn a() {\n    // why\n    \"\n    two lines\"\n}\n\n#[cfg(test)]\nmod tests {\n    fn b() {}\n}\n";
        let mut file = File { path: "src/lib.rs".into(), text: text.into(), source: Source::parse(text), test: false };
        assert_eq!(count(&file), 4);
        file.test = true;
        assert_eq!(count(&file), 0);
    }

    #[test]
    fn the_table_sums_the_machine_and_all() {
        let counts = [("engine", 10), ("kernel", 5), ("store", 7)].map(|(name, lines)| (name.to_owned(), lines));
        let table = table(&counts);
        let words: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(words[2], ["store", "7"]);
        assert_eq!(words[4], ["engine", "+", "store", "+", "log", "17"]);
        assert_eq!(words[5], ["all", "22"]);
    }
}
