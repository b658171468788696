//! Words that must not stand where they stand: in code, never in comments, and in strings only where the rule says so.

use xtask::source::lines_with;
use xtask::workspace::{File, Package};

use crate::{assert_kept, place, rooms, services};

/// What no code of ours may hold.
const UNFINISHED: [&str; 4] = ["todo!", "unimplemented!", "dbg!", "#[ignore"];

/// What makes a test slow on a fast machine and flaky on a slow one.
const SLEEPS: [&str; 2] = ["thread::sleep", "time::sleep"];

/// What a decider may not do: wait, read a clock, draw a number.
const IMPURE: [&str; 6] = ["async", ".await", "SystemTime", "Instant::now", "Timestamp::now", "rand::"];

/// How statements begin.
const STATEMENTS: [&[&str]; 5] = [&["SELECT"], &["INSERT", "INTO"], &["INSERT", "OR"], &["UPDATE"], &["DELETE", "FROM"]];

#[test]
fn every_file_opens_with_what_it_owns() {
    assert_kept(rooms().flat_map(|(package, files)| files.iter().filter_map(|file| without_opening(package, file))));
}

#[test]
fn nothing_is_left_unfinished() {
    assert_kept(rooms().flat_map(|(package, files)| files.iter().flat_map(|file| unfinished(package, file))));
}

#[test]
fn tests_wait_on_conditions() {
    assert_kept(rooms().flat_map(|(package, files)| files.iter().flat_map(|file| sleeps(package, file))));
}

#[test]
fn domains_are_pure() {
    assert_kept(services().flat_map(|(package, files)| files.iter().flat_map(|file| impure(package, file))));
}

#[test]
fn sql_stays_in_the_store() {
    assert_kept(services().flat_map(|(package, files)| files.iter().flat_map(|file| stray_sql(package, file))));
}

#[test]
fn what_is_stored_or_said_may_grow() {
    assert_kept(rooms().flat_map(|(package, files)| files.iter().flat_map(|file| stiff(package, file))));
}

fn without_opening(package: &Package, file: &File) -> Option<String> {
    let missing = !file.text.starts_with("//!");
    missing.then(|| {
        let place = place(package, file, 1);
        format!("{place}: the file must open with `//!`: a sentence on what it owns, one on what it leaves to others")
    })
}

fn unfinished(package: &Package, file: &File) -> Vec<String> {
    said(package, file, &UNFINISHED, "finish it, or take it out", |_| true)
}

fn sleeps(package: &Package, file: &File) -> Vec<String> {
    said(package, file, &SLEEPS, "a test waits on a condition, or moves the clock it gave", |line| file.test_line(line))
}

fn impure(package: &Package, file: &File) -> Vec<String> {
    if !(file.path.starts_with("src/domain") || file.path.ends_with("src/domain.rs")) {
        return Vec::new();
    }
    said(package, file, &IMPURE, "the domain is pure: time, chance and what others know come in with the input", |_| true)
}

/// Types that are written and read again, and refuse what a newer program may have added. What only callers write is another
/// thing: there an unknown field is a mistake.
fn stiff(package: &Package, file: &File) -> Vec<String> {
    let code: Vec<&str> = file.source.code().lines().collect();
    let attribute = |line: &&&str| line.starts_with("#[");
    let written = |line: usize| {
        let (before, after) = (&code[..line], &code[line..]);
        let mut attributes = before.iter().rev().take_while(attribute).chain(after.iter().take_while(attribute));
        attributes.any(|line| !lines_with(line, "Serialize").is_empty())
    };
    let denying = file.lines_with("deny_unknown_fields").into_iter().filter(|line| !file.test_line(*line) && written(*line));
    let way_out = "a newer program may have added a field: give callers a type of their own, which is only read";
    denying.map(|line| format!("{}: {way_out}", place(package, file, line))).collect()
}

fn said(package: &Package, file: &File, words: &[&str], way_out: &str, counts: impl Fn(usize) -> bool) -> Vec<String> {
    let mut breaches = Vec::new();
    for word in words {
        let lines = file.lines_with(word).into_iter().filter(|line| counts(*line));
        breaches.extend(lines.map(|line| format!("{}: `{word}`: {way_out}", place(package, file, line))));
    }
    breaches
}

fn stray_sql(package: &Package, file: &File) -> Vec<String> {
    if file.path.ends_with("src/store.rs") || file.path.starts_with("src/store") {
        return Vec::new();
    }
    let strays = file.source.literals().iter().filter(|literal| states(&literal.text));
    strays
        .map(|literal| format!("{}: SQL outside store.rs: name it there and call it", place(package, file, literal.line)))
        .collect()
}

/// Whether a text holds the beginning of a statement; `DELETE /v1/carts` is none.
fn states(text: &str) -> bool {
    let words: Vec<&str> = text.split_whitespace().map(|word| word.trim_start_matches('(')).collect();
    let begins = |statement: &[&str]| words.windows(statement.len() + 1).any(|words| words.starts_with(statement));
    STATEMENTS.iter().any(|statement| begins(statement))
}

mod planted {
    use super::*;
    use crate::{file, package};

    #[test]
    fn a_file_without_opening_is_found() {
        let web = package("web", "platform");
        assert!(without_opening(&web, &file("src/lib.rs", "// What it owns.\n")).is_some());
        assert!(without_opening(&web, &file("src/lib.rs", "\n//! What it owns.\n")).is_some());
        assert!(without_opening(&web, &file("src/lib.rs", "//! What it owns.\n")).is_none());
    }

    #[test]
    fn unfinished_code_is_found() {
        let web = package("web", "platform");
        for text in
            ["fn f() { todo!() }", "dbg!(1);", "#[ignore]", "#[ignore = \"slow\"]", "fn f() {\n unimplemented!(\"later\") }"]
        {
            assert_eq!(unfinished(&web, &file("src/lib.rs", text)).len(), 1, "{text}");
        }
        assert!(unfinished(&web, &file("src/lib.rs", "// todo!()\nf(\"dbg!(x)\"); #[ignored] fn g() {}")).is_empty());
    }

    #[test]
    fn types_that_cannot_grow_are_found() {
        let orders = package("orders", "service");
        let found = |derived: &str| {
            let text = format!("#[derive({derived})]\n#[serde(deny_unknown_fields)]\nstruct Line {{}}\n");
            stiff(&orders, &file("src/domain/line.rs", &text)).len()
        };
        assert_eq!((found("Clone, Serialize, Deserialize"), found("Clone, Deserialize")), (1, 0));
    }

    #[test]
    fn breaches_name_file_and_line() {
        let found = unfinished(&package("web", "platform"), &file("src/a.rs", "//! a\n\nfn f() {\n    todo!()\n}\n"));
        assert!(found[0].starts_with("crates/web/src/a.rs:4: `todo!`"), "{found:?}");
    }

    #[test]
    fn sleeping_tests_are_found() {
        let web = package("web", "platform");
        let text = "fn a() { std::thread::sleep(x) }\n#[cfg(test)]\nmod tests {\n  fn b() { tokio::time::sleep(x).await }\n}";
        assert_eq!(sleeps(&web, &file("src/lib.rs", text)).len(), 1);
        assert_eq!(sleeps(&web, &file("tests/it.rs", text)).len(), 2);
    }

    #[test]
    fn impure_domains_are_found() {
        let catalog = package("catalog", "service");
        for text in ["async fn f() {}", "x.await", "SystemTime::now()", "Instant::now()", "rand::random()"] {
            assert_eq!(impure(&catalog, &file("src/domain/product.rs", text)).len(), 1, "{text}");
            assert_eq!(impure(&catalog, &file("src/domain.rs", text)).len(), 1, "{text}");
            assert!(impure(&catalog, &file("src/service.rs", text)).is_empty(), "{text}");
        }
        assert!(impure(&catalog, &file("src/domain/product.rs", "use brand::Brand; // no async, no rand::\n")).is_empty());
    }

    #[test]
    fn stray_sql_is_found() {
        let orders = package("orders", "service");
        for text in [
            "f(\"SELECT 1\")",
            "f(\"UPDATE a SET b = 1\")",
            "f(r\"\n INSERT INTO a\n (b)\")",
            "f(\"x (SELECT a)\")",
            "f(\"DELETE FROM a\")",
        ] {
            assert_eq!(stray_sql(&orders, &file("src/service.rs", text)).len(), 1, "{text}");
            assert_eq!(stray_sql(&orders, &file("tests/it.rs", text)).len(), 1, "{text}");
            assert!(stray_sql(&orders, &file("src/store.rs", text)).is_empty(), "{text}");
        }
        let innocent = "f(\"DELETE /v1/carts\"); f(\"select a slot\"); f(\"SELECT\"); // SELECT a\n";
        assert!(stray_sql(&orders, &file("src/http.rs", innocent)).is_empty());
    }
}
