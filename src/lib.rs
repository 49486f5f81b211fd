//! Segment Page and Track calls become measurements at Librato, or at whatever takes OTLP, at the edge.
//!
//! # How an event flows
//!
//! ```text
//!  browser, server, Segment
//!        │  POST /v1/t, /v1/batch …
//!        ▼
//!  edge::fetch ── the only code that knows the platform: bytes in, bytes out, the clock, fetch
//!        │
//!  segment    ── the incoming protocol: route, write key, body, events, answers
//!        │            Event
//!  mapping    ── what a measurement is called, its value, source and second; what is refused
//!        │            Measurement
//!  durable    ── where a queue is bound: one message a request, each event once, what is set aside
//!        │            Measurement
//!  rollup     ── one gauge for each name, source and interval
//!        │            [Measurement]
//!  delivery   ── what is sent when, sent again, split, set aside; knows no clock and no socket
//!        │            Destination
//!  librato, otlp ── a batch on the wire, its limits, and what an answer means
//! ```
//!
//! Everything outside `edge` is pure: it is handed the time and the bytes, and returns what is to be done. It compiles
//! and is tested natively, where `edge` does not exist.

#[cfg(target_arch = "wasm32")]
mod edge;

pub mod delivery;
pub mod destination;
pub mod durable;
pub mod ingest;
pub mod json;
pub mod librato;
pub mod mapping;
pub mod measurement;
pub mod operator;
pub mod otlp;
pub mod rejection;
pub mod rollup;
pub mod secret;
pub mod segment;
pub mod settings;
pub mod time;

/// Milliseconds since 1970-01-01T00:00:00Z.
pub type Millis = i64;

/// Name and version, as sent to destinations in `User-Agent`.
pub const USER_AGENT: &str = concat!("librato-edge/", env!("CARGO_PKG_VERSION"));
