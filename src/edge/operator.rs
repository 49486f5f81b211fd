//! The operator's routes: the page, the figures, and what was set aside, which is listed, sent again and forgotten.

use std::cell::Cell;
use std::future::Future;

use serde_json::value::RawValue;
use worker::ResponseBody;
use worker::web_sys::{Response, ResponseInit};

use super::clock::sleep;
use super::env::Platform;
use super::handler::RequestHandler;
use super::http::headers;
use super::object::StorageError;
use super::set_aside::{self, Letters};
use super::{book, health, queue};
use crate::Millis;
use crate::durable::dead_letter::DeadLetter;
use crate::operator::answers::{Range, RawFlow, Waiting};
use crate::operator::book::{Question, Totals};
use crate::operator::prometheus::{self, Present};
use crate::segment::answer::{Answer, ApiError, Body, ErrorCode, Result};
use crate::segment::route::{Operator, Route};
use crate::segment::{body, operator, query};
use crate::settings::{Need, is_path_segment};

type Stored<T> = std::result::Result<T, StorageError>;

/// The pause after the first wrong token, and the longest one.
const FIRST_PAUSE: Millis = 50;
const LONGEST_PAUSE: Millis = 2_000;

thread_local! {
    /// The next pause. It doubles with each wrong token and begins anew with the right one.
    static PAUSE: Cell<Millis> = const { Cell::new(FIRST_PAUSE) };
}

impl RequestHandler<'_> {
    /// Returns whether the request names the operator's token. Whoever guesses is slowed down.
    pub(super) async fn is_operator(&self) -> bool {
        let given = self.head.authorization.as_deref().unwrap_or_default().strip_prefix("Bearer ");
        let Some((given, token)) = given.zip(self.settings.operator_token.as_ref()) else { return false };
        let is_right = token.is(given.trim());
        if is_right {
            PAUSE.set(FIRST_PAUSE);
        } else {
            let pause = PAUSE.get();
            PAUSE.set((2 * pause).min(LONGEST_PAUSE));
            sleep(pause).await;
        }
        is_right
    }

    /// Fails unless the request names the operator's token, and while there is none.
    async fn require_operator(&self) -> Result<()> {
        if self.settings.operator_token.is_none() {
            self.require_not_malformed("OPERATOR_TOKEN", Need::Operator)?;
            return Err(ApiError::new(ErrorCode::NotFound, "path: OPERATOR_TOKEN is not set"));
        }
        if !self.is_operator().await {
            return Err(ApiError::new(
                ErrorCode::InvalidToken,
                "Authorization: expected `Bearer` and the operator's token",
            ));
        }
        Ok(())
    }

    /// Answers what the page asks. The page itself needs no token and is not here: [`file`] finds it.
    pub(super) async fn operator(&self, route: Operator<'_>) -> Result<Answer> {
        if let (Operator::Page | Operator::File(_), Some(_)) = (route, &self.settings.operator_token) {
            return Err(ApiError::new(ErrorCode::NotFound, "path: there is no such file"));
        }
        self.require_operator().await?;
        let mut answer = match route {
            Operator::Page | Operator::File(_) => Err(ApiError::new(ErrorCode::NotFound, "path: there is no page")),
            Operator::Health => self.health(true, Some(self.settings.live_events)).await,
            Operator::Flow => self.flow().await,
            Operator::Metrics => self.figures(&Question::Metrics).await,
            Operator::Live if !self.settings.live_events => {
                Ok(json(r#"{"enabled":false,"latest":0,"events":[]}"#.to_owned()))
            }
            Operator::Live => {
                let after = self.parameter("after").and_then(|after| after.parse().ok()).unwrap_or_default();
                self.figures(&Question::Live(after)).await
            }
            Operator::Letters => self.search().await,
            Operator::Groups => Ok(Answer::ok(&self.stored(set_aside::groups(self.platform)).await?)),
            Operator::Replay | Operator::Delete => self.step(route == Operator::Replay).await,
            Operator::Prometheus => self.prometheus().await,
        }?;
        if answer.headers.iter().all(|(name, _)| *name != "Cache-Control") {
            answer.headers.push(("Cache-Control", "no-store".to_owned()));
        }
        Ok(answer)
    }

    async fn flow(&self) -> Result<Answer> {
        let range = self.parameter("range").unwrap_or_else(|| "hour".to_owned());
        let range = Range::named(&range)
            .ok_or_else(|| ApiError::new(ErrorCode::InvalidEvent, "range: expected `hour` or `month`"))?;
        let mut flow: RawFlow = self.counted(&Question::Flow(range)).await?;
        let events = health::waiting(self.platform).await;
        // Whoever says that nothing waits knows it better.
        let oldest = flow.waiting.oldest.filter(|_| events != Some(0));
        flow.waiting = Waiting { events, oldest };
        Ok(Answer::ok(&flow))
    }

    async fn prometheus(&self) -> Result<Answer> {
        let totals: Totals = self.counted(&Question::Totals).await?;
        let waiting = health::waiting(self.platform).await;
        let letters = health::letters(self.platform).await;
        let text = prometheus::text(&totals, Present { waiting, letters });
        Ok(Answer { status: 200, code: None, headers: Vec::new(), body: Body::Text(prometheus::CONTENT_TYPE, text) })
    }

    /// Passes on what the object of the figures answers.
    async fn figures(&self, question: &Question) -> Result<Answer> {
        let answer: Box<RawValue> = self.counted(question).await?;
        Ok(json(answer.get().to_owned()))
    }

    async fn counted<T: serde::de::DeserializeOwned>(&self, question: &Question) -> Result<T> {
        let answer = self.in_time(book::ask(self.platform, question)).await.flatten();
        answer.ok_or_else(|| {
            let message = "OPERATOR: the object that holds the figures does not answer, or is not bound";
            ApiError::new(ErrorCode::UpstreamUnavailable, message)
        })
    }

    async fn search(&self) -> Result<Answer> {
        let text = |name| self.parameter(name).filter(|text| !text.is_empty());
        let (before, limit) = self.page();
        let search = text("search").unwrap_or_default();
        let found = set_aside::search(self.platform, text("reason"), &search, before, limit);
        let Letters { count, numbered, bound } = self.stored(found).await?;
        Ok(Answer::ok(&operator::Page { next: Some(bound), ..operator::Page::of(count, numbered) }))
    }

    /// Sends letters again or forgets them, as many as one step holds.
    async fn step(&self, is_replay: bool) -> Result<Answer> {
        let body = self.read_body(body::MAX_REQUEST).await?;
        let operator::Step { choice, now } = operator::Step::read(&body)?;
        let chosen = set_aside::choose(self.platform, choice, operator::MAX_LETTERS);
        let Letters { count, numbered, bound } = self.stored(chosen).await?;
        let up_to = bound.unwrap_or_default();
        let after = numbered.last().map_or(up_to, |(number, _)| *number);
        let (changed, _) = self.settle(&numbered, is_replay, now).await?;
        let place = Some(operator::Place { after, up_to });
        Ok(Answer::ok(&operator::Done { success: true, changed, left: count, place }))
    }

    /// Sends letters again or forgets them. Returns how many these were, and how many there are now.
    async fn settle(&self, letters: &[(u32, DeadLetter)], is_replay: bool, now: bool) -> Result<(usize, i64)> {
        let gone: Vec<u32> = if is_replay {
            let at = now.then(|| self.started.div_euclid(1_000));
            queue::replay(self.platform, letters, at, self.deadline()).await?
        } else {
            letters.iter().map(|(number, _)| *number).collect()
        };
        let changed = gone.len();
        Ok((changed, self.stored(set_aside::forget(self.platform, gone)).await?.count))
    }

    /// Lists, replays or forgets dead letters, for whoever names the operator's token.
    pub(super) async fn dead_letters(&self, route: Route<'_>) -> Result<Answer> {
        self.require_operator().await?;
        if self.head.is_get() {
            let (before, limit) = self.page();
            let page = self.stored(set_aside::list(self.platform, before, limit)).await?;
            return Ok(Answer::ok(&operator::Page::of(page.count, page.numbered)));
        }
        let body = self.read_body(body::MAX_REQUEST).await?;
        let request = operator::ReplayRequest::read(&body)?;
        let chosen = set_aside::find(self.platform, request.ids, operator::MAX_LETTERS);
        let chosen = self.stored(chosen).await?.numbered;
        let (changed, left) = self.settle(&chosen, route == Route::Replay, request.now).await?;
        Ok(Answer::ok(&operator::Done { success: true, changed, left, place: None }))
    }

    /// Returns which page of letters is asked for: before which number, and how many.
    fn page(&self) -> (u32, u32) {
        let number = |name| self.parameter(name)?.parse::<u32>().ok();
        let limit = number("limit").unwrap_or(50).clamp(1, operator::MAX_LETTERS);
        (number("before").unwrap_or(u32::MAX), limit)
    }

    fn parameter(&self, name: &str) -> Option<String> {
        query::parameter(self.head.query(), name)
    }

    /// Waits for the store of dead letters.
    async fn stored<T>(&self, asked: impl Future<Output = Stored<T>>) -> Result<T> {
        self.in_time(asked)
            .await
            .and_then(std::result::Result::ok)
            .ok_or_else(|| ApiError::new(ErrorCode::UpstreamUnavailable, "LETTERS: the store does not answer"))
    }
}

fn json(text: String) -> Answer {
    Answer { status: 200, code: None, headers: Vec::new(), body: Body::Json(text) }
}

/// Returns the page or a file of it, from the static assets. `None` for anything else, and where it is not deployed.
/// Neither holds any data.
pub(super) async fn file(platform: &Platform, route: Operator<'_>, path: &str) -> Option<Response> {
    let init = ResponseInit::new();
    let slashes = path.len() - path.trim_end_matches('/').len();
    let asset = match route {
        Operator::Page if slashes > 0 => {
            // The page's links are relative, so that it works below any path of a proxy's.
            let location = format!("{}operator", "../".repeat(slashes));
            init.set_status(308);
            init.set_headers(&headers([("Location", location.as_str())]));
            return Response::new_with_opt_str_and_init(None, &init).ok();
        }
        // By this name, as the assets would redirect from `index.html`.
        Operator::Page => "operator/".to_owned(),
        Operator::File(file) if is_path_segment(file) && !file.starts_with('.') => format!("operator/assets/{file}"),
        _ => return None,
    };
    let found = platform.assets()?.fetch(format!("https://assets.invalid/{asset}"), None).await.ok()?;
    let content_type = found.headers().get("Content-Type").ok().flatten().unwrap_or_default();
    let (200, ResponseBody::Stream(content)) = (found.status_code(), found.body()) else { return None };
    init.set_headers(&headers([
        ("Content-Type", content_type.as_str()),
        ("Content-Security-Policy", POLICY),
        ("X-Content-Type-Options", "nosniff"),
        ("Referrer-Policy", "no-referrer"),
        ("Cross-Origin-Opener-Policy", "same-origin"),
        ("Cross-Origin-Resource-Policy", "same-origin"),
        ("Cache-Control", "no-cache"),
    ]));
    Response::new_with_opt_readable_stream_and_init(Some(content), &init).ok()
}

/// What the page may do: nothing with any other host.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
