//! Which path means what.

/// The kind of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventType {
    /// Something happened.
    Track,
    /// A page was seen.
    Page,
    /// Traits of a user; measured only for Engage.
    Identify,
    /// A call that is acknowledged and never measured: group, alias, screen.
    Other,
}

impl EventType {
    /// Reads an event's `type`; `None` when it is not one of Segment's.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "track" => Self::Track,
            "page" => Self::Page,
            "identify" => Self::Identify,
            "group" | "alias" | "screen" => Self::Other,
            _ => return None,
        })
    }
}

/// What a path asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route<'a> {
    /// One event, whose type the path gives.
    Event(EventType),
    /// Many events, each with its type.
    Batch,
    /// One event in a query, answered with a picture.
    Pixel(EventType),
    /// Events from Segment itself, one or many.
    Webhook,
    /// Counters about the library itself (`/v1/m`): no events, answered and dropped.
    LibraryMetrics,
    /// What a library loads first: where to send, for this write key.
    Settings {
        /// The write key of the path.
        write_key: &'a str,
        /// What stands before the route: where the client believes this host's root to be.
        base: &'a str,
    },
    /// analytics.js itself, under the write key that it is to use.
    Library(&'a str),
    /// What was set aside, for the operator.
    SetAside,
    /// The same, to be sent again.
    Replay,
    /// Whether the Worker is set up.
    Health,
    /// Nothing of ours.
    Unknown,
}

impl<'a> Route<'a> {
    /// Finds the route of a path.
    ///
    /// `/v1` and a trailing slash are optional, as client libraries disagree about them. `prefix` is
    /// `PATH_PREFIX`: the same routes exist under it as well.
    #[must_use]
    pub fn of(path: &'a str, prefix: &str) -> Self {
        let (base, path) = match path.split_at_checked(prefix.len()) {
            Some((base, rest)) if base == prefix && (rest.is_empty() || rest.starts_with('/')) => {
                (base, rest)
            }
            _ => ("", path),
        };
        let path = path.strip_suffix("/").unwrap_or(path);
        let path = path.strip_prefix("/v1").filter(|rest| rest.starts_with('/')).unwrap_or(path);
        let key_in = |before, after| {
            let key: Option<&str> = path.strip_prefix(before)?.strip_suffix(after);
            key.filter(|key| !key.is_empty() && !key.contains('/'))
        };
        if let Some(write_key) = key_in("/projects/", "/settings") {
            return Self::Settings { write_key, base };
        }
        if let Some(write_key) = key_in("/analytics.js/v1/", "/analytics.min.js") {
            return Self::Library(write_key);
        }
        match path {
            "/pixel/track" => Self::Pixel(EventType::Track),
            "/pixel/page" => Self::Pixel(EventType::Page),
            "/pixel/identify" => Self::Pixel(EventType::Identify),
            "/pixel/group" | "/pixel/alias" | "/pixel/screen" => Self::Pixel(EventType::Other),
            "/webhooks/segment" => Self::Webhook,
            "/track" | "/t" => Self::Event(EventType::Track),
            "/page" | "/p" => Self::Event(EventType::Page),
            "/identify" | "/i" => Self::Event(EventType::Identify),
            "/group" | "/g" | "/alias" | "/a" | "/screen" | "/s" => Self::Event(EventType::Other),
            // The last is where RudderStack's library sends what a closing page leaves.
            "/batch" | "/b" | "/import" | "/beacon/v1/batch" => Self::Batch,
            "/m" => Self::LibraryMetrics,
            "/set-aside" => Self::SetAside,
            "/set-aside/replay" => Self::Replay,
            "/health" => Self::Health,
            _ => Self::Unknown,
        }
    }

    /// What logs call the route. A path may hold a write key or anything else; this does not.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Event(EventType::Track) => "track",
            Self::Event(EventType::Page) => "page",
            Self::Event(EventType::Identify) => "identify",
            Self::Event(EventType::Other) => "other",
            Self::Batch => "batch",
            Self::Pixel(_) => "pixel",
            Self::Webhook => "webhook",
            Self::LibraryMetrics => "library-metrics",
            Self::Settings { .. } => "settings",
            Self::Library(_) => "library",
            Self::SetAside => "set-aside",
            Self::Replay => "replay",
            Self::Health => "health",
            Self::Unknown => "unknown",
        }
    }

    /// The methods that the route takes, as the `Allow` header of a 405 lists them.
    #[must_use]
    pub fn allowed_methods(self) -> &'static str {
        match self {
            Self::Event(_) | Self::Batch | Self::Webhook | Self::LibraryMetrics | Self::Replay => {
                "POST, OPTIONS"
            }
            Self::SetAside => "GET, HEAD, DELETE, OPTIONS",
            Self::Pixel(_)
            | Self::Settings { .. }
            | Self::Library(_)
            | Self::Health
            | Self::Unknown => "GET, HEAD, OPTIONS",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_path_is_the_same_route() {
        for path in ["/v1/track", "/v1/t", "/track", "/t", "/v1/track/", "/t/"] {
            assert_eq!(Route::of(path, ""), Route::Event(EventType::Track), "{path}");
            assert_eq!(Route::of(path, "/x/y"), Route::Event(EventType::Track), "{path}");
            assert_eq!(Route::of(&format!("/x/y{path}"), "/x/y"), Route::Event(EventType::Track));
        }
        for path in ["/v1/batch", "/v1/b", "/v1/import", "/v1/import/", "/import"] {
            assert_eq!(Route::of(path, ""), Route::Batch, "{path}");
        }
        for path in [
            "",
            "/",
            "/v1",
            "/v1/",
            "/v2/track",
            "/v1track",
            "/x/yt",
            "/TRACK",
            "/v1//t",
            "/v1/v1/t",
            "/v1/projects//settings",
            "/v1/projects/a/b/settings",
        ] {
            assert_eq!(Route::of(path, "/x/y"), Route::Unknown, "{path}");
        }
    }

    #[test]
    fn settings_know_under_which_root_they_were_asked_for() {
        let settings = |path| Route::of(path, "/x");
        for (path, base) in [("/v1/projects/k/settings", ""), ("/x/v1/projects/k/settings/", "/x")]
        {
            assert_eq!(settings(path), Route::Settings { write_key: "k", base });
        }
        assert_eq!(Route::of("/analytics.js/v1/k/analytics.min.js", ""), Route::Library("k"));
    }
}
