//! The rules of the house as tests. They enumerate what exists, over `cargo metadata` and the files, so that no list must be
//! kept in step; each breach names the offender and the way out.
//! Every rule is a pure function with a test that a planted breach is found; what a rule is for stands at its head.

mod fail_points;
mod layers;
mod services;
mod tables;
mod words;

use std::sync::LazyLock;

use xtask::source::Source;
use xtask::workspace::{File, Package, Workspace};

/// The workspace and the Rust files of its packages, read once for all rules.
static HOUSE: LazyLock<(Workspace, Vec<Vec<File>>)> = LazyLock::new(|| {
    let workspace = Workspace::load().expect("the workspace can be read");
    let files = workspace.packages.iter().map(|package| package.files().expect("files of a package can be read")).collect();
    (workspace, files)
});

/// Every package of the workspace.
fn packages() -> &'static [Package] {
    &HOUSE.0.packages
}

/// Every package with its Rust files.
fn rooms() -> impl Iterator<Item = (&'static Package, &'static [File])> {
    packages().iter().zip(HOUSE.1.iter().map(Vec::as_slice))
}

/// The packages that have the form of a service, with their Rust files.
fn services() -> impl Iterator<Item = (&'static Package, &'static [File])> {
    rooms().filter(|(package, _)| matches!(package.layer.as_deref(), Some("service" | "stand-in")))
}

/// Fails with every breach of a rule, one a line.
#[track_caller]
fn assert_kept(breaches: impl IntoIterator<Item = String>) {
    let breaches: Vec<String> = breaches.into_iter().collect();
    assert!(breaches.is_empty(), "this rule of the house is broken:\n  {}\n", breaches.join("\n  "));
}

/// Where a breach is, for people and editors.
fn place(package: &Package, file: &File, line: usize) -> String {
    format!("{}:{line}", package.dir.join(&file.path).display())
}

/// A package to plant breaches in.
fn package(name: &str, layer: &str) -> Package {
    Package { name: name.into(), dir: format!("crates/{name}").into(), layer: Some(layer.into()), dependencies: Vec::new() }
}

/// A file to plant breaches in.
fn file(path: &str, text: &str) -> File {
    File { path: path.into(), text: text.into(), source: Source::parse(text), test: path.starts_with("tests") }
}
