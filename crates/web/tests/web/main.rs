//! The door from outside: every refusal, every caller, every header, over routes like those of a service.
//! Leaves the rules of the services to their own tests.
#![allow(clippy::result_large_err, reason = "the faults are the kernel's")]

mod access;
mod body;
mod conditions;
mod door;
mod fuzz;
mod pages;
mod path_and_query;
mod problems;
mod seals;
mod serving;
mod shop;
mod tokens;
mod writes;
