//! One request, from its head to its answer.

use worker::Context;
use worker::web_sys::{Request, Response};

use super::clock::{native_date, now, random};
use super::env::Platform;
use super::http::{self, RequestHead};
use super::log::Line;
use super::{health, library, once, operator, outbound, queue, tally};
use crate::Millis;
use crate::delivery::{Partition, Policy};
use crate::destination::{Destination, WriterId};
use crate::durable::once::{WriterRequest, WriterSettlement, is_on_time};
use crate::ingest::{self, Call, Kind, ParsedRequest};
use crate::measurement::Measurement;
use crate::operator::live::{LiveEvent, LiveOutcome, shown};
use crate::rollup::Rollup;
use crate::segment::answer::{Answer, ApiError, Body, ErrorCode, Result, success};
use crate::segment::cors::{Origin, preflight_headers};
use crate::segment::health::{Deployment, require};
use crate::segment::library::Told;
use crate::segment::route::Route;
use crate::segment::{self, body, credential, pixel, query, webhook};
use crate::settings::{Need, Settings};

/// Answers a request.
pub(super) async fn respond(request: &Request, platform: &Platform, context: &Context) -> worker::Result<Response> {
    let started = now();
    let settings = platform.settings();
    let head = &RequestHead::of(request);
    let route = Route::of(head.path(), &settings.path_prefix);
    let origin = Origin::judge(head.from.as_deref(), settings);
    if head.method == "OPTIONS" {
        let requested = http::header(request, "Access-Control-Request-Headers");
        let headers = preflight_headers(requested.as_deref());
        let answer = Answer { status: 204, code: None, headers, body: Body::None };
        return http::respond(&answer, origin);
    }
    let script = match route {
        _ if !head.is_get() => None,
        Route::Library { file, is_prefixed } => match settings.library_key(file) {
            Some(write_key) => {
                let public_url = settings.public_url.as_ref().map(|_| settings.root(head.origin(), is_prefixed));
                let told = Told { write_key, public_url: public_url.as_deref() };
                // Its own address tells it all that there is.
                let is_told = public_url.is_some() || write_key != file;
                library::library(platform, is_told.then_some(told), origin).await
            }
            None => None,
        },
        Route::LibraryChunk(file) => library::chunk(platform, file, origin).await,
        Route::Operator(route) if settings.operator_token.is_some() => {
            operator::file(platform, route, head.path()).await
        }
        _ => None,
    };
    if let Some(script) = script {
        return Ok(script);
    }
    let line = Line::new(route.label());
    let mut handler = RequestHandler { request, head, platform, context, settings, started, line };
    let answer = handler.answer(route, origin).await;
    handler.line.write(&answer, now() - started);
    if answer.code.is_some() || route == Route::LibraryMetrics {
        http::read_to_end(request, head.content_length).await;
    }
    http::respond(&answer, origin)
}

/// When an answer must be there: none takes seven seconds.
const ANSWER_TIMEOUT: Millis = 6_800;
/// How long a number to write under is waited for while a client waits.
const WRITER_TIMEOUT: Millis = 1_000;
/// How long a number is kept for a request whose handler dies, in seconds: longer than any takes.
const WRITER_LEASE: u32 = 10;

/// Per-request state.
pub(super) struct RequestHandler<'r> {
    pub(super) request: &'r Request,
    pub(super) head: &'r RequestHead,
    pub(super) platform: &'r Platform,
    context: &'r Context,
    pub(super) settings: &'r Settings,
    pub(super) started: Millis,
    line: Line,
}

impl RequestHandler<'_> {
    async fn answer(&mut self, route: Route<'_>, origin: Origin<'_>) -> Answer {
        let mut answer = match self.dispatch(route, origin).await {
            Ok(answer) => {
                self.count(route, None);
                answer
            }
            Err(failure) => {
                self.count(route, Some(&failure));
                failure.answer()
            }
        };
        if let (Route::Event(_), true) = (route, self.head.is_get()) {
            // One that was kept, of a prefetch too, would stand in for the next event.
            answer.headers.push(("Cache-Control", "no-store".to_owned()));
        }
        match route {
            Route::Pixel(_) if self.head.is_get() => pixel::answer(&answer),
            Route::Event(_) => match query::parameter(self.head.query(), "callback") {
                Some(callback) if self.head.is_get() => pixel::script(answer, &callback),
                _ => answer,
            },
            _ => answer,
        }
    }

    /// Counts a request with events. One that is refused whole is shown as an event is.
    fn count(&self, route: Route<'_>, failure: Option<&ApiError>) {
        if !route.takes_events() {
            return;
        }
        tally::with(|tally| {
            let code = failure.map(|failure| failure.code.parts().0);
            tally.request(code, self.started);
            if let Some(failure) = failure.filter(|_| tally.room() > 0) {
                tally.show([LiveEvent {
                    at: self.started,
                    kind: route.label().to_owned(),
                    outcome: LiveOutcome::Refused,
                    code: code.map(str::to_owned),
                    message: Some(shown(&failure.message)),
                    ..LiveEvent::default()
                }]);
            }
        });
    }

    async fn dispatch(&mut self, route: Route<'_>, origin: Origin<'_>) -> Result<Answer> {
        if route == Route::Unknown {
            return Err(ApiError::new(ErrorCode::NotFound, "path: there is no such route"));
        }
        // The classic library sends an event in a query where it cannot post.
        let data = match route {
            Route::Event(_) if self.head.is_get() => query::parameter(self.head.query(), "data"),
            _ => None,
        };
        if !route.takes(&self.head.method, data.is_some()) {
            let methods = route.allowed_methods();
            return Err(ApiError::new(
                ErrorCode::MethodNotAllowed(methods),
                format!("method: expected one of {methods}"),
            ));
        }
        // Whoever has the operator's token is at home.
        let is_for_all = matches!(route, Route::Health | Route::Operator(_));
        if let (Origin::Refused(_), false) = (origin, is_for_all) {
            require(self.settings, Need::Origins)?;
            return Err(ApiError::new(ErrorCode::OriginNotAllowed, "Origin: expected one that ALLOWED_ORIGINS lists"));
        }
        if let Route::Event(_) | Route::Pixel(_) | Route::Batch = route {
            require(self.settings, Need::Events)?;
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
                let text = pixel::event(self.head.query())?;
                self.take(Kind::Single(event_type), &text).await
            }
            Route::Batch => {
                let text = self.body().await?;
                self.take(Kind::Batch, &text).await
            }
            Route::Webhook => self.webhook().await,
            // Counters of the library about itself: taken, so that it stops asking, and dropped. It sends them without
            // a key; a wrong one is refused as anywhere.
            Route::LibraryMetrics => {
                let key = self.header_key().or_else(|| self.query_key());
                if let Some(key) = key {
                    ingest::authenticate(Some(&key), self.settings)?;
                }
                Ok(success(0, &[]))
            }
            Route::Settings { write_key, is_prefixed } if self.settings.knows(write_key) => {
                require(self.settings, Need::Library)?;
                Ok(segment::library::settings(write_key, &self.settings.root(self.head.origin(), is_prefixed)))
            }
            Route::SourceConfig => {
                require(self.settings, Need::Library)?;
                let key = self.header_key().or_else(|| self.query_key());
                let write_key = ingest::authenticate(key.as_deref(), self.settings)?;
                Ok(segment::library::source_config(write_key, self.started))
            }
            Route::SetAside | Route::Replay => self.dead_letters(route).await,
            Route::Health => {
                let is_deep = query::parameter(self.head.query(), "deep").is_some_and(|deep| deep == "1");
                self.health(is_deep, None).await
            }
            Route::Operator(route) => self.operator(route).await,
            Route::Settings { .. } | Route::Library { .. } | Route::LibraryChunk(_) | Route::Unknown => {
                require(self.settings, Need::Library)?;
                let message = "path: there is nothing for this write key";
                Err(ApiError::new(ErrorCode::NotFound, message))
            }
        }
    }

    pub(super) async fn health(&self, is_deep: bool, live_list: Option<bool>) -> Result<Answer> {
        let deployment = Deployment {
            public_url: self.settings.root(self.head.origin(), false),
            is_durable: self.platform.measurements().is_some(),
            missing_bindings: self.platform.missing_bindings(),
            live_list,
        };
        let platform = self.platform;
        let deep = match platform.upstream().filter(|_| is_deep) {
            None => None,
            Some(to) if self.is_operator().await => Some(health::look(platform, to).await),
            Some(to) => {
                let key = self.header_key().or_else(|| self.query_key());
                ingest::authenticate(key.as_deref(), self.settings)?;
                Some(health::look_rarely(platform, to).await?)
            }
        };
        Ok(segment::health::answer(self.settings, &deployment, deep))
    }

    /// Fails where a secret is not missing but malformed: then its route would exist.
    pub(super) fn require_not_malformed(&self, setting: &str, need: Need) -> Result<()> {
        let is_malformed = self.settings.problems.iter().any(|known| known.setting == setting);
        if is_malformed { require(self.settings, need) } else { Ok(()) }
    }

    async fn webhook(&mut self) -> Result<Answer> {
        let Some(secret) = &self.settings.webhook_secret else {
            self.require_not_malformed("WEBHOOK_SECRET", Need::Webhook)?;
            return Err(ApiError::new(ErrorCode::NotFound, "path: WEBHOOK_SECRET is not set"));
        };
        require(self.settings, Need::Webhook)?;
        let signature = http::header(self.request, "X-Signature");
        let bytes = self.read_body(webhook::MAX_REQUEST).await?;
        webhook::verify(secret.expose(), &bytes, signature.as_deref())?;
        let text = body::text(bytes, None, webhook::MAX_REQUEST)?;
        // Segment sends again after a 5xx, and after nothing else.
        self.take(Kind::Webhook, &text).await.map_err(|failure| match failure.code {
            ErrorCode::RateLimited => failure.because(ErrorCode::UpstreamUnavailable),
            _ => failure,
        })
    }

    async fn body(&self) -> Result<String> {
        let bytes = self.read_body(body::MAX_REQUEST).await?;
        // Asked for only where it makes a difference: of what is no text.
        match String::from_utf8(bytes) {
            Ok(text) => Ok(text),
            Err(other) => {
                let encoding = http::header(self.request, "Content-Encoding");
                body::text(other.into_bytes(), encoding.as_deref(), body::MAX_REQUEST)
            }
        }
    }

    pub(super) async fn read_body(&self, limit: usize) -> Result<Vec<u8>> {
        http::read_body(self.request, self.head.content_length, limit).await
    }

    async fn take(&mut self, kind: Kind, text: &str) -> Result<Answer> {
        let header_key = self.header_key();
        let query_key = self.query_key();
        let call = Call {
            settings: self.settings,
            kind,
            received_at: self.started,
            header_key: header_key.as_deref(),
            query_key: query_key.as_deref(),
            native_date,
            shown: tally::with(|tally| tally.room()),
        };
        let mut intake = ingest::parse(text, &call)?;
        self.limit(&intake.write_key).await?;
        let delivered = self.deliver(&mut intake).await;
        let mut counts = intake.counts();
        if !self.is_speculative() {
            tally::with(|tally| {
                tally.events(&counts, delivered.is_err(), self.started);
                if delivered.is_ok() {
                    tally.show(intake.take_shown());
                }
            });
        }
        if delivered.is_err() {
            counts.accepted = 0;
        }
        self.line.count(counts);
        delivered?;
        Ok(intake.answer())
    }

    /// Asks the rate limiter, where one is bound. One that fails limits nobody.
    async fn limit(&self, write_key: &str) -> Result<()> {
        let Some(limiter) = self.platform.rate_limiter() else { return Ok(()) };
        let address = http::header(self.request, "CF-Connecting-IP").unwrap_or_default();
        match self.in_time(limiter.limit(format!("{write_key} {address}"))).await {
            Some(Ok(outcome)) if !outcome.success => Err(ApiError::new(
                ErrorCode::RateLimited,
                "there are too many requests with this write key from this address",
            )),
            _ => Ok(()),
        }
    }

    /// Stores the measurements where a queue is bound, else delivers them at once.
    async fn deliver(&mut self, intake: &mut ParsedRequest<'_>) -> Result<()> {
        if intake.measured().next().is_none() || self.is_speculative() {
            return Ok(());
        }
        match self.platform.measurements() {
            Some(bound) => {
                self.line.messages =
                    queue::store(&bound, intake, self.settings.once_shards, self.started, self.deadline()).await?;
                Ok(())
            }
            None => self.deliver_directly(intake).await,
        }
    }

    /// Direct delivery: the answer waits for the destination's.
    async fn deliver_directly(&mut self, intake: &mut ParsedRequest<'_>) -> Result<()> {
        let oldest = self.settings.window().oldest(self.started.div_euclid(1_000));
        let measured = intake.measured().map(|(measurement, _)| measurement);
        let (gauges, places) = Rollup::of(measured, self.settings.rollup_seconds, oldest);
        self.line.gauges = gauges.len();
        let Some(upstream) = self.platform.upstream() else {
            return require(self.settings, Need::Events);
        };
        let holder = random();
        let writer = self.writer(upstream.destination, &gauges, holder).await;
        let partitions = [Partition { writer, members: gauges.len() }];
        let policy = Policy::direct(self.started, now(), random());
        let report = outbound::deliver(upstream, &gauges, &partitions, policy).await;
        if let (true, WriterId::Assigned(number)) = (upstream.destination.deduplicates_points(), writer) {
            let platform = self.platform.clone();
            let settlement = WriterSettlement { released: vec![(number, holder)], held: Vec::new() };
            // The client need not wait for it.
            self.context.wait_until(async move { once::settle_writers(&platform, settlement).await });
        }
        (self.line.requests, self.line.trouble) = (report.requests, report.trouble());
        self.line.refused_points = report.refused_points();
        self.line.answers.clone_from(&report.answers);
        let outcomes = places.iter().filter_map(|place| report.outcomes.get(*place));
        intake.settle(&outcomes.collect::<Vec<_>>(), upstream.destination.names())
    }

    /// Whose the measurements of this request are. The client is waiting: where no number comes soon, one is drawn.
    async fn writer(&self, destination: &dyn Destination, gauges: &[Measurement], holder: u64) -> WriterId {
        if !destination.deduplicates_points() {
            return WriterId::NONE;
        }
        let second = self.started.div_euclid(1_000);
        // A gauge has the first second of its interval.
        let begin = second - i64::from(self.settings.rollup_seconds);
        let measured = gauges.iter().map(|gauge| (gauge, is_on_time(gauge.time, begin, second)));
        let request = WriterRequest::of(holder, WRITER_LEASE, measured);
        let given = once::writer(self.platform, request, WRITER_TIMEOUT).await;
        given.unwrap_or_else(|| WriterId::random(random()))
    }

    pub(super) fn deadline(&self) -> Millis {
        self.started + ANSWER_TIMEOUT
    }

    /// Waits for something until the deadline.
    pub(super) async fn in_time<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        http::within(self.deadline() - now(), future).await
    }

    /// Returns whether the request comes before anybody has seen anything: a browser's prefetch, or a HEAD.
    fn is_speculative(&self) -> bool {
        let is_prefetch =
            |header| http::header(self.request, header).is_some_and(|purpose| purpose.contains("prefetch"));
        // The last two are what browsers sent before there was a standard, and what proxies still send.
        self.head.method == "HEAD"
            || self.head.is_get() && ["Sec-Purpose", "Purpose", "X-Moz"].into_iter().any(is_prefetch)
    }

    fn query_key(&self) -> Option<String> {
        query::parameter(self.head.query(), "writeKey")
    }

    fn header_key(&self) -> Option<String> {
        credential::basic_user(self.head.authorization.as_deref()?)
    }
}
