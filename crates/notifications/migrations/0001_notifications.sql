-- How to reach whoever placed an order, and news that came before that was known.
CREATE TABLE notifications_contact (
    id      {id} NOT NULL,
    version {int} NOT NULL,
    bucket  {int} NOT NULL,
    doc_v   {int} NOT NULL,
    doc     {text} NOT NULL,
    PRIMARY KEY (id, bucket)
) {strict};

-- One message for each order and template, ever: its id is made of both, and the unique index says it again.
CREATE TABLE notifications_message (
    id       {id} NOT NULL,
    version  {int} NOT NULL,
    bucket   {int} NOT NULL,
    order_id {id} NOT NULL,
    template {text} NOT NULL,
    customer {id},
    state    {text} NOT NULL {check state IN ('queued', 'sent', 'failed')},
    due_at   {int},
    made_at  {int} NOT NULL,
    doc_v    {int} NOT NULL,
    doc      {text} NOT NULL,
    PRIMARY KEY (id, bucket)
) {strict};
CREATE UNIQUE INDEX notifications_message_once ON notifications_message (order_id, template);
CREATE INDEX notifications_message_due ON notifications_message (state, due_at);
CREATE INDEX notifications_message_customer ON notifications_message (customer, made_at, id);
CREATE INDEX notifications_message_made ON notifications_message (made_at, id);
