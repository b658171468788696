//! The rules of catalog: what a product may be, what a store lists of it, and by which words it is found.
//! Leaves rows to `store`, and who may change them to `http`.

pub(crate) mod category;
pub(crate) mod listing;
pub(crate) mod product;
pub(crate) mod text;
