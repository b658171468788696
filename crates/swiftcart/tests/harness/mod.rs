//! The real binary as processes: shops, payment providers, and requests to them. Shared by the stories and the crash suite.
//! Leaves what is expected of them to those.

#![allow(dead_code, unused_imports, reason = "each suite uses a part of it")]

mod bank;
mod cluster;
mod process;
mod requests;
mod server;

pub(crate) use bank::Bank;
pub(crate) use cluster::{Cluster, INTERNAL_KEY, ROLES, Topology};
pub(crate) use process::{free_address, swiftcart};
pub(crate) use requests::{request, send_form};
pub(crate) use server::{Server, baskets, bearer, migrate, nothing_was_found, said, until_leases_pass_on};
