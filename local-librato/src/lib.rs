//! A strict, local mock of Librato's metrics API, in memory, with fault injection and a live page. The service itself
//! can no longer be called.
//!
//! [`validate`] and [`tagged`] hold the rules for submitted measurements, [`store`] keeps them, [`fault`] injects
//! failures. Those are pure; [`api`] and [`control`] put them on HTTP.
//!
//! Comments name the source of each rule by these words:
//!
//! - Librato API docs: <https://github.com/librato/api-docs>, the branch `legacy` for the
//!   source-based API and `master` for the tag-based one.
//! - Knowledge base: <https://kb-docs-archive.librato.com>.
//! - Librato support, on the age of measurements:
//!   <https://github.com/librato/librato-metrics/issues/125>; on the size of requests:
//!   <https://github.com/goodeggs/librato-node/issues/34>.

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
use crate::net::{Loopback, ResetHandle};

/// Serves until the process ends or the listener fails.
///
/// # Errors
///
/// Those of the listener.
pub async fn serve(listener: Loopback, settings: Settings) -> io::Result<()> {
    let app = Arc::new(App::new(settings));
    let router = Router::new().nest("/v1", api::router(&app)).merge(control::router(&app)).with_state(app);
    axum::serve(listener, router.into_make_service_with_connect_info::<ResetHandle>()).await
}
