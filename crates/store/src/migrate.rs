//! Migrations as data: one neutral text per service and number, forward only; their dialect, their checksums, and what is missing.
//! Leaves transactions and locks to the engines.

use std::fmt::Write as _;

use crate::{Error, Mechanism, Sabotage};

/// One step of a service's tables. The text is neutral; its tokens, the closed table of dialect for definitions:
/// `{int}` `{text}` `{blob}` `{id}` are column types, `{strict}` ends every `CREATE TABLE (...)`, `{check …}` is a `CHECK (…)`.
/// Statements are parted by `;` at the end of a line. Once released a text never changes: its checksum is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Migration {
    /// The service that owns the tables, or `store` and `engine` for those of the platform.
    pub service: &'static str,
    /// 1, 2, 3 … within a service.
    pub number: u32,
    /// What it does, as `carts-and-orders`.
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

/// The migrations of `all` that are not among `applied`, in order.
pub(crate) fn missing<'a>(all: &'a [Migration], applied: &[Applied]) -> Result<Vec<&'a Migration>, Error> {
    let same =
        |migration: &Migration, row: &Applied| row.service == migration.service && row.number == i64::from(migration.number);
    for row in applied {
        // Services of which this program has nothing are none of its business: each role migrates its own.
        let ours = all.iter().any(|migration| migration.service == row.service);
        match all.iter().find(|migration| same(migration, row)) {
            None if ours => {
                let (service, number) = (&row.service, row.number);
                return Err(Error::Broken(format!("the database is ahead of this program: {service} has migration {number:04}")));
            }
            Some(migration) if migration.checksum() != row.checksum => {
                return Err(migration.refused(Error::Broken("its text was changed after it had been applied".to_owned())));
            }
            _ => {}
        }
    }
    Ok(all.iter().filter(|migration| !applied.iter().any(|row| same(migration, row))).collect())
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
        let row =
            |service: &str, number, sql| Applied { service: service.to_owned(), number, checksum: migration(1, sql).checksum() };
        let missing =
            |applied: &[Applied]| missing(&all, applied).map(|list| list.iter().map(|one| one.number).collect::<Vec<_>>());
        assert_eq!(missing(&[]), Ok(vec![1, 2]));
        assert_eq!(missing(&[row("orders", 1, "a")]), Ok(vec![2]));
        assert_eq!(missing(&[row("payments", 9, "x")]), Ok(vec![1, 2]));
        assert!(matches!(missing(&[row("orders", 1, "changed")]), Err(Error::Broken(_))));
        assert!(matches!(missing(&[row("orders", 3, "c")]), Err(Error::Broken(_))));
    }
}
