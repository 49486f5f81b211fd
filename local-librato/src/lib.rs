//! A strict, local Librato: the metrics API of a service that can no longer be called, in memory, with
//! fault switches and a live page.
//!
//! [`validate`] and [`tagged`] hold the rules for what comes in, [`store`] what becomes of it, [`fault`] what goes
//! wrong on order. Those are pure; [`api`] and [`control`] put them on HTTP.

pub mod api;
pub mod budget;
pub mod control;
pub mod fault;
pub mod journal;
pub mod measurement;
pub mod net;
pub mod refusal;
pub mod reply;
pub mod store;
mod submission;
pub mod tagged;
pub mod validate;

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use tokio::sync::{broadcast, watch};

use crate::budget::Budget;
use crate::fault::Queue;
use crate::journal::{Entry, Journal};
use crate::net::{Cutter, Loopback};
use crate::store::Store;

/// Requests that a slow reader of the live stream may be behind before it misses some.
const BACKLOG: usize = 256;

/// What the server is told at its start.
#[derive(Clone, Debug)]
pub struct Settings {
    /// User name of the API.
    pub user: String,
    /// Password of the API.
    pub token: String,
    /// The Worker that the playground talks to.
    pub worker: String,
    /// The write key that it uses there.
    pub write_key: String,
    /// The live page.
    pub page: PathBuf,
    /// A `node_modules` folder with the libraries of the live page.
    pub vendor: PathBuf,
}

/// The server's state.
#[derive(Debug)]
pub struct App {
    settings: Settings,
    state: Mutex<State>,
    /// Each request, as it was entered into the journal.
    requests: broadcast::Sender<Arc<Entry>>,
    /// Something in the state is new.
    changes: watch::Sender<()>,
}

/// What requests change. All under one lock, so that every answer shows one moment.
#[derive(Debug, Default)]
struct State {
    store: Store,
    journal: Journal,
    faults: Queue,
    budget: Budget,
}

impl App {
    /// An empty Librato.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            state: Mutex::default(),
            requests: broadcast::Sender::new(BACKLOG),
            changes: watch::Sender::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the live page of a request, and that the totals have changed.
    fn publish(&self, entry: Arc<Entry>) {
        // Fails when nobody is watching.
        let _ = self.requests.send(entry);
        self.changed();
    }

    /// Tells the live page that the state has changed.
    fn changed(&self) {
        self.changes.send_replace(());
    }
}

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

/// The time since the epoch.
fn clock() -> Duration {
    // A clock before 1970 is no clock.
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Whole epoch seconds.
fn now() -> i64 {
    i64::try_from(clock().as_secs()).unwrap_or(i64::MAX)
}
