//! The rules of orders, pure: what a cart holds, what it costs, and how an order lives.
//! Leaves rows to `store` and the order of loading and saving to `service`.

pub mod cart;
pub mod order;
pub mod pricing;
