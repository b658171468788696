-- One payment for each order; the document holds its attempts and the provider's words.
CREATE TABLE payments_payment (
    order_id         {id} NOT NULL,
    version          {int} NOT NULL,
    bucket           {int} NOT NULL,
    store            {id},
    state            {text} NOT NULL,
    wish             {text} NOT NULL,
    authorised_minor {int} NOT NULL {check authorised_minor >= 0},
    captured_minor   {int} NOT NULL {check captured_minor >= 0},
    voided_minor     {int} NOT NULL {check voided_minor >= 0},
    doc_v            {int} NOT NULL,
    doc              {text} NOT NULL,
    {check captured_minor + voided_minor <= authorised_minor},
    {check captured_minor = 0 OR voided_minor = 0},
    PRIMARY KEY (order_id, bucket)
) {strict};
CREATE INDEX payments_payment_state ON payments_payment (state, order_id);

-- The ledger: what the provider did, once for each attempt.
CREATE TABLE payments_entry (
    order_id     {id} NOT NULL,
    kind         {text} NOT NULL,
    attempt      {int} NOT NULL,
    version      {int} NOT NULL,
    bucket       {int} NOT NULL,
    amount_minor {int} NOT NULL {check amount_minor >= 0},
    currency     {text} NOT NULL,
    booked_at    {int} NOT NULL,
    PRIMARY KEY (order_id, kind, attempt, bucket)
) {strict};

-- What is still to be asked of the provider.
CREATE TABLE payments_task (
    order_id    {id} NOT NULL,
    kind        {text} NOT NULL,
    version     {int} NOT NULL,
    bucket      {int} NOT NULL,
    attempt     {int} NOT NULL {check attempt >= 1},
    next_at     {int} NOT NULL,
    tries       {int} NOT NULL {check tries >= 0},
    lease_epoch {int} NOT NULL,
    PRIMARY KEY (order_id, kind, bucket)
) {strict};
CREATE INDEX payments_task_due ON payments_task (next_at);
