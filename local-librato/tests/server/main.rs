//! The binary as its users meet it: over HTTP, with nothing known of its insides. Only [`rules`] and
//! [`bounds`] go in by the library, where a clock or a bulk is needed that a running server has not.

mod bounds;
mod control;
mod faults;
mod librato;
mod measurements;
mod metrics;
mod process;
mod reading;
mod rules;
