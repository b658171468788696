//! The door from outside: every refusal, every caller, every header, over routes like those of a service.
//! Leaves the rules of the services to their own tests.
#![allow(clippy::unwrap_used, reason = "what a test cannot go on without, it may end by")]

mod access;
mod body;
mod conditions;
mod door;
mod fuzz;
mod pages;
mod path_and_query;
mod peers;
mod pool;
mod problems;
mod seals;
mod serving;
mod shop;
mod tokens;
mod writes;
