//! Load: shoppers, pickers and couriers through the public API.
