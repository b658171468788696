//! Migrations as data: one neutral text per service and number, forward only; their dialect, their checksums, what a database
//! lacks, and what it has that a program does not know. Leaves transactions and locks to the engines.
//!
//! A migration *expands* unless its name says that it *contracts*: programs that do not know it go on working. So processes of
//! the version before go on while a new one is put in their place, and are put back if it is no good.

use std::fmt::Write as _;

use crate::{Error, Mechanism, Sabotage};

/// How the name of a migration begins that programs which do not know it cannot live with.
pub const CONTRACTS: &str = "contract-";

/// One step of a service's tables. The text is neutral; its tokens, the closed table of dialect for definitions:
/// `{int}` `{text}` `{blob}` `{id}` are column types, `{strict}` ends every `CREATE TABLE (...)`, `{check …}` is a `CHECK (…)`.
/// Statements are parted by `;` at the end of a line. Once released a text never changes: its checksum is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Migration {
    /// The service that owns the tables, or `store` and `engine` for those of the platform.
    pub service: &'static str,
    /// 1, 2, 3 … within a service.
    pub number: u32,
    /// What it does, as `carts-and-orders`; with [`CONTRACTS`] before it if it takes away what older programs use.
    pub name: &'static str,
    /// The statements.
    pub sql: &'static str,
}

/// A migration that a database still lacks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pending {
    /// The service that owns the tables.
    pub service: String,
    /// Its number.
    pub number: u32,
    /// What it does.
    pub name: String,
}

/// The words of one engine for the tokens of a migration.
pub(crate) struct Dialect {
    pub(crate) int: &'static str,
    pub(crate) text: &'static str,
    pub(crate) blob: &'static str,
    pub(crate) id: &'static str,
    pub(crate) strict: &'static str,
}

/// What was applied, in neutral text. It has no column of time, so that two databases made alike are alike.
pub(crate) const APPLIED_TABLE: &str = "CREATE TABLE IF NOT EXISTS store_migration (\
     service {text} NOT NULL, number {int} NOT NULL, name {text} NOT NULL, checksum {text} NOT NULL, \
     PRIMARY KEY (service, number)) {strict}";

/// A row of `store_migration`.
pub(crate) struct Applied {
    pub(crate) service: String,
    pub(crate) number: i64,
    pub(crate) name: String,
    pub(crate) checksum: String,
}

impl Migration {
    /// FNV-1a of the neutral text: the same on every engine; it guards against mistakes, not against malice.
    pub(crate) fn checksum(&self) -> String {
        let hash = self
            .sql
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        format!("{hash:016x}")
    }

    pub(crate) fn pending(&self) -> Pending {
        Pending { service: self.service.to_owned(), number: self.number, name: self.name.to_owned() }
    }

    /// The statements in the words of one engine.
    pub(crate) fn statements(&self, dialect: &Dialect) -> Result<Vec<String>, Error> {
        let sql = render(self.sql, dialect)?;
        Ok(sql.split_inclusive(";\n").map(str::trim).filter(|statement| !statement.is_empty()).map(str::to_owned).collect())
    }

    /// The same error, which now names the migration.
    pub(crate) fn refused(&self, error: Error) -> Error {
        match error {
            Error::Broken(why) => Error::Broken(format!("migration {}/{:04} {}: {why}", self.service, self.number, self.name)),
            other => other,
        }
    }
}

/// The migrations of `all` that are not among `applied`, in order. Those that a newer program has applied are told, if this one
/// can live with them.
pub(crate) fn missing<'a>(all: &'a [Migration], applied: &[Applied]) -> Result<Vec<&'a Migration>, Error> {
    let same =
        |migration: &Migration, row: &Applied| row.service == migration.service && row.number == i64::from(migration.number);
    for row in applied {
        match all.iter().find(|migration| same(migration, row)) {
            None => ahead(all, row)?,
            Some(migration) if migration.checksum() != row.checksum => {
                return Err(migration.refused(Error::Broken("its text was changed after it had been applied".to_owned())));
            }
            Some(_) => {}
        }
    }
    Ok(all.iter().filter(|migration| !applied.iter().any(|row| same(migration, row))).collect())
}

/// Whether the program of `all` can live with a migration that it does not know.
fn ahead(all: &[Migration], row: &Applied) -> Result<(), Error> {
    let Applied { service, number, name, .. } = row;
    // Services of which this program has nothing are none of its business: each role migrates its own.
    let Some(last) = all.iter().filter(|migration| migration.service == service).map(|migration| migration.number).max() else {
        return Ok(());
    };
    let refuse = |why: &str| Err(Error::Broken(format!("{service} has migration {number:04} {name} in the database, {why}")));
    if *number <= i64::from(last) {
        return refuse("which is not of this program's line");
    }
    if name.starts_with(CONTRACTS) {
        return refuse("with which this program is too old to work");
    }
    tracing::warn!(service, number, name, "the database is ahead of this program, which can live with that");
    Ok(())
}

/// `neutral` in the words of one engine.
pub(crate) fn render(neutral: &str, dialect: &Dialect) -> Result<String, Error> {
    let mut sql = String::with_capacity(neutral.len());
    let mut rest = neutral;
    while let Some((before, token_on)) = rest.split_once('{') {
        let (token, after) =
            token_on.split_once('}').ok_or_else(|| Error::Broken(format!("a token has no end: {{{token_on}")))?;
        sql.push_str(before);
        push_token(&mut sql, token, dialect)?;
        rest = after;
    }
    sql.push_str(rest);
    Ok(sql)
}

fn push_token(sql: &mut String, token: &str, dialect: &Dialect) -> Result<(), Error> {
    match token.split_once(' ') {
        None if token == "int" => sql.push_str(dialect.int),
        None if token == "text" => sql.push_str(dialect.text),
        None if token == "blob" => sql.push_str(dialect.blob),
        None if token == "id" => sql.push_str(dialect.id),
        None if token == "strict" => sql.push_str(dialect.strict),
        // What always holds, and not nothing: the token may stand between two commas.
        Some(("check", _)) if Sabotage::off(Mechanism::Check) => sql.push_str("CHECK (0 = 0)"),
        Some(("check", rule)) => write!(sql, "CHECK ({rule})").expect("a string takes every text"),
        _ => return Err(Error::Broken(format!("there is no token {{{token}}}"))),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORDS: Dialect = Dialect { int: "INTEGER", text: "TEXT", blob: "BLOB", id: "BLOB", strict: "STRICT" };

    fn migration(number: u32, sql: &'static str) -> Migration {
        Migration { service: "orders", number, name: "carts", sql }
    }

    #[test]
    fn tokens_become_words_and_statements_are_parted() {
        let two = migration(1, "-- Why; not\nCREATE TABLE a (n {int} {check n >= 0}) {strict};\n\nCREATE INDEX i ON a (n);");
        let statements = two.statements(&WORDS).unwrap();
        assert_eq!(statements, ["-- Why; not\nCREATE TABLE a (n INTEGER CHECK (n >= 0)) STRICT;", "CREATE INDEX i ON a (n);"]);
        for wrong in ["{float}", "{int", "{}", "{check}"] {
            assert!(matches!(migration(1, wrong).statements(&WORDS), Err(Error::Broken(_))), "{wrong}");
        }
    }

    #[test]
    fn what_is_missing_is_named_and_what_differs_is_refused() {
        let all = [migration(1, "a"), migration(2, "b")];
        let named = |service: &str, number, name: &str, sql| {
            let (service, name) = (service.to_owned(), name.to_owned());
            Applied { service, number, name, checksum: migration(1, sql).checksum() }
        };
        let row = |service: &str, number, sql| named(service, number, "carts", sql);
        let missing =
            |applied: &[Applied]| missing(&all, applied).map(|list| list.iter().map(|one| one.number).collect::<Vec<_>>());
        assert_eq!(missing(&[]), Ok(vec![1, 2]));
        assert_eq!(missing(&[row("orders", 1, "a")]), Ok(vec![2]));
        assert_eq!(missing(&[row("payments", 9, "x")]), Ok(vec![1, 2]));
        assert!(matches!(missing(&[row("orders", 1, "changed")]), Err(Error::Broken(_))));
        assert_eq!(missing(&[row("orders", 1, "a"), row("orders", 3, "c")]), Ok(vec![2]), "it can live with what expands");
        for ahead in [named("orders", 3, "contract-carts", "c"), row("orders", 0, "c")] {
            assert!(matches!(missing(&[ahead]), Err(Error::Broken(_))));
        }
        assert_eq!(missing(&[named("payments", 3, "contract-all", "c")]), Ok(vec![1, 2]), "no business of this program");
    }
}
