//! The platform layer: the only code that knows Cloudflare Workers.
//!
//! It hands bytes and the time to the pure code and carries out what that decides. Nothing here may
//! panic or fail: a panic kills the instance and the requests beside it, and an `Err` from a handler
//! would be a 500.

mod bindings;
mod http;
mod log;
mod object;
mod once;
mod outbound;
mod queue;
mod set_aside;
mod task;
use std::cell::OnceCell;
use std::rc::Rc;

use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

use crate::Millis;
use crate::delivery::{Lot, Policy};
use crate::destination::{Destination, Writer};
use crate::durable::once::seconds;
use crate::ingest::{self, Call, Counts, Intake, Kind};
use crate::measurement::Measurement;
use crate::rollup::Rollup;
use crate::segment::answer::{Answer, Body, Failure, FailureCode, Fallible, success};
use crate::segment::cors::{Origin, preflight_headers};
use crate::segment::route::Route;
use crate::segment::{body, credential, health, library_settings, operator, pixel, query, webhook};
use crate::settings::Settings;
use crate::text::{concat, read_whole};
use bindings::{Deferred, Env, MessageBatch, Request};
use health::Delivery;
use http::Head;
use log::Line;
use outbound::{Targets, Upstream};
use task::{Begun, Settlement, Tasks};

#[global_allocator]
static ALLOCATOR: talc::wasm::WasmDynamicTalc = talc::wasm::new_wasm_dynamic_allocator();

/// A panic's message would be read by nobody, and what writes it is a tenth of the module. The trap tells
/// the place, and `platform.js` begins anew.
#[panic_handler]
fn stop(_: &std::panic::PanicInfo) -> ! {
    std::arch::wasm32::unreachable()
}

/// What lives as long as the module does.
#[wasm_bindgen]
pub struct Instance {
    tasks: Tasks,
    account: Rc<OnceCell<Account>>,
}

#[wasm_bindgen]
#[allow(unreachable_pub)]
impl Instance {
    /// Before anything was called.
    #[wasm_bindgen(constructor)]
    #[must_use]
    pub fn new() -> Self {
        Self { tasks: Tasks::new(), account: Rc::default() }
    }

    /// A request.
    pub fn fetch(&self, promise: Deferred, request: Request, env: Env, head: String) {
        let platform = self.platform(env);
        let answered = async move { visit(&request, &Head::of(&head), &platform).await };
        self.tasks.run(promise, Box::pin(answered));
    }

    /// Messages of either queue.
    pub fn queue(&self, promise: Deferred, batch: MessageBatch, env: Env) {
        let platform = self.platform(env);
        let consumed = async move {
            queue::handle(&batch, &platform).await;
            JsValue::UNDEFINED
        };
        self.tasks.run(promise, Box::pin(consumed));
    }

    /// Something that was begun is settled.
    pub fn wake(&self, ticket: usize, code: u32, bytes: Vec<u8>, value: JsValue) {
        self.tasks.wake(ticket, Settlement { code, bytes, value });
    }

    fn platform(&self, env: Env) -> Platform {
        Platform { env, tasks: self.tasks.clone(), account: Rc::clone(&self.account) }
    }
}

/// What a call of the platform has to work with.
struct Platform {
    env: Env,
    tasks: Tasks,
    account: Rc<OnceCell<Account>>,
}

impl Platform {
    /// Bindings do not change while an isolate lives: what they say is read once.
    fn account(&self) -> &Account {
        self.account.get_or_init(|| Account::of(&self.env))
    }

    fn now(&self) -> Millis {
        self.tasks.now()
    }

    /// See [`Tasks::begun`].
    fn begun(&self, begin: impl FnOnce(usize)) -> Begun {
        self.tasks.begun(begin)
    }
}

async fn visit(request: &Request, head: &Head<'_>, platform: &Platform) -> JsValue {
    let started = platform.now();
    let settings = &platform.account().settings;
    let route = Route::of(head.path, &settings.path_prefix);
    let origin = Origin::judge(head.from, settings);
    if head.method == "OPTIONS" {
        let requested = bindings::header(request, "Access-Control-Request-Headers");
        let headers = preflight_headers(requested.as_deref());
        let answer = Answer { status: 204, code: None, headers, body: Body::None };
        return http::respond(&answer, origin);
    }
    if let Route::Library(key) = route
        && is_get(head.method)
        && settings.knows(key)
        && let Some(response) = outbound::library(platform, origin).await
    {
        return response;
    }
    let line = Line::new(route.label());
    let mut visit = Visit { request, head, platform, settings, started, line };
    let answer = visit.answer(route, origin).await;
    visit.line.write(&answer, platform.now() - started);
    http::respond(&answer, origin)
}

/// What the settings come to.
struct Account {
    settings: Settings,
    /// How the destination is reached, when the settings name one.
    targets: Option<Targets>,
}

impl Account {
    fn of(env: &Env) -> Self {
        let settings = Settings::read(|name| env.text(name));
        let targets = settings.destination.as_deref().map(Targets::of);
        Self { settings, targets }
    }

    /// Where measurements go, when the settings say it.
    fn upstream(&self) -> Option<Upstream<'_>> {
        let destination = self.settings.destination.as_deref()?;
        Some(Upstream { destination, targets: self.targets.as_ref()? })
    }
}

/// How long a number to write under is waited for while a client waits.
const WRITER_PATIENCE: Millis = 1_000;

/// One request on its way through.
struct Visit<'v> {
    request: &'v Request,
    head: &'v Head<'v>,
    platform: &'v Platform,
    settings: &'v Settings,
    started: Millis,
    line: Line,
}

impl Visit<'_> {
    async fn answer(&mut self, route: Route<'_>, origin: Origin<'_>) -> Answer {
        let answer = match self.dispatch(route, origin).await {
            Ok(answer) => answer,
            Err(failure) => failure.answer(),
        };
        match route {
            Route::Pixel(_) if is_get(self.head.method) => pixel::answer(&answer),
            Route::Event(_) => match query::parameter(self.head.query, "callback") {
                Some(callback) if is_get(self.head.method) => pixel::script(answer, &callback),
                _ => answer,
            },
            _ => answer,
        }
    }

    async fn dispatch(&mut self, route: Route<'_>, origin: Origin<'_>) -> Fallible<Answer> {
        if route == Route::Unknown {
            return Err(Failure::new(FailureCode::NotFound, "path: there is no such route"));
        }
        // The classic library sends an event in a query where it cannot post.
        let data = match route {
            Route::Event(_) if is_get(self.head.method) => {
                query::parameter(self.head.query, "data")
            }
            _ => None,
        };
        let methods = route.allowed_methods();
        let is_right = match (route, self.head.method) {
            (Route::SetAside, "DELETE") => true,
            _ if methods.starts_with("GET") || data.is_some() => is_get(self.head.method),
            (_, method) => method == "POST",
        };
        if !is_right {
            return Err(Failure::new(
                FailureCode::MethodNotAllowed(methods),
                concat(&["method: expected one of ", methods]),
            ));
        }
        if let (Origin::Refused(_), false) = (origin, route == Route::Health) {
            return Err(Failure::new(
                FailureCode::OriginNotAllowed,
                "Origin: expected one that ALLOWED_ORIGINS lists",
            ));
        }
        if let Route::Event(_) | Route::Pixel(_) | Route::Batch = route {
            health::require(self.settings, |_| true)?;
        }
        match route {
            Route::Event(event_type) => {
                let text = match data {
                    Some(data) => pixel::decode(&data)?,
                    None => self.body().await?,
                };
                self.take(Kind::Single(event_type), &text).await
            }
            Route::Pixel(event_type) => {
                let text = pixel::event(self.head.query)?;
                self.take(Kind::Single(event_type), &text).await
            }
            Route::Batch => {
                let text = self.body().await?;
                self.take(Kind::Batch, &text).await
            }
            Route::Webhook => self.webhook().await,
            // Counters of the library about itself: taken, so that it stops asking, and dropped. It
            // sends them without a key; a wrong one is refused as anywhere.
            Route::LibraryMetrics => {
                let key = self.header_key().or_else(|| self.query_key());
                if let Some(key) = key {
                    ingest::authenticate(Some(&key), self.settings)?;
                }
                Ok(success(0, &[]))
            }
            Route::Settings { write_key, base } if self.settings.knows(write_key) => {
                Ok(library_settings::answer(write_key, self.head.origin, base))
            }
            Route::SetAside | Route::Replay => self.set_aside(route).await,
            Route::Health => self.health().await,
            Route::Settings { .. } | Route::Library(_) | Route::Unknown => {
                health::require(self.settings, |problem| problem.setting == "WRITE_KEYS")?;
                let message = "path: there is nothing for this write key";
                Err(Failure::new(FailureCode::NotFound, message))
            }
        }
    }

    async fn health(&mut self) -> Fallible<Answer> {
        let is_deep = query::parameter(self.head.query, "deep").is_some_and(|deep| deep == "1");
        let (true, Some(upstream)) = (is_deep, self.platform.account().upstream()) else {
            return Ok(health::answer(self.settings, None));
        };
        let key = self.header_key().or_else(|| self.query_key());
        ingest::authenticate(key.as_deref(), self.settings)?;
        let destination = outbound::check(self.platform, upstream).await;
        let delivery = match self.platform.env.measurements() {
            None => Delivery::Direct,
            Some(_) => Delivery::Durable {
                waiting: once::figures(self.platform, self.settings.once_shards)
                    .await
                    .map(|figures| figures.waiting),
                set_aside: set_aside::list(self.platform, 0, 0)
                    .await
                    .ok()
                    .map(|letters| letters.count),
            },
        };
        Ok(health::answer(self.settings, Some(health::Deep { destination, delivery })))
    }

    /// What was set aside, for whoever names the operator's token.
    async fn set_aside(&mut self, route: Route<'_>) -> Fallible<Answer> {
        let Some(token) = &self.settings.operator_token else {
            return Err(Failure::new(FailureCode::NotFound, "path: OPERATOR_TOKEN is not set"));
        };
        let authorization = self.head.authorization.unwrap_or_default();
        if !authorization.strip_prefix("Bearer ").is_some_and(|given| token.is(given.trim())) {
            return Err(Failure::new(
                FailureCode::InvalidToken,
                "Authorization: expected `Bearer` and the operator's token",
            ));
        }
        let unavailable = |_| {
            Failure::new(FailureCode::UpstreamUnavailable, "LETTERS: the store does not answer")
        };
        if is_get(self.head.method) {
            let number = |name| read_whole(&query::parameter(self.head.query, name)?);
            let before = number("before").unwrap_or(u32::MAX);
            let limit = number("limit").unwrap_or(50).clamp(1, operator::MAX_LETTERS);
            let page = set_aside::list(self.platform, before, limit).await.map_err(unavailable)?;
            return Ok(Answer::ok(&operator::Page::of(page.count, page.letters)));
        }
        let body = self.read_body(body::MAX_REQUEST).await?;
        let wish = operator::Wish::read(&body)?;
        let chosen = set_aside::find(self.platform, wish.ids, operator::MAX_LETTERS);
        let chosen = chosen.await.map_err(unavailable)?.letters;
        let gone: Vec<u32> = if route == Route::Replay {
            let at = wish.now.then(|| self.started.div_euclid(1_000));
            queue::replay(self.platform, &chosen, at).await?
        } else {
            chosen.iter().map(|(number, _)| *number).collect()
        };
        let changed = gone.len();
        let left = set_aside::forget(self.platform, gone).await.map_err(unavailable)?.count;
        Ok(Answer::ok(&operator::Done { success: true, changed, left }))
    }

    async fn webhook(&mut self) -> Fallible<Answer> {
        let Some(secret) = &self.settings.webhook_secret else {
            return Err(Failure::new(FailureCode::NotFound, "path: WEBHOOK_SECRET is not set"));
        };
        health::require(self.settings, |problem| problem.setting != "WRITE_KEYS")?;
        let signature = bindings::header(self.request, "X-Signature");
        let bytes = self.read_body(webhook::MAX_REQUEST).await?;
        webhook::verify(secret.expose(), &bytes, signature.as_deref())?;
        let text = body::text(bytes, None, webhook::MAX_REQUEST)?;
        // Segment sends again after a 5xx, and after nothing else.
        self.take(Kind::Webhook, &text).await.map_err(|failure| match failure.code {
            FailureCode::RateLimited => failure.because(FailureCode::UpstreamUnavailable),
            _ => failure,
        })
    }

    async fn body(&self) -> Fallible<String> {
        let bytes = self.read_body(body::MAX_REQUEST).await?;
        // Asked for only where it makes a difference: of what is no text.
        match String::from_utf8(bytes) {
            Ok(text) => Ok(text),
            Err(other) => {
                let encoding = bindings::header(self.request, "Content-Encoding");
                body::text(other.into_bytes(), encoding.as_deref(), body::MAX_REQUEST)
            }
        }
    }

    async fn read_body(&self, limit: usize) -> Fallible<Vec<u8>> {
        http::read_body(&self.platform.tasks, self.request, self.head.content_length, limit).await
    }

    async fn take(&mut self, kind: Kind, text: &str) -> Fallible<Answer> {
        let header_key = self.header_key();
        let query_key = self.query_key();
        let call = Call {
            settings: self.settings,
            kind,
            received_at: self.started,
            header_key: header_key.as_deref(),
            query_key: query_key.as_deref(),
            native_date,
        };
        let mut intake = ingest::take(text, &call)?;
        self.limit(&intake.write_key).await?;
        let delivered = self.deliver(&mut intake).await;
        self.line.counts = Counts { accepted: 0, ..intake.counts() };
        delivered?;
        self.line.counts = intake.counts();
        Ok(intake.answer())
    }

    /// Asks the rate limiter, where one is bound. One that fails limits nobody.
    async fn limit(&self, write_key: &str) -> Fallible<()> {
        let Some(limiter) = self.platform.env.rate_limiter() else { return Ok(()) };
        let address = bindings::header(self.request, "CF-Connecting-IP").unwrap_or_default();
        let key = concat(&[write_key, " ", &address]);
        match self.platform.begun(|ticket| bindings::limit(ticket, &limiter, &key)).await.code {
            1 => Err(Failure::new(
                FailureCode::RateLimited,
                "there are too many requests with this write key from this address",
            )),
            _ => Ok(()),
        }
    }

    /// Stores the measurements where a queue is bound, else delivers them at once.
    async fn deliver(&mut self, intake: &mut Intake<'_>) -> Fallible<()> {
        if intake.measured().next().is_none() {
            return Ok(());
        }
        match self.platform.env.measurements() {
            Some(bound) => {
                self.line.messages =
                    queue::store(self.platform, &bound, intake, self.started).await?;
                Ok(())
            }
            None => self.deliver_directly(intake).await,
        }
    }

    /// Direct delivery: the answer waits for the destination's.
    async fn deliver_directly(&mut self, intake: &mut Intake<'_>) -> Fallible<()> {
        let oldest = self.settings.window().oldest(self.started.div_euclid(1_000));
        let measured = intake.measured().map(|(measurement, _)| measurement);
        let (gauges, places) = Rollup::of(measured, self.settings.rollup_seconds, oldest);
        self.line.gauges = gauges.len();
        let Some(upstream) = self.platform.account().upstream() else {
            return health::require(self.settings, |_| true);
        };
        let writer = self.writer(upstream.destination, &gauges).await;
        let lots = [Lot { writer, members: gauges.len() }];
        let policy = Policy::direct(self.started, self.platform.now(), random());
        let report = outbound::deliver(self.platform, upstream, &gauges, &lots, policy).await;
        (self.line.requests, self.line.trouble) = (report.requests, report.trouble());
        self.line.refused_points = report.refused_points();
        let outcomes = places.iter().filter_map(|place| report.outcomes.get(*place));
        intake.settle(&outcomes.collect::<Vec<_>>(), upstream.destination.names())
    }

    /// Whose the measurements of this request are. The client is waiting: where no number comes soon,
    /// one is drawn.
    async fn writer(&self, destination: &dyn Destination, gauges: &[Measurement]) -> Writer {
        if !destination.knows_points() {
            return Writer::ANYONE;
        }
        let seconds = seconds(gauges);
        let given = once::writer(self.platform, seconds, WRITER_PATIENCE).await;
        given.unwrap_or_else(|| Writer::drawn(random()))
    }

    fn query_key(&self) -> Option<String> {
        query::parameter(self.head.query, "writeKey")
    }

    fn header_key(&self) -> Option<String> {
        credential::basic_user(self.head.authorization?)
    }
}

fn is_get(method: &str) -> bool {
    matches!(method, "GET" | "HEAD")
}

/// Somewhere to begin: the pauses of many isolates must only differ.
fn random() -> u64 {
    bindings::random().to_bits()
}

/// The engine's `Date.parse`. Workers live in UTC.
fn native_date(text: &str) -> Option<Millis> {
    let date = bindings::parse_date(text);
    // A JavaScript date is a whole number of milliseconds and fits.
    #[allow(clippy::cast_possible_truncation)]
    date.is_finite().then_some(date as Millis)
}
