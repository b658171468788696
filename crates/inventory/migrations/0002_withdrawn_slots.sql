-- Why the people of the store took the slot away; nothing, if they did not.
ALTER TABLE inventory_slot ADD COLUMN withdrawn {text};

-- What people did with a slot: who, when and why.
CREATE TABLE inventory_slot_move (
    store     {id} NOT NULL,
    id        {id} NOT NULL,
    version   {int} NOT NULL,
    bucket    {int} NOT NULL,
    starts_at {int} NOT NULL,
    did       {text} NOT NULL,
    reason    {text},
    places    {int},
    person    {id} NOT NULL,
    role      {text} NOT NULL,
    at        {int} NOT NULL,
    PRIMARY KEY (store, id)
) {strict};
CREATE INDEX inventory_slot_move_slot ON inventory_slot_move (store, starts_at, id);

-- A slot whose orders are being told that it was taken away, and how far that has come; the row goes when all were told.
CREATE TABLE inventory_telling (
    store     {id} NOT NULL,
    starts_at {int} NOT NULL,
    version   {int} NOT NULL,
    bucket    {int} NOT NULL,
    moved     {id} NOT NULL,
    told_to   {id} NOT NULL,
    PRIMARY KEY (store, starts_at)
) {strict};

-- Which orders took of a thing: for telling those of a slot.
CREATE INDEX inventory_hold_line_thing ON inventory_hold_line (store, thing, order_id);

-- The ledger of a SKU, so that the audit adds it up from the index alone.
CREATE INDEX inventory_movement_sku ON inventory_movement (store, sku, units);
