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

    /// The name of the type; that of a call which is not measured is not known.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Track => "track",
            Self::Page => "page",
            Self::Identify => "identify",
            Self::Other => "other",
        }
    }
}

fn segments(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|segment| !segment.is_empty())
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
    /// What Segment's libraries load first: where to send, for this write key.
    Settings {
        /// The write key of the path.
        write_key: &'a str,
        /// Whether the path begins with `PATH_PREFIX`: then the libraries are to go on under it.
        is_prefixed: bool,
    },
    /// What `RudderStack`'s libraries load first. The write key stands elsewhere.
    SourceConfig,
    /// analytics.js itself.
    Library {
        /// The write key, or the name of the file without `.js`.
        file: &'a str,
        /// Whether the path begins with `PATH_PREFIX`.
        is_prefixed: bool,
    },
    /// A part of analytics.js that it loads when it needs it, by the name of its file.
    LibraryChunk(&'a str),
    /// What was set aside, for the operator.
    SetAside,
    /// The same, to be sent again.
    Replay,
    /// Whether the Worker is set up.
    Health,
    /// The operator's page, and what it asks.
    Operator(Operator<'a>),
    /// Nothing of ours.
    Unknown,
}

/// The operator's page, and what it asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator<'a> {
    /// The page.
    Page,
    /// A file of it, by its name.
    File(&'a str),
    /// What `/health` tells, deeply.
    Health,
    /// Figures by time.
    Flow,
    /// What was delivered in the last day.
    Metrics,
    /// The last events.
    Live,
    /// What was set aside, chosen by reason or text.
    Letters,
    /// The same, by reason.
    Groups,
    /// Some of it is to be sent again.
    Replay,
    /// Some of it is to be forgotten.
    Delete,
    /// All figures, for Prometheus.
    Prometheus,
}

impl<'a> Operator<'a> {
    fn of(path: &[&'a str]) -> Option<Self> {
        Some(match *path {
            [] => Self::Page,
            ["assets", file] => Self::File(file),
            ["metrics"] => Self::Prometheus,
            ["api", "health"] => Self::Health,
            ["api", "flow"] => Self::Flow,
            ["api", "metrics"] => Self::Metrics,
            ["api", "live"] => Self::Live,
            ["api", "set-aside"] => Self::Letters,
            ["api", "set-aside", "groups"] => Self::Groups,
            ["api", "set-aside", "replay"] => Self::Replay,
            ["api", "set-aside", "delete"] => Self::Delete,
            _ => return None,
        })
    }
}

impl<'a> Route<'a> {
    /// Finds the route of a path.
    ///
    /// Clients put paths together from what people tell them, who disagree about slashes and about `/v1`: repeated
    /// slashes are one, one at the end is none, and `/v1` may be missing or come again. `prefix` is `PATH_PREFIX`: the
    /// same routes exist under it as well.
    #[must_use]
    pub fn of(path: &'a str, prefix: &str) -> Self {
        let all: Vec<&str> = segments(path).collect();
        let behind = segments(prefix).count();
        let is_prefixed = behind > 0 && segments(prefix).eq(all.iter().copied().take(behind));
        let mut rest = all.get(if is_prefixed { behind } else { 0 }..).unwrap_or_default();
        while let ["v1", behind @ ..] = rest {
            rest = behind;
            if rest.is_empty() {
                // React Native's `proxy` is a whole URL, to which batches are posted.
                return Self::Batch;
            }
        }
        match *rest {
            ["projects", write_key, "settings"] => Self::Settings { write_key, is_prefixed },
            ["analytics.js", "v1", file, "analytics.min.js"] => Self::Library { file, is_prefixed },
            ["analytics-next", "bundles", file] => Self::LibraryChunk(file),
            ["sourceConfig"] => Self::SourceConfig,
            ["pixel", name] | ["pixel", "v1", name] => EventType::named(name).map_or(Self::Unknown, Self::Pixel),
            ["webhooks", "segment"] => Self::Webhook,
            ["track" | "t"] => Self::Event(EventType::Track),
            ["page" | "p"] => Self::Event(EventType::Page),
            ["identify" | "i"] => Self::Event(EventType::Identify),
            ["group" | "g" | "alias" | "a" | "screen" | "s"] => Self::Event(EventType::Other),
            // The last is where RudderStack's library sends what a closing page leaves.
            ["batch" | "b" | "import"] | ["beacon", "v1", "batch"] => Self::Batch,
            ["m"] => Self::LibraryMetrics,
            ["set-aside"] => Self::SetAside,
            ["set-aside", "replay"] => Self::Replay,
            ["health"] => Self::Health,
            ["operator", ref path @ ..] => Operator::of(path).map_or(Self::Unknown, Self::Operator),
            // A name that no filter knows, for the library of sites that have a prefix of their own.
            [name] if is_prefixed => match name.strip_suffix(".js") {
                Some(file) => Self::Library { file, is_prefixed },
                None => Self::Unknown,
            },
            _ => Self::Unknown,
        }
    }

    /// Returns what logs call the route. A path may hold a write key or anything else; this does not.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Event(event_type) => event_type.as_str(),
            Self::Batch => "batch",
            Self::Pixel(_) => "pixel",
            Self::Webhook => "webhook",
            Self::LibraryMetrics => "library-metrics",
            Self::Settings { .. } => "settings",
            Self::SourceConfig => "source-config",
            Self::Library { .. } => "library",
            Self::LibraryChunk(_) => "library-chunk",
            Self::SetAside => "set-aside",
            Self::Replay => "replay",
            Self::Health => "health",
            Self::Operator(_) => "operator",
            Self::Unknown => "unknown",
        }
    }

    /// Returns the methods that the route takes, as the `Allow` header of a 405 lists them.
    #[must_use]
    pub fn allowed_methods(self) -> &'static str {
        match self {
            Self::Event(_)
            | Self::LibraryMetrics
            | Self::Replay
            | Self::Operator(Operator::Replay | Operator::Delete) => "POST, OPTIONS",
            // Webhook destinations let their users choose.
            Self::Batch | Self::Webhook => "POST, PUT, PATCH, OPTIONS",
            Self::SetAside => "GET, HEAD, DELETE, OPTIONS",
            Self::Pixel(_)
            | Self::Settings { .. }
            | Self::SourceConfig
            | Self::Library { .. }
            | Self::LibraryChunk(_)
            | Self::Health
            | Self::Operator(_)
            | Self::Unknown => "GET, HEAD, OPTIONS",
        }
    }

    /// Returns whether the route takes events.
    #[must_use]
    pub fn takes_events(self) -> bool {
        matches!(self, Self::Event(_) | Self::Batch | Self::Pixel(_) | Self::Webhook)
    }

    /// Returns whether the route takes a method. `has_data` tells that an event stands in the query, as the classic
    /// library sends it where it cannot post.
    #[must_use]
    pub fn takes(self, method: &str, has_data: bool) -> bool {
        match self {
            Self::Event(_) if has_data => matches!(method, "GET" | "HEAD"),
            _ => self.allowed_methods().split(", ").any(|allowed| allowed == method),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_path_is_the_same_route() {
        for path in [
            "/v1/track",
            "/v1/t",
            "/track",
            "/t",
            "/v1/track/",
            "/t/",
            "//t",
            "/v1//t",
            "//v1/t",
            "/v1/v1/t",
            "/v1/v1//t//",
            "/v1/v1/v1/track",
        ] {
            assert_eq!(Route::of(path, ""), Route::Event(EventType::Track), "{path}");
            assert_eq!(Route::of(path, "/x/y"), Route::Event(EventType::Track), "{path}");
            assert_eq!(Route::of(&format!("/x/y{path}"), "/x/y"), Route::Event(EventType::Track));
            assert_eq!(Route::of(&format!("//x//y{path}"), "/x/y"), Route::Event(EventType::Track));
        }
        for path in [
            "/v1/batch",
            "/v1/b",
            "/v1/import",
            "/v1/import/",
            "/import",
            "//v1/batch",
            "/v1//b",
            "/v1/v1/batch",
            "/v1",
            "/v1/",
            "/v1/v1",
            "/x/y/v1",
            "/beacon/v1/batch",
            "/v1/beacon/v1/batch",
        ] {
            assert_eq!(Route::of(path, "/x/y"), Route::Batch, "{path}");
        }
        for path in ["/pixel/v1/track", "/v1/pixel/track", "/pixel/track", "/v1/pixel/v1/track"] {
            assert_eq!(Route::of(path, ""), Route::Pixel(EventType::Track), "{path}");
        }
        for path in ["/sourceConfig", "/sourceConfig/", "/v1/sourceConfig", "/x/y/sourceConfig"] {
            assert_eq!(Route::of(path, "/x/y"), Route::SourceConfig, "{path}");
        }
        for path in [
            "",
            "/",
            "/v2/track",
            "/v1track",
            "/x/yt",
            "/x/y",
            "/TRACK",
            "/v1/projects//settings",
            "/v1/projects/a/b/settings",
            "/k.js",
            "/x/k.js",
            "/x/y/a/k.js",
            "/x/y/k",
            "/pixel/delete",
            "/t/v1",
        ] {
            assert_eq!(Route::of(path, "/x/y"), Route::Unknown, "{path}");
        }
    }

    #[test]
    fn settings_know_under_which_root_they_were_asked_for() {
        for (path, is_prefixed) in [("/v1/projects/k/settings", false), ("/x/v1/projects/k/settings/", true)] {
            assert_eq!(Route::of(path, "/x"), Route::Settings { write_key: "k", is_prefixed });
        }
    }

    #[test]
    fn the_library_has_names_and_parts() {
        for (path, is_prefixed) in [
            ("/analytics.js/v1/k/analytics.min.js", false),
            ("/x/analytics.js/v1/k/analytics.min.js", true),
            ("/x/k.js", true),
        ] {
            let library = Route::Library { file: "k", is_prefixed };
            assert_eq!(Route::of(path, "/x"), library, "{path}");
        }
        for path in ["/analytics-next/bundles/a.js", "/x/analytics-next/bundles/a.js"] {
            assert_eq!(Route::of(path, "/x"), Route::LibraryChunk("a.js"), "{path}");
        }
    }

    #[test]
    fn methods_are_those_that_are_told() {
        for (route, method, has_data, takes) in [
            (Route::Batch, "POST", false, true),
            (Route::Batch, "PUT", false, true),
            (Route::Webhook, "PATCH", false, true),
            (Route::Batch, "GET", false, false),
            (Route::Event(EventType::Track), "GET", false, false),
            (Route::Event(EventType::Track), "GET", true, true),
            (Route::Event(EventType::Track), "POST", true, false),
            (Route::SetAside, "DELETE", false, true),
            (Route::Health, "HEAD", false, true),
            (Route::Health, "PROPFIND", false, false),
        ] {
            assert_eq!(route.takes(method, has_data), takes, "{route:?} {method}");
        }
    }
}
