-- The provider's own books: money that it holds, took or let go.
CREATE TABLE payments_sandbox_intent (
    id               {text} NOT NULL,
    version          {int} NOT NULL,
    bucket           {int} NOT NULL,
    order_id         {id} NOT NULL,
    authorised_minor {int} NOT NULL {check authorised_minor >= 0},
    captured_minor   {int} NOT NULL {check captured_minor >= 0},
    voided_minor     {int} NOT NULL {check voided_minor >= 0},
    doc_v            {int} NOT NULL,
    doc              {text} NOT NULL,
    {check captured_minor + voided_minor <= authorised_minor},
    PRIMARY KEY (id, bucket)
) {strict};
CREATE INDEX payments_sandbox_intent_order ON payments_sandbox_intent (order_id);

-- Every demand by its key, with what became of it once that is settled.
CREATE TABLE payments_sandbox_demand (
    key         {text} NOT NULL,
    version     {int} NOT NULL,
    bucket      {int} NOT NULL,
    fingerprint {text} NOT NULL,
    outcome     {text},
    PRIMARY KEY (key, bucket)
) {strict};
