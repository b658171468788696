CREATE TABLE orders_cart (
    id      {id} NOT NULL,
    version {int} NOT NULL,
    bucket  {int} NOT NULL,
    doc_v   {int} NOT NULL,
    doc     {text} NOT NULL,
    PRIMARY KEY (id, bucket)
) {strict};

CREATE TABLE orders_order (
    id       {id} NOT NULL,
    version  {int} NOT NULL,
    bucket   {int} NOT NULL,
    store    {id} NOT NULL,
    state    {text} NOT NULL,
    customer {id},
    doc_v    {int} NOT NULL,
    doc      {text} NOT NULL,
    PRIMARY KEY (id, bucket)
) {strict};
CREATE INDEX orders_order_board ON orders_order (store, state, id);
CREATE INDEX orders_order_customer ON orders_order (customer, id);

-- Copies of what others own; each shard keeps its own.
CREATE TABLE orders_store (
    id      {id} NOT NULL PRIMARY KEY,
    version {int} NOT NULL,
    bucket  {int} NOT NULL,
    doc_v   {int} NOT NULL,
    doc     {text} NOT NULL
) {strict};

CREATE TABLE orders_listing (
    store       {id} NOT NULL,
    sku         {text} NOT NULL,
    version     {int} NOT NULL,
    name        {text} NOT NULL,
    price_minor {int} NOT NULL {check price_minor >= 0},
    tax_class   {text} NOT NULL,
    listed      {int} NOT NULL,
    PRIMARY KEY (store, sku)
) {strict};

CREATE TABLE orders_slot (
    store     {id} NOT NULL,
    starts_at {int} NOT NULL,
    version   {int} NOT NULL,
    ends_at   {int} NOT NULL,
    cutoff_at {int} NOT NULL,
    PRIMARY KEY (store, starts_at)
) {strict};

-- Keys made once, as the one that seals capabilities and quotes.
CREATE TABLE orders_secret (
    name    {text} NOT NULL PRIMARY KEY,
    version {int} NOT NULL,
    bytes   {blob} NOT NULL
) {strict};
