//! analytics.js, from the static assets beside the Worker.

use worker::ResponseBody;
use worker::web_sys::{ReadableStream, Response, ResponseInit};

use super::env::Platform;
use super::http::{beginning, headers};
use crate::segment::cors::Origin;
use crate::segment::library::Told;
use crate::settings::is_path_segment;

/// Most bytes of the library that are read to fill it in: eight times what it has.
const MAX_LIBRARY: usize = 1_000_000;

/// How long a browser may keep a file.
#[derive(Clone, Copy)]
pub(super) enum Keep {
    /// It changes with the version of the package.
    AnHour,
    /// Its name has a hash of its content in it.
    ForEver,
}

/// Returns analytics.js itself. `None` where it is not deployed.
pub(super) async fn library(platform: &Platform, told: Option<Told<'_>>, origin: Origin<'_>) -> Option<Response> {
    let script = asset(platform, "analytics.min.js").await?;
    let Some(told) = told else {
        return respond(&script, origin, Keep::AnHour);
    };
    let bytes = beginning(&script, MAX_LIBRARY).await.ok()?;
    let text = told.fill(std::str::from_utf8(&bytes).ok()?);
    Response::new_with_opt_str_and_init(Some(&text), &init(origin, Keep::AnHour)).ok()
}

/// Returns a part of analytics.js, by the name of its file. `None` where there is none.
pub(super) async fn chunk(platform: &Platform, file: &str, origin: Origin<'_>) -> Option<Response> {
    if !is_path_segment(file) || file.starts_with('.') {
        return None;
    }
    let script = asset(platform, &format!("analytics-next/bundles/{file}")).await?;
    respond(&script, origin, Keep::ForEver)
}

async fn asset(platform: &Platform, path: &str) -> Option<ReadableStream> {
    let found = platform.assets()?.fetch(format!("https://assets.invalid/{path}"), None).await.ok()?;
    match (found.status_code(), found.body()) {
        (200, ResponseBody::Stream(script)) => Some(script.clone()),
        _ => None,
    }
}

fn respond(script: &ReadableStream, origin: Origin, keep: Keep) -> Option<Response> {
    Response::new_with_opt_readable_stream_and_init(Some(script), &init(origin, keep)).ok()
}

fn init(origin: Origin, keep: Keep) -> ResponseInit {
    let keep = match keep {
        Keep::AnHour => "public, max-age=3600",
        Keep::ForEver => "public, max-age=31536000, immutable",
    };
    let init = ResponseInit::new();
    init.set_headers(&headers(origin.headers().into_iter().chain([
        ("Content-Type", "text/javascript; charset=utf-8"),
        ("Cache-Control", keep),
        // A page with `Cross-Origin-Embedder-Policy` loads nothing without it.
        ("Cross-Origin-Resource-Policy", "cross-origin"),
    ])));
    init
}
