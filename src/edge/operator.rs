//! The operator's routes: what was set aside is listed, sent again and forgotten.

use std::future::Future;

use super::handler::RequestHandler;
use super::object::StorageError;
use super::queue;
use super::set_aside::{self, Letters};
use crate::segment::answer::{Answer, ApiError, ErrorCode, Result};
use crate::segment::route::Route;
use crate::segment::{body, operator, query};
use crate::settings::Need;

type Stored = std::result::Result<Letters, StorageError>;

impl RequestHandler<'_> {
    /// Returns whether the request names the operator's token.
    pub(super) fn is_operator(&self) -> bool {
        let given = self.head.authorization.as_deref().unwrap_or_default().strip_prefix("Bearer ");
        let token = self.settings.operator_token.as_ref();
        given.zip(token).is_some_and(|(given, token)| token.is(given.trim()))
    }

    /// Lists, replays or forgets dead letters, for whoever names the operator's token.
    pub(super) async fn dead_letters(&self, route: Route<'_>) -> Result<Answer> {
        if self.settings.operator_token.is_none() {
            self.require_not_malformed("OPERATOR_TOKEN", Need::Operator)?;
            return Err(ApiError::new(ErrorCode::NotFound, "path: OPERATOR_TOKEN is not set"));
        }
        if !self.is_operator() {
            return Err(ApiError::new(
                ErrorCode::InvalidToken,
                "Authorization: expected `Bearer` and the operator's token",
            ));
        }
        if self.head.is_get() {
            let number = |name| query::parameter(self.head.query(), name)?.parse::<u32>().ok();
            let before = number("before").unwrap_or(u32::MAX);
            let limit = number("limit").unwrap_or(50).clamp(1, operator::MAX_LETTERS);
            let page = self.letters(set_aside::list(self.platform, before, limit)).await?;
            return Ok(Answer::ok(&operator::Page::of(page.count, page.letters)));
        }
        let body = self.read_body(body::MAX_REQUEST).await?;
        let request = operator::ReplayRequest::read(&body)?;
        let chosen = set_aside::find(self.platform, request.ids, operator::MAX_LETTERS);
        let chosen = self.letters(chosen).await?.letters;
        let gone: Vec<u32> = if route == Route::Replay {
            let at = request.now.then(|| self.started.div_euclid(1_000));
            queue::replay(self.platform, &chosen, at, self.deadline()).await?
        } else {
            chosen.iter().map(|(number, _)| *number).collect()
        };
        let changed = gone.len();
        let left = self.letters(set_aside::forget(self.platform, gone)).await?.count;
        Ok(Answer::ok(&operator::Done { success: true, changed, left }))
    }

    /// Waits for the store of dead letters.
    async fn letters(&self, asked: impl Future<Output = Stored>) -> Result<Letters> {
        self.in_time(asked)
            .await
            .and_then(std::result::Result::ok)
            .ok_or_else(|| ApiError::new(ErrorCode::UpstreamUnavailable, "LETTERS: the store does not answer"))
    }
}
