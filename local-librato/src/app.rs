//! The server's settings and its state, which all requests share.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{broadcast, watch};

use crate::budget::Budget;
use crate::fault::Queue;
use crate::journal::{Entry, Journal};
use crate::store::Store;

/// Most requests that a slow reader of the live stream may lag behind before it misses some.
const BACKLOG: usize = 256;

/// Settings that the server is started with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// User name of the API.
    pub user: String,
    /// Password of the API.
    pub token: String,
    /// Base URL of the Worker that the playground sends to.
    pub worker: String,
    /// Write key that the playground uses.
    pub write_key: String,
    /// Folder of the pages: the live page's files are in `local` and `shared`.
    pub page: PathBuf,
    /// `node_modules` folder with the libraries of the live page.
    pub vendor: PathBuf,
}

/// Settings and state, shared by all requests.
#[derive(Debug)]
pub struct App {
    pub(crate) settings: Settings,
    state: Mutex<State>,
    /// Broadcasts each request as it is recorded in the journal.
    pub(crate) requests: broadcast::Sender<Arc<Entry>>,
    /// Signals that the state has changed.
    pub(crate) changes: watch::Sender<()>,
}

/// State that requests change. It is all under one lock, so that every answer is consistent.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) store: Store,
    pub(crate) journal: Journal,
    pub(crate) faults: Queue,
    pub(crate) budget: Budget,
}

impl App {
    /// Creates a server without any metrics.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            state: Mutex::default(),
            requests: broadcast::Sender::new(BACKLOG),
            changes: watch::Sender::default(),
        }
    }

    /// Locks the state. A panic of another request has not made it unusable.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notifies the live page of a request, and that the totals have changed.
    pub(crate) fn publish(&self, entry: Arc<Entry>) {
        // It fails while no page is open.
        let _ = self.requests.send(entry);
        self.changed();
    }

    /// Notifies the live page that the state has changed.
    pub(crate) fn changed(&self) {
        self.changes.send_replace(());
    }
}
