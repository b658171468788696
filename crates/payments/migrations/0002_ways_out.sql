-- What was given back of what was taken, beside what was taken.
ALTER TABLE payments_payment ADD COLUMN refunded_minor {int} NOT NULL DEFAULT 0 {check refunded_minor >= 0 AND refunded_minor <= captured_minor};

-- Webhooks that were heard, so that each is heard once.
CREATE TABLE payments_webhook (
    id       {text} NOT NULL,
    version  {int} NOT NULL,
    bucket   {int} NOT NULL,
    heard_at {int} NOT NULL,
    PRIMARY KEY (id, bucket)
) {strict};
CREATE INDEX payments_webhook_heard ON payments_webhook (heard_at);

-- How the provider's books differ from ours, one row for each intent; it counts once it was seen twice.
CREATE TABLE payments_difference (
    intent    {text} NOT NULL,
    version   {int} NOT NULL,
    bucket    {int} NOT NULL,
    rule      {text} NOT NULL,
    reference {text} NOT NULL,
    detail    {text} NOT NULL,
    seen      {int} NOT NULL {check seen >= 1},
    since     {int} NOT NULL,
    looked_at {int} NOT NULL,
    PRIMARY KEY (intent, bucket)
) {strict};
CREATE INDEX payments_difference_looked ON payments_difference (looked_at, intent);

-- How far the sweep has come: through the provider's changes, and through our own payments.
CREATE TABLE payments_mark (
    name     {text} NOT NULL,
    version  {int} NOT NULL,
    position {text} NOT NULL,
    PRIMARY KEY (name)
) {strict};
