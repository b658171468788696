-- Nothing of catalog moves between shards: it is one database, and a bucket only spreads partitions.
CREATE TABLE catalog_category (
    slug     {text} NOT NULL PRIMARY KEY,
    version  {int} NOT NULL,
    bucket   {int} NOT NULL,
    position {int} NOT NULL,
    doc_v    {int} NOT NULL,
    doc      {text} NOT NULL
) {strict};
CREATE INDEX catalog_category_position ON catalog_category (position, slug);

CREATE TABLE catalog_product (
    id      {id} NOT NULL PRIMARY KEY,
    version {int} NOT NULL,
    bucket  {int} NOT NULL,
    doc_v   {int} NOT NULL,
    doc     {text} NOT NULL
) {strict};

-- Which product has a SKU: at most one.
CREATE TABLE catalog_sku (
    sku     {text} NOT NULL PRIMARY KEY,
    version {int} NOT NULL,
    product {id} NOT NULL UNIQUE
) {strict};

CREATE TABLE catalog_listing (
    store     {id} NOT NULL,
    sku       {text} NOT NULL,
    version   {int} NOT NULL,
    bucket    {int} NOT NULL,
    category  {text} NOT NULL,
    listed    {int} NOT NULL {check listed IN (0, 1)},
    sort_name {text} NOT NULL,
    doc_v     {int} NOT NULL,
    doc       {text} NOT NULL,
    PRIMARY KEY (store, sku)
) {strict};
CREATE INDEX catalog_listing_name ON catalog_listing (store, listed, sort_name, sku);
CREATE INDEX catalog_listing_category ON catalog_listing (store, category, listed, sort_name, sku);

-- By which words a listing is found; a search reads the range of words that begin as its own do.
CREATE TABLE catalog_word (
    store   {id} NOT NULL,
    word    {text} NOT NULL,
    sku     {text} NOT NULL,
    version {int} NOT NULL,
    PRIMARY KEY (store, word, sku)
) {strict};

-- Copies of what others own.
CREATE TABLE catalog_store (
    id      {id} NOT NULL PRIMARY KEY,
    version {int} NOT NULL,
    bucket  {int} NOT NULL,
    doc_v   {int} NOT NULL,
    doc     {text} NOT NULL
) {strict};

CREATE TABLE catalog_supply (
    store   {id} NOT NULL,
    sku     {text} NOT NULL,
    version {int} NOT NULL,
    band    {text} NOT NULL {check band IN ('none', 'few', 'plenty')},
    PRIMARY KEY (store, sku)
) {strict};
