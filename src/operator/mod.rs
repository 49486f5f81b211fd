//! What the operator sees: figures of what comes, of what is delivered and of what is not, and the last events.
//!
//! ```text
//!  request, consumer ──▶ Tally ── Flush, at most one in five seconds ──▶ Book ──▶ rows, one a minute
//!                      an isolate's                                  one object's    │
//!                                                                       └────────────┴──▶ answers, Prometheus
//! ```
//!
//! An isolate counts into its [`tally::Tally`]. What that has counted is flushed to one object, whose [`book::Book`]
//! holds the last hours by minute, the last month by half-hour and the sum of all; each flush writes the row of its
//! minute. A flush is sent until it is answered, and counts once.
//!
//! Nothing of this stands in the way of an event: what cannot be flushed waits, within bounds.

pub mod answers;
pub mod book;
pub mod figures;
pub mod lately;
pub mod live;
pub mod metrics;
pub mod prometheus;
pub mod tally;
