//! The platform layer: the only code that knows Cloudflare Workers.
//!
//! It hands bytes and the time to the pure code and carries out what that decides. Nothing here may panic or fail: a
//! panic kills the instance and the requests beside it, and an `Err` from a handler would be a 500.

mod book;
mod clock;
mod consume;
mod env;
mod handler;
mod health;
mod http;
mod library;
mod log;
mod object;
mod once;
mod operator;
mod outbound;
mod queue;
mod set_aside;
mod stop;
mod tally;

use worker::web_sys::{Request, Response};
use worker::{Context, Env, Result, event};

/// Answers a request. The types are the platform's own, for the reason that [`http`] has.
///
/// # Errors
///
/// Where the platform does not make an answer of fixed headers, which would be a fault of its own.
#[event(fetch)]
async fn fetch(request: Request, env: Env, context: Context) -> Result<Response> {
    let platform = env::Platform::new(env);
    let response = handler::respond(&request, &platform, &context).await;
    tally::flush_later(&platform, &context);
    response
}
