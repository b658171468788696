-- The few orders that nobody has promised or ended yet: whoever watches the shop asks for the oldest of them again and again.
CREATE INDEX orders_order_undecided ON orders_order (id) WHERE state IN ('placed', 'reserved', 'authorised');
