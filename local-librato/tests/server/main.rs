//! Black-box tests of the binary over HTTP. Only [`rules`] and [`bounds`] use the library, for a fixed clock and for
//! more data than is practical over HTTP.

mod bounds;
mod control;
mod faults;
mod librato;
mod measurements;
mod metrics;
mod process;
mod reading;
mod rules;
