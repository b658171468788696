//! Each service owns its tables, and nobody reads another's: every table that its SQL names begins with the service's name.
//! One SQLite file holds the tables of all services, so a name without that would also collide.

use std::collections::BTreeSet;
use std::path::Path;

use xtask::workspace::{File, Package, paths, read};

use crate::{assert_kept, place, services};

/// Whose migrations name tables that another crate made, by the beginning of their names: the sandbox provider's books once
/// stood in the crate of payments, and a migration that was applied is never edited.
const INHERITED: [(&str, &str); 1] = [("sandbox", "payments_sandbox_")];

#[test]
fn stores_name_their_own_tables_only() {
    assert_kept(services().flat_map(|(package, files)| files.iter().flat_map(|file| in_store(package, file))));
}

#[test]
fn migrations_name_their_own_tables_only() {
    assert_kept(services().flat_map(|(package, _)| {
        let migrations = paths(&package.dir.join("migrations"), "sql").unwrap_or_default();
        migrations.into_iter().flat_map(|path| in_migration(package, &path))
    }));
}

fn in_migration(package: &Package, path: &Path) -> Vec<String> {
    let sql = read(path).expect("a migration can be read");
    let place = path.display().to_string();
    let inherited = |table: &String| INHERITED.iter().any(|(owner, start)| *owner == package.name && table.starts_with(start));
    let strangers = strangers(&package.name, &sql);
    strangers.iter().filter(|table| !inherited(table)).map(|table| breach(package, &place, table)).collect()
}

fn in_store(package: &Package, file: &File) -> Vec<String> {
    if !(file.path.ends_with("src/store.rs") || file.path.starts_with("src/store")) {
        return Vec::new();
    }
    let mut breaches = Vec::new();
    for literal in file.source.literals() {
        let place = place(package, file, literal.line);
        breaches.extend(strangers(&package.name, &literal.text).iter().map(|table| breach(package, &place, table)));
    }
    breaches
}

fn breach(package: &Package, place: &str, table: &str) -> String {
    let own = &package.name;
    format!("{place}: the table `{table}` is not one of `{own}_…`: use your own, and keep a copy by event of what others own")
}

/// The tables that a text of SQL names and that do not begin with the owner's name.
fn strangers(owner: &str, sql: &str) -> BTreeSet<String> {
    let words = words(sql);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let named_here = common_tables(&words);
    let prefix = format!("{owner}_");
    let tables = (0..words.len()).filter_map(|at| table_after(&words, at));
    tables.filter(|table| !(table.starts_with(&prefix) || named_here.contains(table))).map(str::to_owned).collect()
}

/// The table that the keyword at this place introduces, if it is one and does.
fn table_after<'a>(words: &[&'a str], at: usize) -> Option<&'a str> {
    let word = |index: usize| words.get(index).copied().unwrap_or("");
    let before = if at == 0 { "" } else { word(at - 1) };
    let mut next = at + 1;
    match word(at) {
        "FROM" if before != "DISTINCT" => {}
        "UPDATE" if !["DO", "FOR", "ON"].contains(&before) => {}
        "JOIN" | "INTO" | "TABLE" => {}
        _ => return None,
    }
    while ["ONLY", "LATERAL", "IF", "NOT", "EXISTS"].contains(&word(next)) {
        next += 1;
    }
    let called = ["FROM", "JOIN"].contains(&word(at)) && word(next + 1) == "(";
    let table = word(next);
    let named = table.starts_with(|c: char| c == '_' || c.is_alphabetic());
    (named && !called).then_some(table)
}

/// What a statement names itself: `WITH name AS (…)`, `WITH name (columns) AS (…)`.
fn common_tables<'a>(words: &[&'a str]) -> BTreeSet<&'a str> {
    let mut names = BTreeSet::new();
    for at in 1..words.len().saturating_sub(1) {
        let opens = ["(", "MATERIALIZED", "NOT"].contains(&words[at + 1]);
        if words[at] == "AS" && opens {
            let head = &words[..at];
            let head =
                if head.ends_with(&[")"]) { &head[..head.iter().rposition(|word| *word == "(").unwrap_or(0)] } else { head };
            names.extend(head.last());
        }
    }
    names
}

/// Names, keywords and signs, without comments and quotes; a word in braces is a token of dialect and stays in one piece.
fn words(sql: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    for line in sql.lines() {
        let code = line.split("--").next().unwrap_or("");
        for c in code.chars().filter(|c| *c != '"').chain(['\n']) {
            if c.is_alphanumeric() || "_.${}".contains(c) {
                words.last_mut().expect("there is always a word").push(c);
            } else {
                words.push(c.to_string());
                words.push(String::new());
            }
        }
    }
    words.retain(|word| !word.trim().is_empty());
    words
}

mod planted {
    use super::*;
    use crate::{file, package};

    #[track_caller]
    fn check(sql: &str, expected: &[&str]) {
        let found: Vec<String> = strangers("orders", sql).into_iter().collect();
        assert_eq!(found, expected, "{sql}");
    }

    #[test]
    fn tables_of_others_are_found() {
        check("SELECT a FROM catalog_product", &["catalog_product"]);
        check("SELECT a FROM orders_order o JOIN stock s ON s.id = o.id", &["stock"]);
        check("INSERT INTO ordersx (a) VALUES ($1)", &["ordersx"]);
        check("UPDATE head SET seq = seq + 1", &["head"]);
        check("DELETE FROM outbox WHERE a IN (SELECT b FROM\n  inventory_hold)", &["inventory_hold", "outbox"]);
        check("CREATE TABLE IF NOT EXISTS lines (id {key})", &["lines"]);
        check("WITH fresh AS (SELECT 1 FROM payments_payment) SELECT a FROM fresh", &["payments_payment"]);
    }

    #[test]
    fn own_tables_pass() {
        check("SELECT a FROM orders_order WHERE b IS NOT DISTINCT FROM $1 FOR UPDATE {skip_locked}", &[]);
        check("INSERT INTO orders_order (a) VALUES ($1) ON CONFLICT (a) DO UPDATE SET a = excluded.a", &[]);
        check("WITH a AS (SELECT 1), b (x, y) AS (SELECT 2, 3) SELECT x FROM a JOIN b ON y = 1", &[]);
        check("SELECT 1 FROM (SELECT 2 FROM \"orders_order\") x JOIN LATERAL unnest($1) y ON 1 = 1", &[]);
        check("SELECT a FROM {values} v -- FROM catalog_product", &[]);
        check("the order comes from catalog", &[]);
    }

    #[test]
    fn only_the_store_is_searched() {
        let orders = package("orders", "service");
        let text = "//! x\nconst A: &str =\n    \"SELECT 1 FROM catalog_product\";\n// FROM carts";
        let found = in_store(&orders, &file("src/store.rs", text));
        assert_eq!(found.len(), 1);
        assert!(found[0].starts_with("crates/orders/src/store.rs:3: the table `catalog_product`"), "{found:?}");
        assert!(in_store(&orders, &file("src/http.rs", text)).is_empty());
    }
}
