//! The server's settings and its state, which all requests share.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{broadcast, watch};

use crate::budget::Budget;
use crate::fault::Queue;
use crate::journal::{Entry, Journal};
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
    pub(crate) settings: Settings,
    state: Mutex<State>,
    /// Each request, as it was entered into the journal.
    pub(crate) requests: broadcast::Sender<Arc<Entry>>,
    /// Something in the state is new.
    pub(crate) changes: watch::Sender<()>,
}

/// What requests change. All under one lock, so that every answer shows one moment.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) store: Store,
    pub(crate) journal: Journal,
    pub(crate) faults: Queue,
    pub(crate) budget: Budget,
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

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the live page of a request, and that the totals have changed.
    pub(crate) fn publish(&self, entry: Arc<Entry>) {
        // Fails when nobody is watching.
        let _ = self.requests.send(entry);
        self.changed();
    }

    /// Tells the live page that the state has changed.
    pub(crate) fn changed(&self) {
        self.changes.send_replace(());
    }
}
