//! The texts of PostgreSQL's dialect: set-wise statements that check themselves, the head row, the outbox, reads.
//! Leaves the values to `plan` and the sending to `pipeline`.

use crate::{Error, Kind, Mechanism, Sabotage, Table};

/// Opens a batch. The mark lives as long as the transaction; every statement of the batch looks for it, because if this
/// one fails each of those after it, already under way, would be a transaction of its own.
pub(super) const OPEN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL store.batch = 'open'";
/// Ends a batch.
pub(super) const COMMIT: &str = "COMMIT";
/// An error's code of our own: a condition of the batch does not hold; the detail is the row's ordinal.
pub(super) const EXPECTATION: &str = "SC001";
/// An error's code of our own: the head row is not there, or has another epoch.
pub(super) const STALE_EPOCH: &str = "SC002";
/// What every batch's statement calls to refuse it.
pub(super) const REFUSE: &str = "CREATE OR REPLACE FUNCTION store_refuse(code text, what text) RETURNS bigint LANGUAGE plpgsql AS $$ \
     BEGIN RAISE EXCEPTION 'the batch is refused' USING ERRCODE = code, DETAIL = what; END $$";

/// Removes events and notes where that leaves their topics and partitions: service, source, through, limit.
///
/// It waits for the head row, so that it is alone as a batch is. Its snapshot may be older than that wait, which is harmless
/// here: no batch changes an event, what another clean-up removed meanwhile is not removed twice, and a tail only rises.
pub(super) const TRIM: &str = "WITH head AS MATERIALIZED (SELECT 1 FROM store_head WHERE service = $1 FOR UPDATE), \
     old AS MATERIALIZED (SELECT o.seq FROM head, store_outbox o WHERE o.source = $2 AND o.seq <= $3 ORDER BY o.seq LIMIT $4), \
     gone AS (DELETE FROM store_outbox WHERE source = $2 AND seq IN (SELECT seq FROM old) RETURNING topic, partition, seq), \
     noted AS (INSERT INTO store_tail (source, topic, partition, seq) \
       SELECT $2, topic, partition, max(seq) FROM gone GROUP BY topic, partition \
       ON CONFLICT (source, topic, partition) DO UPDATE SET seq = greatest(store_tail.seq, excluded.seq)) \
     SELECT count(*) FROM gone";

const OPENED: &str = "current_setting('store.batch', true) = 'open'";
const UNOPENED: &str = "current_setting('store.batch', true) IS DISTINCT FROM 'open'";

/// The kind of write that one statement does to many rows of a table.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Shape {
    Insert,
    Put,
    Add(Vec<&'static str>),
    Delete,
    Expect,
}

/// The kinds of the arrays that the statement of `shape` takes, one array per column.
pub(super) fn inputs(table: &Table, shape: &Shape) -> Vec<Kind> {
    let kinds = |columns: &[crate::Column]| columns.iter().map(|column| column.kind).collect::<Vec<_>>();
    match shape {
        Shape::Insert => [kinds(table.key), kinds(table.columns)].concat(),
        Shape::Put => [kinds(table.key), kinds(table.columns), vec![Kind::Int]].concat(),
        Shape::Add(columns) => [kinds(table.key), vec![Kind::Int; columns.len()]].concat(),
        Shape::Delete | Shape::Expect => [kinds(table.key), vec![Kind::Int]].concat(),
    }
}

/// The statement that writes many rows at once and raises [`EXPECTATION`] if one of them did not change.
pub(super) fn write(table: &Table, shape: &Shape) -> String {
    let kinds = inputs(table, shape);
    let input =
        format!("WITH input AS (SELECT * FROM {} WITH ORDINALITY AS i({}, ordinal))", unnest(&kinds, 1), numbered(kinds.len()));
    let refuse = format!("SELECT store_refuse('{EXPECTATION}', i.ordinal::text) FROM input i");
    if *shape == Shape::Expect {
        let on = same_key(table);
        return format!(
            "{input} {refuse} LEFT JOIN {} t ON {on} WHERE {UNOPENED} OR coalesce(t.version, 0) <> i.c{} LIMIT 1",
            quoted(table.name),
            table.key.len()
        );
    }
    let change = change(table, shape);
    // NOT IN, not a join: it is hashed whatever the planner believes of the arrays' lengths.
    let done = if *shape == Shape::Insert {
        format!("({}) NOT IN (SELECT {} FROM done)", numbered(table.key.len()), names(table.key.iter().map(|column| column.name)))
    } else {
        "i.ordinal NOT IN (SELECT ordinal FROM done)".to_owned()
    };
    format!("{input}, done AS ({change}) {refuse} WHERE {UNOPENED} OR {done} LIMIT 1")
}

fn change(table: &Table, shape: &Shape) -> String {
    let (name, on, keys) = (quoted(table.name), same_key(table), table.key.len());
    match shape {
        Shape::Insert => {
            let (all, key) = (names(table.all().map(|column| column.name)), names(table.key.iter().map(|column| column.name)));
            let values = numbered(keys + table.columns.len());
            format!("INSERT INTO {name} ({all}, version) SELECT {values}, 1 FROM input ON CONFLICT DO NOTHING RETURNING {key}")
        }
        Shape::Put => {
            let set: String =
                (keys..).zip(table.columns).map(|(at, column)| format!("{} = i.c{at}, ", quoted(column.name))).collect();
            let version = version_is(keys + table.columns.len());
            format!("UPDATE {name} t SET {set}version = t.version + 1 FROM input i WHERE {on}{version} RETURNING i.ordinal")
        }
        Shape::Add(columns) => {
            let sums: Vec<_> =
                (keys..).zip(columns).map(|(at, column)| (quoted(column), format!("t.{} + i.c{at}", quoted(column)))).collect();
            let set: String = sums.iter().map(|(column, sum)| format!("{column} = {sum}, ")).collect();
            let guard: String = sums.iter().map(|(_, sum)| format!(" AND {sum} >= 0")).collect();
            format!("UPDATE {name} t SET {set}version = t.version + 1 FROM input i WHERE {on}{guard} RETURNING i.ordinal")
        }
        Shape::Delete => format!("DELETE FROM {name} t USING input i WHERE {on}{} RETURNING i.ordinal", version_is(keys)),
        Shape::Expect => unreachable!("an expectation changes nothing"),
    }
}

fn version_is(at: usize) -> String {
    if Sabotage::off(Mechanism::Version) { String::new() } else { format!(" AND t.version = i.c{at}") }
}

/// The head row: how many events, service, epoch. Answers the last event's number.
pub(super) fn head() -> String {
    let epoch = if Sabotage::off(Mechanism::Epoch) { "$3::bigint IS NOT NULL" } else { "epoch = $3" };
    format!(
        "WITH head AS (UPDATE store_head SET seq = seq + $1 WHERE service = $2 AND {epoch} AND {OPENED} RETURNING seq) \
         SELECT coalesce((SELECT seq FROM head), store_refuse('{STALE_EPOCH}', ''))"
    )
}

/// The outbox: service, how many events, and their columns; numbered from the head row, which this batch holds.
pub(super) fn outbox() -> String {
    let events = unnest(&[Kind::Text, Kind::Int, Kind::Text, Kind::Text, Kind::Text], 3);
    format!(
        "WITH done AS (INSERT INTO store_outbox (source, seq, topic, partition, key, kind, payload) \
         SELECT h.source, h.seq - $2::bigint + e.ordinal, e.topic, e.partition, e.key, e.kind, e.payload \
         FROM store_head h, {events} WITH ORDINALITY AS e(topic, partition, key, kind, payload, ordinal) \
         WHERE h.service = $1 AND {OPENED} RETURNING 1) \
         SELECT store_refuse('{STALE_EPOCH}', '') WHERE (SELECT count(*) FROM done) <> $2"
    )
}

/// The rows of many keys, one array per column of the key: all columns, then the version.
pub(super) fn load(table: &Table) -> String {
    let columns: String = table.all().map(|column| format!("t.{}, ", quoted(column.name))).collect();
    let kinds: Vec<_> = table.key.iter().map(|column| column.kind).collect();
    let (keys, on, name) = (unnest(&kinds, 1), same_key(table), quoted(table.name));
    format!("SELECT {columns}t.version FROM {keys} AS i({}) JOIN {name} t ON {on}", numbered(kinds.len()))
}

/// A read in this dialect.
pub(super) fn read(neutral: &str) -> Result<String, Error> {
    let mut sql = String::with_capacity(neutral.len());
    let mut rest = neutral;
    while let Some((before, token_on)) = rest.split_once('{') {
        let token = token_on.split_once('}').and_then(|(token, after)| Some((token.strip_prefix("in $")?, after)));
        let Some((number, after)) = token.filter(|(number, _)| number.parse::<usize>().is_ok()) else {
            return Err(Error::Broken(format!("there is no token {{{token_on}")));
        };
        sql.push_str(before);
        sql.push_str("= ANY($");
        sql.push_str(number);
        sql.push(')');
        rest = after;
    }
    sql.push_str(rest);
    Ok(sql)
}

/// Whether `$1 … $count` are the numbers in `sql` and first appear in order.
pub(super) fn numbers_in_order(sql: &str, count: usize) -> bool {
    let mut last = 0;
    for after in sql.split('$').skip(1) {
        let digits = after.len() - after.trim_start_matches(|next: char| next.is_ascii_digit()).len();
        match after[..digits].parse::<usize>() {
            Ok(number) if number == last + 1 => last = number,
            Ok(number) if (1..=last).contains(&number) => {}
            _ => return false,
        }
    }
    last == count
}

/// One array per column as rows, from parameter `first` on.
pub(super) fn unnest(kinds: &[Kind], first: usize) -> String {
    let arrays: Vec<_> = (first..).zip(kinds).map(|(number, kind)| format!("${number}::{}", array(*kind))).collect();
    format!("UNNEST({})", arrays.join(", "))
}

fn array(kind: Kind) -> &'static str {
    match kind {
        Kind::Int => "bigint[]",
        Kind::Text | Kind::Texts => "text[]",
        Kind::Blob => "bytea[]",
        Kind::Id => "uuid[]",
    }
}

fn numbered(count: usize) -> String {
    (0..count).map(|at| format!("c{at}")).collect::<Vec<_>>().join(", ")
}

fn same_key(table: &Table) -> String {
    table
        .key
        .iter()
        .enumerate()
        .map(|(at, column)| format!("t.{} = i.c{at}", quoted(column.name)))
        .collect::<Vec<_>>()
        .join(" AND ")
}

fn names(columns: impl Iterator<Item = &'static str>) -> String {
    columns.map(quoted).collect::<Vec<_>>().join(", ")
}

// Names are ours and trusted; the quotes are for words such as "order".
fn quoted(name: &str) -> String {
    format!("\"{name}\"")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Column, Rows};

    static SUPPLY: Table = Table {
        name: "inventory_supply",
        key: &[Column::id("store"), Column::text("sku")],
        columns: &[Column::int("available"), Column::int("held")],
        rows: Rows::Move,
    };

    #[test]
    fn each_write_is_one_statement_that_checks_itself() {
        let input = |arrays: &str, columns: &str| {
            format!(
                "WITH input AS (SELECT * FROM UNNEST($1::uuid[], $2::text[]{arrays}) WITH ORDINALITY AS i(c0, c1{columns}, ordinal))"
            )
        };
        let refuse = "SELECT store_refuse('SC001', i.ordinal::text) FROM input i";
        let unopened = "current_setting('store.batch', true) IS DISTINCT FROM 'open'";
        let (key, done) = (r#"t."store" = i.c0 AND t."sku" = i.c1"#, "i.ordinal NOT IN (SELECT ordinal FROM done) LIMIT 1");
        let expected = [
            (
                Shape::Insert,
                format!(
                    r#"{}, done AS (INSERT INTO "inventory_supply" ("store", "sku", "available", "held", version) SELECT c0, c1, c2, c3, 1 FROM input ON CONFLICT DO NOTHING RETURNING "store", "sku") {refuse} WHERE {unopened} OR (c0, c1) NOT IN (SELECT "store", "sku" FROM done) LIMIT 1"#,
                    input(", $3::bigint[], $4::bigint[]", ", c2, c3")
                ),
            ),
            (
                Shape::Put,
                format!(
                    r#"{}, done AS (UPDATE "inventory_supply" t SET "available" = i.c2, "held" = i.c3, version = t.version + 1 FROM input i WHERE {key} AND t.version = i.c4 RETURNING i.ordinal) {refuse} WHERE {unopened} OR {done}"#,
                    input(", $3::bigint[], $4::bigint[], $5::bigint[]", ", c2, c3, c4")
                ),
            ),
            (
                Shape::Add(vec!["held"]),
                format!(
                    r#"{}, done AS (UPDATE "inventory_supply" t SET "held" = t."held" + i.c2, version = t.version + 1 FROM input i WHERE {key} AND t."held" + i.c2 >= 0 RETURNING i.ordinal) {refuse} WHERE {unopened} OR {done}"#,
                    input(", $3::bigint[]", ", c2")
                ),
            ),
            (
                Shape::Delete,
                format!(
                    r#"{}, done AS (DELETE FROM "inventory_supply" t USING input i WHERE {key} AND t.version = i.c2 RETURNING i.ordinal) {refuse} WHERE {unopened} OR {done}"#,
                    input(", $3::bigint[]", ", c2")
                ),
            ),
            (
                Shape::Expect,
                format!(
                    r#"{} {refuse} LEFT JOIN "inventory_supply" t ON {key} WHERE {unopened} OR coalesce(t.version, 0) <> i.c2 LIMIT 1"#,
                    input(", $3::bigint[]", ", c2")
                ),
            ),
        ];
        for (shape, text) in expected {
            assert_eq!(write(&SUPPLY, &shape), text);
        }
    }

    #[test]
    fn a_load_joins_its_keys() {
        let text = r#"SELECT t."store", t."sku", t."available", t."held", t.version FROM UNNEST($1::uuid[], $2::text[]) AS i(c0, c1) JOIN "inventory_supply" t ON t."store" = i.c0 AND t."sku" = i.c1"#;
        assert_eq!(load(&SUPPLY), text);
    }

    #[test]
    fn a_read_has_one_token() {
        let text = read("SELECT 1 FROM t WHERE a = $1 AND b {in $2} AND c {in $13}");
        assert_eq!(text, Ok("SELECT 1 FROM t WHERE a = $1 AND b = ANY($2) AND c = ANY($13)".to_owned()));
        for wrong in ["{in $x}", "{in}", "{like $1}", "{in $1"] {
            assert!(matches!(read(wrong), Err(Error::Broken(_))), "{wrong}");
        }
    }

    #[test]
    fn numbers_appear_in_order_and_all() {
        assert!(numbers_in_order("a = $1 AND b = $2 AND c = $1", 2));
        assert!(numbers_in_order("SELECT 1", 0));
        for (wrong, count) in [("$2 $1", 2), ("$1", 2), ("$1 $2", 1), ("$1 $3", 3), ("$", 0)] {
            assert!(!numbers_in_order(wrong, count), "{wrong}");
        }
    }
}
