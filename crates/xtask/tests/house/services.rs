//! The same files in every service: who knows one service finds everything in all.

use std::path::Path;

use xtask::workspace::{Package, entries};

use crate::{assert_kept, services};

/// The files of `src/`; `domain` may be a file or a folder, and each may have a folder of its name for its parts.
const FILES: [&str; 8] = ["lib", "config", "domain", "store", "service", "http", "events", "jobs"];

/// The folders beside `src/`.
const FOLDERS: [&str; 2] = ["migrations", "tests"];

#[test]
fn every_service_has_the_same_files() {
    assert_kept(services().flat_map(|(package, _)| {
        let mut breaches = odd_files(package, &names(&package.dir.join("src")));
        breaches.extend(missing_folders(package, &names(&package.dir)));
        breaches
    }));
}

/// The names in a directory, folders with a trailing slash; none if there is no such directory.
fn names(dir: &Path) -> Vec<String> {
    let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let marked = |path: &Path| if path.is_dir() { format!("{}/", name(path)) } else { name(path) };
    entries(dir).unwrap_or_default().iter().map(|path| marked(path)).collect()
}

fn odd_files(package: &Package, found: &[String]) -> Vec<String> {
    let has = |name: &str| found.iter().any(|found| found == name);
    let missing = FILES.iter().filter(|stem| !(has(&format!("{stem}.rs")) || **stem == "domain" && has("domain/"))).map(|stem| {
        format!(
            "{} has no src/{stem}.rs: a service has it even if its one sentence says why there is nothing in it",
            package.name
        )
    });
    let odd =
        found.iter().filter(|name| !FILES.iter().any(|stem| **name == format!("{stem}.rs") || **name == format!("{stem}/")));
    let odd = odd.map(|name| format!("{} has src/{name}: move it into one of {}", package.name, FILES.join(", ")));
    missing.chain(odd).collect()
}

fn missing_folders(package: &Package, found: &[String]) -> Vec<String> {
    let missing = FOLDERS.iter().filter(|folder| !found.contains(&format!("{folder}/")));
    missing.map(|folder| format!("{} has no {folder}/ beside its src/: every service has", package.name)).collect()
}

mod planted {
    use super::*;
    use crate::package;

    fn found(names: &str) -> Vec<String> {
        names.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn missing_and_odd_files_are_found() {
        let orders = package("orders", "service");
        let all = "lib.rs config.rs domain/ store.rs service.rs http.rs events.rs jobs.rs";
        assert!(odd_files(&orders, &found(all)).is_empty());
        assert!(odd_files(&orders, &found(&all.replace("domain/", "domain.rs domain/ http/"))).is_empty());
        assert_eq!(odd_files(&orders, &found(&all.replace("jobs.rs", ""))).len(), 1);
        assert_eq!(odd_files(&orders, &found(&all.replace("jobs.rs", "jobs/"))).len(), 1);
        assert_eq!(odd_files(&orders, &found(&format!("{all} helpers.rs util/"))).len(), 2);
    }

    #[test]
    fn missing_folders_are_found() {
        let orders = package("orders", "service");
        assert!(missing_folders(&orders, &found("Cargo.toml migrations/ src/ tests/")).is_empty());
        assert_eq!(missing_folders(&orders, &found("Cargo.toml migrations src/")).len(), 2);
    }
}
