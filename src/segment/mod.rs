//! The incoming side: Segment's HTTP Tracking API as its client libraries speak it.

pub mod answer;
pub mod body;
pub mod cors;
pub mod credential;
pub mod event;
pub mod health;
pub mod library;
pub mod operator;
pub mod payload;
pub mod pixel;
pub mod query;
pub mod route;
pub mod webhook;
