//! Routes that Librato did not have: the live page, and under `/local` the state and the controls for it and for tests.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::routing::{get, post};
use futures_util::stream::{self, Stream};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::{broadcast, watch};
use tokio::time::Instant;
use tower_http::cors::CorsLayer;
use tower_http::services::{ServeDir, ServeFile};
use tower_http::set_header::SetResponseHeaderLayer;

use crate::app::App;
use crate::budget::Budget;
use crate::clock::now;
use crate::fault::Fault;
use crate::journal::Entry;
use crate::store::Store;

/// Shortest time between two states that are sent to a live page.
const STATE_EVERY: Duration = Duration::from_millis(250);
/// Time between keep-alive comments on a silent stream.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Default length of a series, in seconds.
const SERIES_SECONDS: i64 = 600;
/// Default number of requests in an answer.
const REQUESTS: usize = 50;

/// Libraries of the live page: their routes, and their files in `node_modules`.
const VENDOR: [(&str, &str); 3] = [
    ("/vendor/echarts.js", "echarts/dist/echarts.min.js"),
    ("/vendor/analytics-next.js", "@segment/analytics-next/dist/umd/index.js"),
    ("/vendor/standalone.js", "@segment/analytics-next/dist/umd/standalone.js"),
];

/// Returns the routes.
pub fn router(app: &App) -> Router<Arc<App>> {
    let local = Router::new()
        .route("/config", get(config))
        .route("/state", get(state))
        .route("/series", get(series))
        .route("/requests", get(requests))
        .route("/stream", get(live))
        .route("/faults", get(faults).post(add_fault).delete(clear_faults))
        .route("/reset", post(reset))
        .layer(CorsLayer::permissive());
    let page = &app.settings.page;
    let files = VENDOR.into_iter().fold(
        Router::new()
            .route_service("/", ServeFile::new(page.join("local/index.html")))
            .nest_service("/page", ServeDir::new(page)),
        |router, (route, file)| router.route_service(route, ServeFile::new(app.settings.vendor.join(file))),
    );
    // A changed file of the page must show up on reload.
    let no_cache = SetResponseHeaderLayer::overriding(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    Router::new().nest("/local", local).merge(files.layer(no_cache))
}

async fn config(State(app): State<Arc<App>>) -> Json<Value> {
    Json(json!({
        "worker": app.settings.worker,
        "writeKey": app.settings.write_key,
        "user": app.settings.user,
        "version": env!("CARGO_PKG_VERSION"),
    }))
}

async fn state(State(app): State<Arc<App>>) -> Json<Value> {
    Json(snapshot(&app))
}

fn snapshot(app: &App) -> Value {
    let state = app.lock();
    let mut snapshot = json!(state.journal.totals);
    snapshot["metrics"] = state.store.totals();
    snapshot["faults"] = state.faults.list();
    snapshot
}

#[derive(Deserialize)]
struct SeriesQuery {
    metric: String,
    seconds: Option<u32>,
}

async fn series(State(app): State<Arc<App>>, Query(query): Query<SeriesQuery>) -> Json<Value> {
    let seconds = query.seconds.map_or(SERIES_SECONDS, i64::from);
    let series = app.lock().store.series(&query.metric, now() - seconds);
    Json(json!({"metric": query.metric, "resolution": 1, "series": series}))
}

#[derive(Deserialize)]
struct RequestsQuery {
    after: Option<u64>,
    limit: Option<usize>,
}

#[derive(Serialize)]
struct Requests {
    requests: Vec<Arc<Entry>>,
    last: u64,
}

async fn requests(State(app): State<Arc<App>>, Query(query): Query<RequestsQuery>) -> Json<Requests> {
    let (requests, last) = app.lock().journal.after(query.after.unwrap_or_default(), query.limit.unwrap_or(REQUESTS));
    Json(Requests { requests, last })
}

async fn faults(State(app): State<Arc<App>>) -> Json<Value> {
    Json(json!({"faults": app.lock().faults.list()}))
}

/// Queues a fault. The body is read as JSON whatever the content type, as it is also typed by hand into curl.
async fn add_fault(State(app): State<Arc<App>>, body: Bytes) -> (StatusCode, Json<Value>) {
    let queued = serde_json::from_slice::<Fault>(&body)
        .map_err(|error| error.to_string())
        .and_then(|fault| app.lock().faults.push(fault).map_err(ToOwned::to_owned));
    match queued {
        Ok(()) => {
            app.changed();
            (StatusCode::OK, faults(State(app)).await)
        }
        Err(error) => (StatusCode::BAD_REQUEST, Json(json!({"error": error}))),
    }
}

async fn clear_faults(State(app): State<Arc<App>>) -> Json<Value> {
    app.lock().faults.clear();
    app.changed();
    faults(State(app)).await
}

/// Forgets all metrics, requests and faults. Only the numbering of requests goes on.
async fn reset(State(app): State<Arc<App>>) -> Json<Value> {
    {
        let mut state = app.lock();
        state.store = Store::default();
        state.budget = Budget::default();
        state.faults.clear();
        state.journal.reset();
    }
    app.changed();
    Json(snapshot(&app))
}

/// Streams server-sent events: each request as it is handled, and the state when it has changed.
async fn live(State(app): State<Arc<App>>) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let mut changes = app.changes.subscribe();
    // A new reader gets the state at once.
    changes.mark_changed();
    let feed = Feed { requests: app.requests.subscribe(), changes, next_state: Instant::now(), app };
    let events = stream::unfold(feed, |mut feed| async {
        let event = feed.next().await?;
        Some((Ok(event), feed))
    });
    Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE).text("still here"))
}

/// A reader of the live stream.
struct Feed {
    app: Arc<App>,
    requests: broadcast::Receiver<Arc<Entry>>,
    changes: watch::Receiver<()>,
    next_state: Instant,
}

impl Feed {
    /// Waits for the next event; `None` once the server stops.
    async fn next(&mut self) -> Option<Event> {
        loop {
            let event = tokio::select! {
                received = self.requests.recv() => match received {
                    Ok(entry) => Event::default().event("request").json_data(&*entry),
                    // The reader was too slow for some requests, which `/local/requests` still has.
                    Err(broadcast::error::RecvError::Lagged(_)) => continue,
                    Err(broadcast::error::RecvError::Closed) => return None,
                },
                changed = changed_after(self.next_state, &mut self.changes) => {
                    changed.ok()?;
                    self.next_state = Instant::now() + STATE_EVERY;
                    Event::default().event("state").json_data(snapshot(&self.app))
                }
            };
            if let Ok(event) = event {
                return Some(event);
            }
        }
    }
}

/// Waits until `time`, then for a change of the state.
async fn changed_after(time: Instant, changes: &mut watch::Receiver<()>) -> Result<(), watch::error::RecvError> {
    tokio::time::sleep_until(time).await;
    changes.changed().await
}
