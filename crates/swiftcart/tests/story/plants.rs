//! What is planted for each rule, as statements for both engines: by columns and by fields of documents.
//! Leaves what must come of it to `planted`.

use testkit::{Engine, Raw};

/// A shop into which something is planted: its database, and an order of each kind that plants need.
pub(crate) struct Scene {
    pub(crate) raw: Raw,
    /// Delivered and paid.
    pub(crate) delivered: String,
    /// Confirmed, then cancelled: its hold is released, its money voided, its delivery cancelled.
    pub(crate) cancelled: String,
    /// Confirmed; nobody picks it.
    pub(crate) promised: String,
}

/// The tables that plants touch.
const TOUCHED: [&str; 12] = [
    "orders_order",
    "inventory_hold",
    "inventory_hold_line",
    "inventory_supply",
    "payments_payment",
    "payments_entry",
    "sandbox_intent",
    "delivery_delivery",
    "delivery_courier",
    "notifications_message",
    "engine_parked",
    "store_outbox",
];

/// An order that was placed in 2001.
const OLD: &str = "00e4e1c0-0000-7000-8000-000000000001";

type Plant = fn(&Scene) -> Vec<String>;

/// One plant for each rule.
pub(crate) static PLANTS: &[(&str, Plant)] = &[
    ("total-equals-lines-and-fee", |s| vec![s.order(&s.promised, &[], &[("fee.minor", Add(1))])]),
    ("tax-equals-lines", |s| vec![s.order(&s.promised, &[], &[("tax.minor", Add(1))])]),
    ("one-end", |s| vec![s.order(&s.cancelled, &[], &[("history.0.state", Text("delivered"))])]),
    ("captured-within-total", |s| vec![s.order(&s.delivered, &[], &[("payment.amount.minor", Add(1))])]),
    ("refunds-within-captured", |s| vec![s.order(&s.cancelled, &[], &[("refunded_minor", Number(1))])]),
    ("history-ends-in-state", |s| vec![s.order(&s.promised, &[], &[("history.-1.state", Text("placed"))])]),
    ("held-equals-live-holds", |s| vec![s.supply("held = held + 1")]),
    ("available-not-negative", |s| vec![s.supply("available = -1")]),
    ("stock-equals-ledger", |s| {
        let sku = format!(
            "SELECT thing FROM inventory_supply WHERE thing LIKE 'sku:%' AND store = {} ORDER BY thing LIMIT 1",
            s.store()
        );
        vec![format!("UPDATE inventory_supply SET available = available + 1 WHERE store = {} AND thing = ({sku})", s.store())]
    }),
    ("held-not-negative", |s| {
        // Of a slot that nobody holds, so that a line of a live hold makes up for it.
        let free = format!(
            "FROM inventory_supply WHERE held = 0 AND thing LIKE 'slot:%' AND store = {store} ORDER BY thing LIMIT 1",
            store = s.store()
        );
        let line = format!(
            "INSERT INTO inventory_hold_line (order_id, thing, version, bucket, store, units) \
             SELECT {order}, thing, 1, bucket, store, -1 {free}",
            order = s.id(&s.promised)
        );
        let held = format!("UPDATE inventory_supply SET held = -1 WHERE store = {} AND thing = (SELECT thing {free})", s.store());
        vec![line, held]
    }),
    ("captured-within-authorised", |s| s.authorise_more(&s.delivered, -1)),
    ("captured-or-voided", |s| {
        let columns = [("voided_minor", "voided_minor - 1"), ("captured_minor", "1")];
        let (fields, theirs) =
            ([("attempts.0.voided_minor", Add(-1)), ("attempts.0.captured_minor", Add(1))], [("captured_minor", Add(1))]);
        vec![
            s.payment(&s.cancelled, &columns, &fields),
            s.entry(&s.cancelled, "voided", "amount_minor - 1"),
            s.new_entry(&s.cancelled, "captured", 1),
            s.intent(&s.cancelled, &[("captured_minor", "1"), ("voided_minor", "voided_minor - 1")], &theirs),
        ]
    }),
    ("refunded-within-captured", |s| {
        let refund = "{\"id\":\"00e4e1c0-0000-7000-8000-000000000002\",\"amount\":{\"minor\":1,\"currency\":\"USD\"},\
                      \"reason\":\"planted\",\"state\":\"paid\",\"refused\":null,\
                      \"trace\":\"00-00000000000000010000000000000001-0000000000000001-01\"}";
        vec![
            s.payment(&s.cancelled, &[("refunded_minor", "1")], &[("refunds", Push(refund))]),
            s.new_entry(&s.cancelled, "refunded", 1),
        ]
    }),
    ("columns-equal-documents", |s| vec![s.payment(&s.promised, &[("state", "'declined'")], &[])]),
    ("ledger-equals-documents", |s| vec![s.entry(&s.delivered, "captured", "amount_minor - 1")]),
    ("one-attempt-alive", |s| {
        let other = [("number", Add(1)), ("state", Text("asked")), ("authorised_minor", Number(0)), ("intent", Nothing)];
        vec![s.payment(&s.promised, &[], &[("attempts", Again(&other))])]
    }),
    ("wanted-is-asked", |s| vec![s.payment(&s.promised, &[("wish", "'void'")], &[("wish", Text("void"))])]),
    ("intent-theirs-only", |s| {
        let columns = "version, bucket, reference, state, authorised_minor, captured_minor, voided_minor, refunded_minor, doc_v";
        let doc = s.doc(&[("id", Text("pi_planted")), ("changed", Add(1_000_000))]);
        vec![format!(
            "INSERT INTO sandbox_intent (id, changed, doc, {columns}) SELECT 'pi_planted', changed + 1000000, {doc}, {columns} \
             FROM sandbox_intent WHERE reference = '{}'",
            s.delivered
        )]
    }),
    ("intent-ours-only", |s| vec![format!("DELETE FROM sandbox_intent WHERE reference = '{}'", s.delivered)]),
    ("intent-amounts-differ", |s| {
        vec![s.intent(&s.delivered, &[("captured_minor", "captured_minor - 1")], &[("captured_minor", Add(-1))])]
    }),
    ("one-accepted-offer-per-delivery", |s| vec![s.delivery(&s.delivered, &[("accepted", "2")], &[])]),
    ("one-delivery-per-courier", |s| {
        // The same delivery in two buckets, so that courier and delivery name each other.
        let columns = "id, version, state, store, holder, goods, settled, accepted, created_at, ready_at, doc_v, doc";
        let mut statements = s.give_to_a_courier();
        statements.push(format!(
            "INSERT INTO delivery_delivery (bucket, {columns}) SELECT bucket + 1, {columns} FROM delivery_delivery WHERE id = {}",
            s.id(&s.promised)
        ));
        statements
    }),
    ("goods-are-with-somebody", |s| vec![s.delivery(&s.promised, &[("goods", "'courier'")], &[])]),
    ("accepted-offer-has-courier", |s| vec![s.delivery(&s.promised, &[("accepted", "1")], &[])]),
    ("courier-agrees-with-delivery", |s| vec![s.task_of_a_courier(&s.delivered)]),
    ("messages-are-sent-or-given-up", |s| {
        vec![format!(
            "UPDATE notifications_message SET state = 'queued', made_at = 1, due_at = 9000000000000000, doc = {} WHERE order_id = {}",
            s.doc(&[("state", Text("queued"))]),
            s.id(&s.delivered)
        )]
    }),
    ("order-is-decided-in-time", |s| {
        let doc = s.doc(&[("id", Text(OLD)), ("state", Text("placed")), ("history.-1.state", Text("placed"))]);
        vec![format!(
            "INSERT INTO orders_order (id, version, bucket, store, state, customer, doc_v, doc) \
             SELECT {old}, version, bucket, store, 'placed', customer, doc_v, {doc} FROM orders_order WHERE id = {order}",
            old = s.id(OLD),
            order = s.id(&s.promised)
        )]
    }),
    ("authorised-within-ordered", |s| s.authorise_more(&s.delivered, 1)),
    ("authorised-order-has-money", |s| [vec![s.order_in(&s.promised, "authorised")], s.lose_the_money()].concat()),
    ("promised-order-has-hold", |s| vec![s.hold_in(&s.promised, "reserved")]),
    ("promised-order-has-money", |s| s.lose_the_money()),
    ("promised-order-has-delivery", |s| vec![s.delivery_in(&s.promised, "cancelled")]),
    ("order-on-its-way-was-picked-up", |s| vec![s.order_in(&s.promised, "out_for_delivery")]),
    ("recalled-order-keeps-its-money", |s| [vec![s.order_in(&s.promised, "returning")], s.lose_the_money()].concat()),
    ("delivered-order-consumed-hold", |s| vec![s.hold_in(&s.delivered, "released")]),
    ("delivered-order-captured-money", |s| vec![s.payment_in(&s.delivered, "declined")]),
    ("delivered-order-was-delivered", |s| vec![s.delivery_in(&s.delivered, "cancelled")]),
    ("delivered-order-is-paid", |s| vec![s.order(&s.delivered, &[], &[("fee.minor", Add(1)), ("total.minor", Add(1))])]),
    ("refunds-agree", |s| vec![s.order(&s.delivered, &[], &[("refunded_minor", Number(1))])]),
    ("rejected-order-holds-nothing", |s| vec![s.order_in(&s.cancelled, "rejected"), s.hold_in(&s.cancelled, "consumed")]),
    ("rejected-order-charges-nothing", |s| vec![s.order_in(&s.cancelled, "rejected"), s.payment_in(&s.cancelled, "captured")]),
    ("rejected-order-brings-nothing", |s| vec![s.order_in(&s.cancelled, "rejected"), s.delivery_in(&s.cancelled, "delivered")]),
    ("cancelled-order-holds-nothing", |s| vec![s.hold_in(&s.cancelled, "consumed")]),
    ("cancelled-order-charges-nothing", |s| vec![s.payment_in(&s.cancelled, "captured")]),
    ("cancelled-order-brings-nothing", |s| vec![s.delivery_in(&s.cancelled, "delivered")]),
    ("hold-has-order", |s| vec![s.no_order(&s.cancelled), s.hold_in(&s.cancelled, "consumed")]),
    ("money-has-order", |s| vec![s.no_order(&s.cancelled), s.payment_in(&s.cancelled, "captured")]),
    ("delivery-has-order", |s| vec![s.no_order(&s.cancelled), s.delivery_in(&s.cancelled, "delivered")]),
    ("no-event-is-parked", |_| {
        vec![
            "INSERT INTO engine_parked (service, source, seq, version, bucket, topic, key, kind, payload, error, parked_at) \
             VALUES ('payments', 'planted', 1, 1, 0, 'orders.orders', 'k', 'order.placed.v1', '{}', 'planted', 1)"
                .to_owned(),
        ]
    }),
    ("events-are-heard", |_| {
        // Beyond the end of the log, where no reader looks.
        vec![
            "INSERT INTO store_outbox (source, seq, topic, partition, key, kind, payload) \
             SELECT source, seq + 1000000, 'orders.orders', 0, 'k', 'order.placed.v1', '{}' FROM store_head \
             WHERE service = 'orders'"
                .to_owned(),
        ]
    }),
];

/// What becomes of a field of a document.
#[derive(Clone, Copy)]
pub(crate) enum Edit<'a> {
    Text(&'a str),
    Number(i64),
    Nothing,
    /// So much more than it was.
    Add(i64),
    /// A list with one more item, as JSON.
    Push(&'a str),
    /// A list with its first item once more, but for these fields.
    Again(Fields<'a>),
}

use Edit::{Add, Again, Nothing, Number, Push, Text};

type Columns<'a> = &'a [(&'a str, &'a str)];
type Fields<'a> = &'a [(&'a str, Edit<'a>)];

impl Scene {
    /// Remembers every table that plants touch, as it is.
    pub(crate) async fn keep(&self) {
        let copies = TOUCHED.map(|table| format!("CREATE TABLE kept_{table} AS SELECT * FROM {table}"));
        self.raw.run(&copies).await;
    }

    /// Makes every such table again what it was.
    pub(crate) async fn restore(&self) {
        let back = |table| [format!("DELETE FROM {table}"), format!("INSERT INTO {table} SELECT * FROM kept_{table}")];
        self.raw.run(&TOUCHED.map(back).concat()).await;
    }

    /// An id as a literal.
    fn id(&self, id: &str) -> String {
        match self.raw.engine() {
            Engine::Sqlite => format!("X'{}'", id.replace('-', "")),
            Engine::Postgres => format!("'{id}'::uuid"),
        }
    }

    /// The column `doc` with these fields changed; a field is named as `lines.0.total.minor`, and -1 is the last of a list.
    fn doc(&self, fields: Fields<'_>) -> String {
        self.edited("doc".to_owned(), fields)
    }

    fn edited(&self, doc: String, fields: Fields<'_>) -> String {
        fields.iter().fold(doc, |doc, (path, edit)| match self.raw.engine() {
            Engine::Sqlite => self.edited_on_sqlite(&doc, path, *edit),
            Engine::Postgres => self.edited_on_postgres(&doc, path, *edit),
        })
    }

    fn edited_on_sqlite(&self, doc: &str, path: &str, edit: Edit<'_>) -> String {
        let steps = path.split('.').map(|step| match step.parse::<i64>() {
            Ok(index) if index < 0 => format!("[#{index}]"),
            Ok(index) => format!("[{index}]"),
            Err(_) => format!(".{step}"),
        });
        let path = format!("${}", steps.collect::<String>());
        let (path, value) = match edit {
            Text(text) => (path, format!("'{text}'")),
            Number(number) => (path, number.to_string()),
            Nothing => (path, "json('null')".to_owned()),
            Add(more) => (path.clone(), format!("json_extract({doc}, '{path}') + {more}")),
            Push(item) => (format!("{path}[#]"), format!("json('{item}')")),
            Again(fields) => {
                let first = format!("json_extract({doc}, '{path}[0]')");
                (format!("{path}[#]"), format!("json({})", self.edited(first, fields)))
            }
        };
        format!("json_set({doc}, '{path}', {value})")
    }

    fn edited_on_postgres(&self, doc: &str, path: &str, edit: Edit<'_>) -> String {
        let path = format!("'{{{}}}'", path.replace('.', ","));
        let before = format!("(({doc})::jsonb #> {path})");
        let value = match edit {
            Text(text) => format!("to_jsonb('{text}'::text)"),
            Number(number) => format!("to_jsonb({number})"),
            Nothing => "'null'::jsonb".to_owned(),
            Add(more) => format!("to_jsonb({before}::bigint + {more})"),
            Push(item) => format!("{before} || '[{item}]'::jsonb"),
            Again(fields) => {
                let first = self.edited(format!("({before} -> 0)::text"), fields);
                format!("{before} || jsonb_build_array(({first})::jsonb)")
            }
        };
        format!("jsonb_set(({doc})::jsonb, {path}, {value})::text")
    }

    fn change(&self, table: &str, key: (&str, &str), columns: Columns<'_>, fields: Fields<'_>) -> String {
        let columns = columns.iter().map(|(name, value)| format!("{name} = {value}, ")).collect::<String>();
        format!("UPDATE {table} SET {columns}doc = {} WHERE {} = {}", self.doc(fields), key.0, self.id(key.1))
    }

    fn order(&self, order: &str, columns: Columns<'_>, fields: Fields<'_>) -> String {
        self.change("orders_order", ("id", order), columns, fields)
    }

    fn payment(&self, order: &str, columns: Columns<'_>, fields: Fields<'_>) -> String {
        self.change("payments_payment", ("order_id", order), columns, fields)
    }

    fn intent(&self, order: &str, columns: Columns<'_>, fields: Fields<'_>) -> String {
        let columns = columns.iter().map(|(name, value)| format!("{name} = {value}, ")).collect::<String>();
        format!("UPDATE sandbox_intent SET {columns}doc = {} WHERE reference = '{order}'", self.doc(fields))
    }

    fn delivery(&self, order: &str, columns: Columns<'_>, fields: Fields<'_>) -> String {
        self.change("delivery_delivery", ("id", order), columns, fields)
    }

    fn order_in(&self, order: &str, state: &str) -> String {
        let fields = [("state", Text(state)), ("history.-1.state", Text(state))];
        self.order(order, &[("state", &format!("'{state}'"))], &fields)
    }

    fn hold_in(&self, order: &str, state: &str) -> String {
        let column = format!("'{state}'");
        self.change("inventory_hold", ("order_id", order), &[("state", &column)], &[("state", Text(state))])
    }

    /// The state of a payment, and that of its one attempt.
    fn payment_in(&self, order: &str, state: &str) -> String {
        self.payment(order, &[("state", &format!("'{state}'"))], &[("attempts.0.state", Text(state))])
    }

    /// The money of the promised order is not held, as payments and provider agree.
    fn lose_the_money(&self) -> Vec<String> {
        let declined = [("state", "'declined'")];
        vec![self.payment_in(&self.promised, "declined"), self.intent(&self.promised, &declined, &[("state", Text("declined"))])]
    }

    fn delivery_in(&self, order: &str, state: &str) -> String {
        self.delivery(order, &[("state", &format!("'{state}'"))], &[("state", Text(state))])
    }

    fn no_order(&self, order: &str) -> String {
        format!("DELETE FROM orders_order WHERE id = {}", self.id(order))
    }

    fn entry(&self, order: &str, kind: &str, amount: &str) -> String {
        format!("UPDATE payments_entry SET amount_minor = {amount} WHERE kind = '{kind}' AND order_id = {}", self.id(order))
    }

    fn new_entry(&self, order: &str, kind: &str, amount: i64) -> String {
        let columns = "order_id, attempt, version, bucket, currency, booked_at";
        format!(
            "INSERT INTO payments_entry (kind, amount_minor, {columns}) SELECT '{kind}', {amount}, {columns} FROM payments_entry \
             WHERE kind = 'authorised' AND order_id = {}",
            self.id(order)
        )
    }

    /// So much more was authorised for an order, as payments and its ledger agree.
    fn authorise_more(&self, order: &str, more: i64) -> Vec<String> {
        let column = format!("authorised_minor + {more}");
        vec![
            self.payment(order, &[("authorised_minor", &column)], &[("attempts.0.authorised_minor", Add(more))]),
            self.entry(order, "authorised", &format!("amount_minor + {more}")),
        ]
    }

    /// The store of the promised order.
    fn store(&self) -> String {
        format!("(SELECT store FROM orders_order WHERE id = {})", self.id(&self.promised))
    }

    /// Changes the supply of the slot that the promised order holds: unlike a SKU it has no ledger.
    fn supply(&self, change: &str) -> String {
        let thing =
            format!("SELECT thing FROM inventory_hold_line WHERE thing LIKE 'slot:%' AND order_id = {}", self.id(&self.promised));
        format!("UPDATE inventory_supply SET {change} WHERE store = {} AND thing = ({thing})", self.store())
    }

    /// Lets a courier believe that they bring an order.
    fn task_of_a_courier(&self, order: &str) -> String {
        let courier = "SELECT id FROM delivery_courier ORDER BY id LIMIT 1";
        format!("UPDATE delivery_courier SET duty = 'delivering', task = {} WHERE id = ({courier})", self.id(order))
    }

    /// Lets a courier bring the promised order, as both say.
    fn give_to_a_courier(&self) -> Vec<String> {
        let courier = "(SELECT id FROM delivery_courier ORDER BY id LIMIT 1)";
        let columns = [("state", "'assigned'"), ("holder", courier), ("accepted", "1")];
        vec![self.task_of_a_courier(&self.promised), self.delivery(&self.promised, &columns, &[("state", Text("assigned"))])]
    }
}
