-- The books in the provider's own tables. A reference is any text now; what the books held before goes with them: documents
-- are raised when they are read, and get the number of their last change here.
CREATE TABLE sandbox_intent (
    id               {text} NOT NULL PRIMARY KEY,
    version          {int} NOT NULL,
    bucket           {int} NOT NULL,
    reference        {text} NOT NULL,
    state            {text} NOT NULL,
    authorised_minor {int} NOT NULL {check authorised_minor >= 0},
    captured_minor   {int} NOT NULL {check captured_minor >= 0},
    voided_minor     {int} NOT NULL {check voided_minor >= 0},
    refunded_minor   {int} NOT NULL {check refunded_minor >= 0},
    changed          {int} NOT NULL,
    doc_v            {int} NOT NULL,
    doc              {text} NOT NULL,
    {check captured_minor + voided_minor <= authorised_minor},
    {check refunded_minor <= captured_minor}
) {strict};
CREATE INDEX sandbox_intent_changed ON sandbox_intent (changed);
CREATE INDEX sandbox_intent_reference ON sandbox_intent (reference, state);

-- Every demand by its key, with what became of it once that is settled.
CREATE TABLE sandbox_demand (
    key         {text} NOT NULL PRIMARY KEY,
    version     {int} NOT NULL,
    fingerprint {text} NOT NULL,
    outcome     {text}
) {strict};

-- Numbers that only rise, as the one that tells changes of intents apart.
CREATE TABLE sandbox_counter (
    name    {text} NOT NULL PRIMARY KEY,
    version {int} NOT NULL,
    value   {int} NOT NULL
) {strict};

-- The provider's secrets, and the faults that it plays.
CREATE TABLE sandbox_setting (
    name    {text} NOT NULL PRIMARY KEY,
    version {int} NOT NULL,
    value   {text} NOT NULL
) {strict};

-- What is still to be told of changes.
CREATE TABLE sandbox_webhook (
    id        {text} NOT NULL PRIMARY KEY,
    version   {int} NOT NULL,
    intent    {text} NOT NULL,
    reference {text} NOT NULL,
    made_at   {int} NOT NULL,
    due_at    {int} NOT NULL,
    tries     {int} NOT NULL {check tries >= 0},
    held_back {int} NOT NULL
) {strict};
CREATE INDEX sandbox_webhook_due ON sandbox_webhook (due_at);

-- A stored document begins with its id, which has 39 characters, and with its order, which has 36.
INSERT INTO sandbox_intent (id, version, bucket, reference, state, authorised_minor, captured_minor, voided_minor, refunded_minor, changed, doc_v, doc)
SELECT id, 1, 0, substr(doc, 58, 36),
    CASE WHEN doc LIKE '%"state":"captured"%' THEN 'captured' WHEN doc LIKE '%"state":"voided"%' THEN 'voided' ELSE 'authorised' END,
    authorised_minor, captured_minor, voided_minor, 0, changed, doc_v,
    replace(doc, '"id":"pi_', '"changed":' || CAST(changed AS TEXT) || ',"id":"pi_')
FROM (SELECT b.*, row_number() OVER (ORDER BY b.id) AS changed FROM payments_sandbox_intent b) numbered;
INSERT INTO sandbox_counter (name, version, value) SELECT 'changed', 1, count(*) FROM payments_sandbox_intent;
INSERT INTO sandbox_demand (key, version, fingerprint, outcome) SELECT key, 1, fingerprint, outcome FROM payments_sandbox_demand;
DROP TABLE payments_sandbox_intent;
DROP TABLE payments_sandbox_demand;
