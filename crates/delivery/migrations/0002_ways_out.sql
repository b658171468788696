-- A delivery may fail with its goods in the store or with a courier, so whether somebody holds it no longer follows from its
-- state alone. SQLite cannot change a rule of a table: it is made anew.
-- `holder` is whom a delivery is offered to, who brings it, or who has its goods. `goods` is who has them. `settled` is 1 once
-- nothing will happen any more.
CREATE TABLE delivery_delivery_anew (
    id         {id} NOT NULL,
    version    {int} NOT NULL,
    bucket     {int} NOT NULL,
    state      {text} NOT NULL,
    store      {id},
    holder     {id},
    goods      {text} NOT NULL {check goods IN ('store', 'courier', 'shopper')},
    settled    {int} NOT NULL {check settled IN (0, 1)},
    accepted   {int} NOT NULL {check accepted >= 0 AND accepted <= 1},
    created_at {int} NOT NULL,
    ready_at   {int},
    doc_v      {int} NOT NULL,
    doc        {text} NOT NULL,
    {check (holder IS NOT NULL) = (state IN ('offered', 'assigned', 'to-pickup', 'at-pickup') OR goods = 'courier')},
    {check goods = 'courier' OR state NOT IN ('picked-up', 'to-dropoff', 'at-dropoff', 'returning')},
    PRIMARY KEY (id, bucket)
) {strict};

INSERT INTO delivery_delivery_anew
    (id, version, bucket, state, store, holder, goods, settled, accepted, created_at, ready_at, doc_v, doc)
SELECT id, version, bucket, state, store, holder,
    CASE WHEN state IN ('picked-up', 'to-dropoff', 'at-dropoff') THEN 'courier' WHEN state = 'delivered' THEN 'shopper' ELSE 'store' END,
    CASE WHEN state IN ('delivered', 'cancelled') THEN 1 ELSE 0 END,
    accepted, created_at, ready_at, doc_v, doc
FROM delivery_delivery;

DROP TABLE delivery_delivery;
ALTER TABLE delivery_delivery_anew RENAME TO delivery_delivery;

CREATE INDEX delivery_delivery_board ON delivery_delivery (store, created_at, id);
CREATE INDEX delivery_delivery_state ON delivery_delivery (store, state, created_at, id);
CREATE INDEX delivery_delivery_waiting ON delivery_delivery (store, ready_at, id) WHERE state = 'unassigned';
CREATE INDEX delivery_delivery_holder ON delivery_delivery (holder) WHERE holder IS NOT NULL;
CREATE INDEX delivery_delivery_accepted ON delivery_delivery (id) WHERE accepted > 1;
CREATE INDEX delivery_delivery_open ON delivery_delivery (id) WHERE settled = 0;
