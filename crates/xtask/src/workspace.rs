//! The workspace as data: packages, their layers, dependencies and Rust files, as cargo and the disk tell them.
//! It leaves judging them to the rules of the house.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::source::{self, Source};

/// What `cargo metadata` says about the workspace.
#[derive(Debug, Clone)]
pub struct Workspace {
    /// The directory of the root manifest.
    pub root: PathBuf,
    /// The members, by name.
    pub packages: Vec<Package>,
}

/// A member of the workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// Its name, which is also the name of its folder.
    pub name: String,
    /// The directory of its manifest.
    pub dir: PathBuf,
    /// The layer its manifest states in `[package.metadata.swiftcart]`.
    pub layer: Option<String>,
    /// Every dependency its manifest names, of every kind.
    pub dependencies: Vec<Dependency>,
}

/// One dependency of a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dependency {
    /// The name of the package, whatever it is renamed to.
    pub name: String,
    /// What it is needed for.
    pub kind: Kind,
    /// Whether it is named by path, as members name each other.
    pub local: bool,
}

/// What a dependency is needed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// For the crate itself.
    Normal,
    /// For its build script.
    Build,
    /// For its tests, examples and benchmarks only.
    Dev,
}

/// One Rust file of a member.
#[derive(Debug, Clone)]
pub struct File {
    /// Where it is, relative to the directory of its package.
    pub path: PathBuf,
    /// Its text as written.
    pub text: String,
    /// Its text taken apart.
    pub source: Source,
    /// Whether all of it is test: it lies under `tests/` or `benches/`, or its module is declared under `#[cfg(test)]`.
    pub test: bool,
}

impl Workspace {
    /// Asks cargo about the workspace of the current directory.
    ///
    /// # Errors
    /// When cargo cannot be run or refuses, above all when a manifest is broken.
    pub fn load() -> Result<Self> {
        let output = cargo()
            .args(["metadata", "--no-deps", "--format-version", "1"])
            .stderr(Stdio::inherit())
            .output()
            .context("cargo metadata did not start")?;
        ensure!(output.status.success(), "cargo metadata failed");
        Self::parse(&output.stdout)
    }

    /// Reads the answer of `cargo metadata --format-version 1`.
    ///
    /// # Errors
    /// When it is not that.
    pub fn parse(json: &[u8]) -> Result<Self> {
        let metadata: Value = serde_json::from_slice(json).context("cargo metadata is not JSON")?;
        let root = PathBuf::from(text(&metadata, "workspace_root")?);
        let mut packages = list(&metadata, "packages")?.iter().map(Package::parse).collect::<Result<Vec<_>>>()?;
        packages.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Self { root, packages })
    }

    /// The members of one layer.
    pub fn layer<'a>(&'a self, layer: &'a str) -> impl Iterator<Item = &'a Package> {
        self.packages.iter().filter(move |package| package.layer.as_deref() == Some(layer))
    }
}

impl Package {
    fn parse(value: &Value) -> Result<Self> {
        let manifest = PathBuf::from(text(value, "manifest_path")?);
        Ok(Self {
            name: text(value, "name")?.to_owned(),
            dir: manifest.parent().context("a manifest lies in a directory")?.to_owned(),
            layer: value.pointer("/metadata/swiftcart/layer").and_then(Value::as_str).map(str::to_owned),
            dependencies: list(value, "dependencies")?.iter().map(Dependency::parse).collect::<Result<_>>()?,
        })
    }

    /// Reads its Rust files, sorted by path.
    ///
    /// # Errors
    /// When one cannot be read.
    pub fn files(&self) -> Result<Vec<File>> {
        let mut files = Vec::new();
        for path in paths(&self.dir, "rs")? {
            let text = read(&path)?;
            let source = Source::parse(&text);
            let path = path.strip_prefix(&self.dir).unwrap_or(&path).to_owned();
            let test = path.starts_with("tests") || path.starts_with("benches");
            files.push(File { path, text, source, test });
        }
        mark_test_modules(&mut files);
        Ok(files)
    }
}

impl Dependency {
    fn parse(value: &Value) -> Result<Self> {
        let kind = match value.get("kind").and_then(Value::as_str) {
            Some("dev") => Kind::Dev,
            Some("build") => Kind::Build,
            _ => Kind::Normal,
        };
        Ok(Self { name: text(value, "name")?.to_owned(), kind, local: value.get("path").is_some_and(Value::is_string) })
    }
}

impl File {
    /// Whether this line, counted from 1, belongs to tests.
    #[must_use]
    pub fn test_line(&self, line: usize) -> bool {
        self.test || self.source.test_line(line)
    }

    /// The lines of its code, counted from 1, that hold this word (see [`source::lines_with`]).
    #[must_use]
    pub fn lines_with(&self, word: &str) -> Vec<usize> {
        source::lines_with(self.source.code(), word)
    }
}

/// The cargo that runs us, else the one on the path.
#[must_use]
pub fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// Every file below a directory that ends in `.extension`, sorted; hidden directories and those of build products are left out.
///
/// # Errors
/// When a directory cannot be read.
pub fn paths(dir: &Path, extension: &str) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut pending = vec![dir.to_owned()];
    while let Some(dir) = pending.pop() {
        for path in entries(&dir)? {
            if path.is_dir() {
                if !(hidden(&path) || path.join("CACHEDIR.TAG").exists()) {
                    pending.push(path);
                }
            } else if path.extension().is_some_and(|found| found == extension) {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// What lies in a directory, sorted.
///
/// # Errors
/// When it cannot be read.
pub fn entries(dir: &Path) -> Result<Vec<PathBuf>> {
    let cause = || format!("cannot read the directory {}", dir.display());
    let mut found = Vec::new();
    for entry in dir.read_dir().with_context(cause)? {
        found.push(entry.with_context(cause)?.path());
    }
    found.sort();
    Ok(found)
}

/// Reads a text file.
///
/// # Errors
/// When it cannot be read, naming it.
pub fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

fn hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'))
}

/// Marks the files of modules that are declared under `#[cfg(test)]` in another file.
fn mark_test_modules(files: &mut [File]) {
    let roots: Vec<PathBuf> = files
        .iter()
        .flat_map(|file| {
            let home = module_dir(&file.path);
            file.source.test_modules().into_iter().map(move |name| home.join(name))
        })
        .collect();
    for file in files {
        file.test |= roots.iter().any(|root| file.path.starts_with(root) || file.path == root.with_extension("rs"));
    }
}

/// Where the modules that a file declares are looked for.
fn module_dir(path: &Path) -> PathBuf {
    let parent = path.parent().unwrap_or(Path::new(""));
    match path.file_stem().and_then(|stem| stem.to_str()) {
        Some("lib" | "main" | "mod") | None => parent.to_owned(),
        Some(stem) => parent.join(stem),
    }
}

fn text<'a>(value: &'a Value, key: &str) -> Result<&'a str> {
    value.get(key).and_then(Value::as_str).with_context(|| format!("cargo metadata has no text {key:?}"))
}

fn list<'a>(value: &'a Value, key: &str) -> Result<&'a Vec<Value>> {
    value.get(key).and_then(Value::as_array).with_context(|| format!("cargo metadata has no list {key:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_becomes_packages() {
        let json = br#"{"workspace_root": "/w", "packages": [
            {"name": "store", "manifest_path": "/w/crates/store/Cargo.toml", "metadata": {"swiftcart": {"layer": "platform"}},
             "dependencies": [{"name": "kernel", "kind": null, "path": "/w/crates/kernel"}, {"name": "log", "kind": "dev"}]},
            {"name": "kernel", "manifest_path": "/w/crates/kernel/Cargo.toml", "metadata": null, "dependencies": []}]}"#;
        let workspace = Workspace::parse(json).unwrap();
        assert_eq!(workspace.root, Path::new("/w"));
        assert_eq!(workspace.packages[0].name, "kernel");
        assert_eq!(workspace.packages[0].layer, None);
        let store = workspace.layer("platform").next().unwrap();
        assert_eq!(store.dir, Path::new("/w/crates/store"));
        let kernel = Dependency { name: "kernel".into(), kind: Kind::Normal, local: true };
        let log = Dependency { name: "log".into(), kind: Kind::Dev, local: false };
        assert_eq!(store.dependencies, [kernel, log]);
    }

    #[test]
    fn other_json_is_refused() {
        assert!(Workspace::parse(b"{}").is_err());
        assert!(Workspace::parse(b"no").is_err());
    }

    #[test]
    fn this_workspace_is_found() {
        let workspace = Workspace::load().unwrap();
        assert!(workspace.layer("tools").any(|package| package.name == "xtask"));
    }

    #[test]
    fn modules_declared_for_tests_are_test_files() {
        let mut files = vec![
            file("src/lib.rs", "#[cfg(test)]\nmod samples;\nmod orders;"),
            file("src/orders.rs", "#[cfg(test)] mod checks;"),
            file("src/orders/checks.rs", ""),
            file("src/samples/deep.rs", ""),
            file("src/checks.rs", ""),
        ];
        mark_test_modules(&mut files);
        let tests: Vec<bool> = files.iter().map(|file| file.test).collect();
        assert_eq!(tests, [false, false, true, true, false]);
    }

    fn file(path: &str, text: &str) -> File {
        File { path: path.into(), text: text.into(), source: Source::parse(text), test: false }
    }
}
