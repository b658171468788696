//! The fail points that stand in the source: who crashes the program at each takes them from here, so that nobody lists them.
//! It leaves the rule of how they are written to `tests/house`, and what happens at them to the binary.

use anyhow::{Result, ensure};

use crate::workspace::{File, Package, Workspace};

/// How code reaches one.
const CALL: &str = "fail_point(";

/// One fail point.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FailPoint {
    /// Its name, as `engine.before-commit`; empty if it is not written out where it stands.
    pub name: String,
    /// The package in whose source it stands.
    pub package: String,
    /// Where, for people and editors.
    pub place: String,
}

/// All fail points of the workspace, by name.
///
/// # Errors
/// When the workspace cannot be read, or holds none, so that nothing would be tested.
pub fn all() -> Result<Vec<FailPoint>> {
    let mut points = Vec::new();
    for package in Workspace::load()?.packages {
        points.extend(of(&package, &package.files()?));
    }
    ensure!(!points.is_empty(), "there is no fail point in the source");
    points.sort();
    Ok(points)
}

/// The fail points in the files of a package, but for those in tests.
#[must_use]
pub fn of(package: &Package, files: &[File]) -> Vec<FailPoint> {
    let mut points = Vec::new();
    for file in files {
        let code: Vec<&str> = file.source.code().lines().collect();
        let calls = file.lines_with(CALL).into_iter().filter(|line| !file.test_line(*line));
        // The line that defines it is no call.
        for line in calls.filter(|line| !code[line - 1].contains("fn fail_point(")) {
            let name = file.source.literals().iter().find(|literal| literal.line == line);
            points.push(FailPoint {
                name: name.map(|literal| literal.text.clone()).unwrap_or_default(),
                package: package.name.clone(),
                place: format!("{}:{line}", package.dir.join(&file.path).display()),
            });
        }
    }
    points
}
