-- How many of a thing a store can still promise, and how many it has promised. A thing is `sku:…` or `slot:<instant>`.
CREATE TABLE inventory_supply (
    store     {id} NOT NULL,
    thing     {text} NOT NULL,
    version   {int} NOT NULL,
    bucket    {int} NOT NULL,
    band      {text} NOT NULL,
    set_at    {int} NOT NULL,
    available {int} NOT NULL {check available >= 0},
    held      {int} NOT NULL {check held >= 0},
    PRIMARY KEY (store, thing)
) {strict};

-- The slots that a store offers; how many of their places are left stands in the supply of `slot:<starts_at>`.
CREATE TABLE inventory_slot (
    store     {id} NOT NULL,
    starts_at {int} NOT NULL,
    version   {int} NOT NULL,
    bucket    {int} NOT NULL,
    ends_at   {int} NOT NULL,
    cutoff_at {int} NOT NULL,
    places    {int} NOT NULL {check places >= 0},
    by_hand   {int} NOT NULL,
    PRIMARY KEY (store, starts_at)
) {strict};

-- Which slots of a store are made, so that making more never overlaps them.
CREATE TABLE inventory_timetable (
    store   {id} NOT NULL,
    version {int} NOT NULL,
    bucket  {int} NOT NULL,
    doc_v   {int} NOT NULL,
    doc     {text} NOT NULL,
    PRIMARY KEY (store, bucket)
) {strict};

-- What an order holds, or how its hold ended; a hold lives in its store's bucket under its order's id.
CREATE TABLE inventory_hold (
    order_id {id} NOT NULL,
    version  {int} NOT NULL,
    bucket   {int} NOT NULL,
    state    {text} NOT NULL,
    doc_v    {int} NOT NULL,
    doc      {text} NOT NULL,
    PRIMARY KEY (order_id, bucket)
) {strict};
CREATE INDEX inventory_hold_state ON inventory_hold (state, order_id);

-- What a hold took, in columns: written once, so that the audit can add up what live holds took of each thing.
CREATE TABLE inventory_hold_line (
    order_id {id} NOT NULL,
    thing    {text} NOT NULL,
    version  {int} NOT NULL,
    bucket   {int} NOT NULL,
    store    {id} NOT NULL,
    units    {int} NOT NULL {check units > 0},
    PRIMARY KEY (order_id, thing)
) {strict};

-- Every change of what is physically there.
CREATE TABLE inventory_movement (
    store    {id} NOT NULL,
    id       {id} NOT NULL,
    version  {int} NOT NULL,
    bucket   {int} NOT NULL,
    sku      {text} NOT NULL,
    reason   {text} NOT NULL,
    units    {int} NOT NULL,
    counted  {int},
    order_id {id},
    person   {id},
    at       {int} NOT NULL,
    PRIMARY KEY (store, id)
) {strict};

-- Copies of stores: time zone, hours, slot template. Each shard keeps its own.
CREATE TABLE inventory_store (
    id      {id} NOT NULL PRIMARY KEY,
    version {int} NOT NULL,
    bucket  {int} NOT NULL,
    doc_v   {int} NOT NULL,
    doc     {text} NOT NULL
) {strict};
