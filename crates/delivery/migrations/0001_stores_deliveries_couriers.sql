CREATE TABLE delivery_store (
    id      {id} NOT NULL PRIMARY KEY,
    version {int} NOT NULL,
    bucket  {int} NOT NULL,
    doc_v   {int} NOT NULL,
    doc     {text} NOT NULL
) {strict};

-- `holder` is whom a delivery is offered to or who brings it, and nobody before and after.
CREATE TABLE delivery_delivery (
    id         {id} NOT NULL,
    version    {int} NOT NULL,
    bucket     {int} NOT NULL,
    state      {text} NOT NULL,
    store      {id},
    holder     {id},
    accepted   {int} NOT NULL {check accepted >= 0 AND accepted <= 1},
    created_at {int} NOT NULL,
    ready_at   {int},
    doc_v      {int} NOT NULL,
    doc        {text} NOT NULL,
    {check (holder IS NULL) = (state IN ('created', 'unassigned', 'delivered', 'cancelled'))},
    PRIMARY KEY (id, bucket)
) {strict};
CREATE INDEX delivery_delivery_board ON delivery_delivery (store, created_at, id);
CREATE INDEX delivery_delivery_state ON delivery_delivery (store, state, created_at, id);
CREATE INDEX delivery_delivery_waiting ON delivery_delivery (store, ready_at, id) WHERE state = 'unassigned';
CREATE INDEX delivery_delivery_holder ON delivery_delivery (holder) WHERE holder IS NOT NULL;
CREATE INDEX delivery_delivery_accepted ON delivery_delivery (id) WHERE accepted > 1;

-- `task` is the order that a courier is offered or brings.
CREATE TABLE delivery_courier (
    id      {id} NOT NULL PRIMARY KEY,
    version {int} NOT NULL,
    bucket  {int} NOT NULL,
    store   {id} NOT NULL,
    duty    {text} NOT NULL,
    task    {id},
    since   {int} NOT NULL,
    doc_v   {int} NOT NULL,
    doc     {text} NOT NULL,
    {check (task IS NULL) = (duty IN ('off', 'free'))}
) {strict};
CREATE INDEX delivery_courier_free ON delivery_courier (store, since, id) WHERE duty = 'free';
CREATE INDEX delivery_courier_task ON delivery_courier (task) WHERE task IS NOT NULL;
