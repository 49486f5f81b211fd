//! A strict, local Librato: the metrics API of a service that can no longer be called, in memory, with
//! fault switches and a live page.
//!
//! [`validate`] and [`tagged`] hold the rules for what comes in, [`store`] what becomes of it, [`fault`] what goes
//! wrong on order. Those are pure; [`api`] and [`control`] put them on HTTP.

pub mod api;
mod app;
pub mod budget;
mod clock;
pub mod control;
pub mod fault;
pub mod journal;
pub mod measurement;
pub mod net;
pub mod refusal;
pub mod reply;
mod request;
pub mod store;
mod submission;
pub mod tagged;
pub mod validate;

use std::io;
use std::sync::Arc;

use axum::Router;

pub use crate::app::{App, Settings};
use crate::net::{Cutter, Loopback};

/// Serves until the process ends or the listener fails.
///
/// # Errors
///
/// The listener failed.
pub async fn serve(listener: Loopback, settings: Settings) -> io::Result<()> {
    let app = Arc::new(App::new(settings));
    let router =
        Router::new().nest("/v1", api::router(&app)).merge(control::router(&app)).with_state(app);
    axum::serve(listener, router.into_make_service_with_connect_info::<Cutter>()).await
}
