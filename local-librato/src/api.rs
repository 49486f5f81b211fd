//! Librato's API, under `/v1`.

use std::num::{NonZeroU32, NonZeroUsize};
use std::str::FromStr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Path, Query, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::json;

use crate::app::App;
use crate::clock::now;
use crate::net::ResetHandle;
use crate::refusal::{Errors, Refusal};
use crate::reply::Reply;
use crate::request::{Received, authenticate, require_json, user_agent};
use crate::store::{Interval, Page, Put};
use crate::submission::{self, Api};
use crate::validate;

/// Largest and default length of a page (Librato API docs, "Pagination").
const MAX_PAGE: usize = 100;

/// Returns the routes.
pub fn router(app: &Arc<App>) -> Router<Arc<App>> {
    Router::new()
        .route("/metrics", get(list).post(post_metrics))
        .route("/metrics/{name}", get(read).put(put))
        .route("/measurements", post(post_measurements))
        .fallback(|| async { not_found() })
        .layer(middleware::from_fn_with_state(Arc::clone(app), rate_limit_headers))
}

/// Adds the rate-limit headers, which every answer has (Librato API docs, "Rate Limiting").
async fn rate_limit_headers(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = app.lock().budget.headers(now());
    for (name, value) in headers {
        if let Ok(value) = HeaderValue::try_from(value) {
            response.headers_mut().entry(HeaderName::from_static(name)).or_insert(value);
        }
    }
    response
}

fn not_found() -> Reply {
    Reply::json(StatusCode::NOT_FOUND, &json!({"errors": {"request": ["Not Found"]}}))
}

/// Handles `POST /v1/metrics`.
async fn post_metrics(
    State(app): State<Arc<App>>,
    ConnectInfo(connection): ConnectInfo<ResetHandle>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    answer(Api::Metrics, &app, &connection, &headers, body).await
}

/// Handles `POST /v1/measurements`.
async fn post_measurements(
    State(app): State<Arc<App>>,
    ConnectInfo(connection): ConnectInfo<ResetHandle>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    answer(Api::Measurements, &app, &connection, &headers, body).await
}

/// Answers a submission, late or not at all where a fault says so.
async fn answer(api: Api, app: &App, connection: &ResetHandle, headers: &HeaderMap, body: Body) -> Response {
    let received = match Received::read(body).await {
        Ok(received) => received,
        Err(reply) => return reply.into_response(),
    };
    let (delay, reply) = submission::answer(api, app, headers, &received);
    tokio::time::sleep(delay).await;
    let reply = reply.unwrap_or_else(|| {
        connection.reset();
        Reply::empty(StatusCode::OK)
    });
    reply.into_response()
}

/// Handles `GET /v1/metrics`.
async fn list(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<Reply, Reply> {
    authenticate(&app, &headers)?;
    let page = page(query).map_err(|errors| Reply::refusal(&Refusal::Params(errors), now()))?;
    Ok(Reply::json(StatusCode::OK, &app.lock().store.list(&page)))
}

/// Handles `GET /v1/metrics/{name}`.
async fn read(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    Path(name): Path<String>,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<Reply, Reply> {
    authenticate(&app, &headers)?;
    let interval = interval(query).map_err(|errors| Reply::refusal(&Refusal::Params(errors), now()))?;
    let body = app.lock().store.read(&name, interval.as_ref());
    Ok(Reply::json(StatusCode::OK, &body.ok_or_else(not_found)?))
}

/// Handles `PUT /v1/metrics/{name}`.
async fn put(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    Path(name): Path<String>,
    body: Body,
) -> Result<Reply, Reply> {
    let received = Received::read(body).await?;
    authenticate(&app, &headers)?;
    require_json(&headers)?;
    let body = received.within_limit()?;
    let mut state = app.lock();
    let existing = state.store.kind(&name);
    let (kind, properties) = validate::properties(&name, body, existing).map_err(|r| Reply::refusal(&r, now()))?;
    let put = state
        .store
        .put(&name, kind, properties, user_agent(&headers).as_deref())
        .map_err(|errors| Reply::refusal(&Refusal::Params(errors), now()))?;
    drop(state);
    app.changed();
    Ok(match put {
        Put::Updated => Reply::empty(StatusCode::NO_CONTENT),
        Put::Created(metric) => {
            Reply::json(StatusCode::CREATED, &metric).with_header("location", &format!("/v1/metrics/{name}"))
        }
    })
}

/// Reads the parameters of a list (Librato API docs, "Pagination"). A length above the largest is reduced to it.
fn page(query: Vec<(String, String)>) -> Result<Page, Errors> {
    let mut page = Page { name: String::new(), offset: 0, length: MAX_PAGE, descending: false };
    let mut errors = Errors::default();
    for (parameter, value) in query {
        match (parameter.as_str(), value.as_str()) {
            ("name", _) => page.name = value,
            ("offset", text) => {
                page.offset = number(&parameter, text, &mut errors).unwrap_or_default();
            }
            ("length", text) => {
                let length: Option<usize> = number(&parameter, text, &mut errors);
                page.length = length.unwrap_or_default().min(MAX_PAGE);
            }
            ("sort", "asc" | "desc") => page.descending = value == "desc",
            ("sort", _) => errors.add("sort", "must be asc or desc"),
            ("orderby", "name") => {}
            ("orderby", _) => errors.add("orderby", "must be name"),
            _ => errors.add(parameter, validate::UNKNOWN),
        }
    }
    if errors.is_empty() { Ok(page) } else { Err(errors) }
}

/// Reads the parameters that select measurements (Librato API docs, "Time Intervals"); `None` without any. Summaries
/// over sources or over time are not implemented, and refused rather than ignored.
fn interval(query: Vec<(String, String)>) -> Result<Option<Interval>, Errors> {
    let mut interval = Interval { resolution: 1, ..Interval::default() };
    let mut errors = Errors::default();
    let any = !query.is_empty();
    for (parameter, value) in query {
        match parameter.as_str() {
            "resolution" => {
                if let Some(resolution) = number::<NonZeroU32>(&parameter, &value, &mut errors) {
                    interval.resolution = resolution.get();
                }
            }
            "count" => {
                let count = number::<NonZeroUsize>(&parameter, &value, &mut errors);
                interval.count = count.map(NonZeroUsize::get);
            }
            "start_time" => interval.start = number(&parameter, &value, &mut errors),
            "end_time" => interval.end = number(&parameter, &value, &mut errors),
            "source" | "sources[]" => interval.sources.push(value),
            _ => errors.add(parameter, validate::UNKNOWN),
        }
    }
    if errors.is_empty() { Ok(any.then_some(interval)) } else { Err(errors) }
}

fn number<T: FromStr>(parameter: &str, value: &str, errors: &mut Errors) -> Option<T> {
    let number = value.parse().ok();
    if number.is_none() {
        errors.add(parameter, "is not a valid number");
    }
    number
}
