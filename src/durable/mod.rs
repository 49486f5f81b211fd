//! Durable delivery: what is accepted is stored in a queue first, and counts once.
//!
//! ```text
//!  request ── Parcel ──▶ queue ──▶ Consumption ──▶ delivery ──▶ destination
//!                                    │      ▲           │
//!                          claim, done      │           └─ refused ─▶ DeadLetter ─▶ dead-letter queue
//!                                    ▼      │
//!                                   Ledger ─┘  one owner for each event, whoever sends it again
//! ```
//!
//! A request becomes one queue message, a [`parcel::Parcel`] of mapped measurements, each with the identity of its
//! event. The consumer asks the [`once::Ledger`] whose each event is: the first parcel that names it owns it for a day,
//! and the same event in another parcel is a repetition. It delivers what it owns and has not delivered yet, tells the
//! ledger, and acknowledges a message when all of it is delivered or set aside. Until then the message comes again, and
//! with it only what is left.

pub mod consume;
pub mod dead_letter;
pub mod once;
pub mod parcel;
pub mod replay;
