//! The platform layer: the only code that knows Cloudflare Workers.
//!
//! It hands bytes and the time to the pure code and carries out what that decides. Nothing here may
//! panic or fail: a panic kills the instance and the requests beside it, and an `Err` from a handler
//! would be a 500.

mod http;
mod log;
mod outbound;

use std::cell::RefCell;
use std::rc::Rc;

use worker::{Context, Date, Env, Method, Request, Response, Result, event, js_sys};

use crate::Millis;
use crate::delivery::{Outcome, Policy};
use crate::ingest::{self, Call, Intake, Kind};
use crate::librato::Librato;
use crate::segment::answer::{Answer, Failure, FailureCode, success};
use crate::segment::cors::{Origin, preflight_headers};
use crate::segment::route::Route;
use crate::segment::{body, credential, health, library_settings};
use crate::settings::Settings;
use log::Line;

#[event(fetch)]
async fn fetch(request: Request, env: Env, _context: Context) -> Result<Response> {
    let started = now();
    let settings = settings(&env);
    let target = http::Target::of(&request);
    let route = Route::of(&target.path, &settings.path_prefix);
    let origin_header = http::header(&request, "Origin");
    let origin = Origin::judge(origin_header.as_deref(), &settings);
    let mut line = Line::new(route.label());
    if request.method() == Method::Options {
        let requested = http::header(&request, "Access-Control-Request-Headers");
        let preflight = Answer {
            status: 204,
            headers: preflight_headers(requested.as_deref()),
            body: String::new(),
        };
        return http::respond(preflight, origin);
    }
    let response = match route {
        Route::Library(key) if is_get(&request) && settings.knows(key) => {
            outbound::library(&env, origin).await
        }
        _ => None,
    };
    let response = match response {
        Some(response) => Ok(response),
        None => {
            let mut visit = Visit { request, settings: &settings, started, line: &mut line };
            let answer = visit.answer(route, &target, origin).await;
            line.status = answer.status;
            http::respond(answer, origin)
        }
    };
    line.write(now() - started);
    response
}

/// One request on its way through.
struct Visit<'v> {
    request: Request,
    settings: &'v Settings,
    started: Millis,
    line: &'v mut Line,
}

impl Visit<'_> {
    async fn answer(
        &mut self,
        route: Route<'_>,
        target: &http::Target,
        origin: Origin<'_>,
    ) -> Answer {
        self.dispatch(route, target, origin).await.unwrap_or_else(|failure| {
            self.line.code = Some(failure.code.parts().0);
            failure.answer()
        })
    }

    async fn dispatch(
        &mut self,
        route: Route<'_>,
        target: &http::Target,
        origin: Origin<'_>,
    ) -> std::result::Result<Answer, Failure> {
        if route == Route::Unknown {
            return Err(Failure::new(FailureCode::NotFound, "path: there is no such route"));
        }
        let methods = route.allowed_methods();
        let is_right = if methods.starts_with("GET") {
            is_get(&self.request)
        } else {
            self.request.method() == Method::Post
        };
        if !is_right {
            return Err(Failure::new(
                FailureCode::MethodNotAllowed(methods),
                format!("method: expected one of {methods}"),
            ));
        }
        if let (Origin::Refused(_), false) = (origin, route == Route::Health) {
            return Err(Failure::new(
                FailureCode::OriginNotAllowed,
                "Origin: expected one that ALLOWED_ORIGINS lists",
            ));
        }
        match route {
            Route::Event(event_type) => self.events(Kind::Single(event_type), target).await,
            Route::Batch => self.events(Kind::Batch, target).await,
            // Counters of the library about itself: taken, so that it stops asking, and dropped.
            Route::LibraryMetrics => Ok(success(0, &[])),
            Route::Settings { write_key, base } if self.settings.knows(write_key) => {
                Ok(library_settings::answer(write_key, &target.origin, base))
            }
            Route::Health => Ok(health::answer(self.settings)),
            Route::Settings { .. } | Route::Library(_) | Route::Unknown => Err(Failure::new(
                FailureCode::NotFound,
                "path: there is nothing for this write key",
            )),
        }
    }

    async fn events(
        &mut self,
        kind: Kind,
        target: &http::Target,
    ) -> std::result::Result<Answer, Failure> {
        if let Some(failure) = health::misconfigured(self.settings) {
            return Err(failure);
        }
        let authorization = http::header(&self.request, "Authorization");
        let header_key = authorization.as_deref().and_then(credential::basic_user);
        let query_key = credential::query_parameter(&target.query, "writeKey");
        let encoding = http::header(&self.request, "Content-Encoding");
        let bytes = http::read_body(&mut self.request).await?;
        let text = body::text(bytes, encoding.as_deref())?;
        let call = Call {
            settings: self.settings,
            kind,
            received_at: self.started,
            header_key: header_key.as_deref(),
            query_key: query_key.as_deref(),
            native_date,
        };
        let mut intake = ingest::take(&text, &call)?;
        let delivered = self.deliver(&mut intake).await;
        self.line.counts = intake.counts();
        delivered?;
        Ok(intake.answer())
    }

    /// Direct delivery: the answer waits for the destination's.
    async fn deliver(&mut self, intake: &mut Intake) -> std::result::Result<(), Failure> {
        self.line.gauges = intake.measurements.len();
        if intake.measurements.is_empty() {
            return Ok(());
        }
        let Some(librato) = Librato::new(self.settings) else {
            return Err(Failure::new(
                FailureCode::Misconfigured,
                "LIBRATO_URL: expected a setting",
            ));
        };
        let policy = Policy::direct(now(), random());
        let (outcomes, requests) = outbound::deliver(&librato, &intake.measurements, policy).await;
        self.line.requests = requests;
        self.line.trouble = outcomes.iter().find_map(|outcome| match outcome {
            Outcome::Later(trouble) => Some(trouble.detail.clone()),
            Outcome::SetAside(reason) => Some(reason.clone()),
            Outcome::Delivered => None,
        });
        intake.settle(&outcomes)
    }
}

fn is_get(request: &Request) -> bool {
    matches!(request.method(), Method::Get | Method::Head)
}

/// The settings, read once an isolate: bindings do not change while it lives.
fn settings(env: &Env) -> Rc<Settings> {
    thread_local! {
        static SETTINGS: RefCell<Option<Rc<Settings>>> = const { RefCell::new(None) };
    }
    let known = SETTINGS.with(|settings| settings.borrow().clone());
    known.unwrap_or_else(|| {
        let read = Rc::new(Settings::read(|name| env.var(name).ok().map(|var| var.to_string())));
        SETTINGS.with(|settings| *settings.borrow_mut() = Some(Rc::clone(&read)));
        read
    })
}

fn now() -> Millis {
    Date::now().as_millis().cast_signed()
}

/// Somewhere to begin: the pauses of many isolates must only differ.
fn random() -> u64 {
    js_sys::Math::random().to_bits()
}

/// The engine's `Date.parse`. Workers live in UTC.
fn native_date(text: &str) -> Option<Millis> {
    let millis = js_sys::Date::parse(text);
    // A JavaScript date is a whole number of milliseconds and fits.
    #[allow(clippy::cast_possible_truncation)]
    millis.is_finite().then_some(millis as Millis)
}
