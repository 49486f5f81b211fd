//! The Worker's settings: variables and secrets of its environment, read once.

mod origins;
mod patterns;

use std::fmt;
use std::ops::RangeInclusive;

use crate::destination::{Destination, Window};
use crate::librato::{self, Api, Librato};
use crate::measurement::MAX_NAME;
use crate::otlp::{self, Otlp, Profile};
use crate::secret::Secret;
use crate::segment::query::percent_decoded;
pub use origins::Origins;
pub use patterns::Patterns;

/// What stands in the environment under a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Setting {
    /// Nothing, or nothing that says anything.
    Missing,
    /// A text; of a number or a boolean in `wrangler.toml`, its text.
    Text(String),
    /// Something else, such as an array.
    Malformed,
}

impl From<Option<&str>> for Setting {
    fn from(text: Option<&str>) -> Self {
        text.map_or(Self::Missing, |text| Self::Text(text.to_owned()))
    }
}

/// Which destination there is (`DESTINATION`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Kind {
    #[default]
    Librato,
    Otlp,
}

/// What happens to an event outside the destination's time window (`LATE_EVENTS`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LateEvents {
    /// It is refused.
    #[default]
    Reject,
    /// It counts at the time of receipt.
    Now,
}

/// Whether the operator is shown the last events (`LIVE_EVENTS`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum LiveEvents {
    #[default]
    On,
    Off,
}

/// Everything that is set.
#[derive(Debug)]
pub struct Settings {
    /// Where measurements go; absent while one of its settings is.
    pub destination: Option<Box<dyn Destination>>,
    /// Accepted write keys.
    pub write_keys: Vec<Secret>,
    /// Browser origins that may send.
    pub allowed_origins: Origins,
    /// Scheme, host and path at which clients reach the Worker; `None` where that is the request's own URL.
    pub public_url: Option<String>,
    /// Metrics that may be created.
    pub allowed_events: Patterns,
    /// What happens outside the destination's time window.
    pub late_events: LateEvents,
    /// What is put before every metric's name.
    pub metric_prefix: String,
    /// Length of the intervals within which measurements become one, in seconds.
    pub rollup_seconds: u32,
    /// The prefix under which the routes exist as well: empty, or `/` and segments.
    pub path_prefix: String,
    /// The name of the library's file below that prefix, without `.js`, besides each write key.
    pub library_file: Option<String>,
    /// Categories that a visitor must have agreed to.
    pub consent_categories: Vec<String>,
    /// The shared secret of a Segment Webhooks destination; without it there is no such route.
    pub webhook_secret: Option<Secret>,
    /// Over how many objects the memory of seen events is spread.
    pub once_shards: u32,
    /// What an operator names to look at what was set aside; without it nobody can.
    pub operator_token: Option<Secret>,
    /// Whether the operator is shown the last events.
    pub live_events: bool,
    /// What is missing or malformed, by name.
    pub problems: Vec<Problem>,
}

/// A setting that is missing or malformed.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Problem {
    /// The setting.
    pub setting: &'static str,
    /// What was expected; never what was found.
    pub expected: &'static str,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}: expected {}", self.setting, self.expected)
    }
}

/// What a request needs to be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// What decides about events, with a write key.
    Events,
    /// The same of events that come without one.
    Webhook,
    /// What decides about a browser's origin.
    Origins,
    /// What a library is told about this Worker.
    Library,
    /// What an operator names.
    Operator,
}

impl Problem {
    /// Returns whether it stands in the way of such a request.
    #[must_use]
    pub fn concerns(&self, need: Need) -> bool {
        match self.setting {
            "WRITE_KEYS" => matches!(need, Need::Events | Need::Library),
            "WEBHOOK_SECRET" => need == Need::Webhook,
            "ALLOWED_ORIGINS" => need == Need::Origins,
            "PUBLIC_URL" => need == Need::Library,
            "OPERATOR_TOKEN" => need == Need::Operator,
            // The routes of the first two do not exist, and no other needs any of these.
            "PATH_PREFIX" | "LIBRARY_FILE" | "LIVE_EVENTS" => false,
            _ => matches!(need, Need::Events | Need::Webhook),
        }
    }
}

impl Settings {
    /// Reads all settings. Never fails: what is wrong is listed in [`Self::problems`].
    #[must_use]
    pub fn read(lookup: impl Fn(&str) -> Setting) -> Self {
        let mut reader = Reader { lookup, problems: Vec::new() };
        let rollup_seconds =
            reader.number("ROLLUP_SECONDS", "a whole number of seconds from 1 to 600", 1..=600).unwrap_or(1);
        let destination = reader.destination(rollup_seconds);
        let write_keys = reader.required("WRITE_KEYS", WRITE_KEYS, |text| !list(text).is_empty());
        let mut settings = Self {
            destination,
            write_keys: list(&write_keys.unwrap_or_default()).into_iter().map(Secret::new).collect(),
            allowed_origins: reader
                .read("ALLOWED_ORIGINS", origins::EXPECTED, |text| Origins::read(&list(text)))
                .unwrap_or_default(),
            public_url: reader.read("PUBLIC_URL", PUBLIC_URL, |text| is_base_url(text).then(|| base_url(text))),
            allowed_events: reader.list("ALLOWED_EVENTS", EVENTS).map(|names| Patterns::of(&names)).unwrap_or_default(),
            late_events: reader.choice(
                "LATE_EVENTS",
                "`reject` or `now`",
                &[("reject", LateEvents::Reject), ("now", LateEvents::Now)],
            ),
            metric_prefix: reader
                .read("METRIC_PREFIX", METRIC_PREFIX, |text| is_part_of_name(text).then(|| text.to_owned()))
                .unwrap_or_default(),
            rollup_seconds,
            path_prefix: reader.read("PATH_PREFIX", PREFIX, path_prefix).unwrap_or_default(),
            library_file: reader.read("LIBRARY_FILE", LIBRARY_FILE, |text| {
                let name = text.strip_suffix(".js")?;
                is_path_segment(name).then(|| name.to_owned())
            }),
            consent_categories: reader
                .list("CONSENT_CATEGORIES", "categories, separated by commas")
                .unwrap_or_default(),
            webhook_secret: reader.secret("WEBHOOK_SECRET"),
            once_shards: reader.number("ONCE_SHARDS", "a whole number from 1 to 1000", 1..=1_000).unwrap_or(1),
            operator_token: reader.secret("OPERATOR_TOKEN"),
            live_events: reader.choice(
                "LIVE_EVENTS",
                "`on` or `off`",
                &[("on", LiveEvents::On), ("off", LiveEvents::Off)],
            ) == LiveEvents::On,
            problems: Vec::new(),
        };
        settings.problems = reader.problems;
        if settings.problems.iter().any(|problem| problem.concerns(Need::Origins)) {
            settings.allowed_origins = Origins::none();
        }
        // Whoever meant to switch them off is not to be surprised.
        settings.live_events &= settings.problems.iter().all(|problem| problem.setting != "LIVE_EVENTS");
        settings
    }

    /// Returns the length that a metric's name may have, in characters.
    #[must_use]
    pub fn max_name(&self) -> usize {
        self.destination.as_ref().map_or(MAX_NAME, |destination| destination.max_name())
    }

    /// Returns scheme, host and path at which clients reach the routes: `PUBLIC_URL`, or the request's own `origin`,
    /// and `PATH_PREFIX` where they are to go on under it.
    #[must_use]
    pub fn root(&self, origin: &str, is_prefixed: bool) -> String {
        let root = self.public_url.as_deref().unwrap_or(origin);
        let prefix = if is_prefixed { self.path_prefix.as_str() } else { "" };
        format!("{root}{prefix}")
    }

    /// Returns whether a metric may be created: by its name, or by what it is without `METRIC_PREFIX`.
    #[must_use]
    pub fn allows(&self, metric: &str) -> bool {
        let event = metric.strip_prefix(self.metric_prefix.as_str());
        [Some(metric), event].into_iter().flatten().any(|name| self.allowed_events.allow(name))
    }

    /// Returns the age of what is taken. While no destination is set, that of the most patient one.
    #[must_use]
    pub fn window(&self) -> Window {
        self.destination.as_ref().map_or(librato::WINDOW, |destination| destination.window())
    }

    /// Returns the write key of a library's file: its name, or by the name that the operator chose the first one.
    #[must_use]
    pub fn library_key<'s>(&'s self, file: &'s str) -> Option<&'s str> {
        if self.knows(file) {
            return Some(file);
        }
        let is_chosen = self.library_file.as_deref() == Some(file);
        self.write_keys.first().filter(|_| is_chosen).map(Secret::expose)
    }

    /// Returns whether a write key is accepted.
    #[must_use]
    pub fn knows(&self, write_key: &str) -> bool {
        self.write_keys.iter().any(|known| known.expose() == write_key)
    }
}

const EMAIL: &str = "the e-mail address of the Librato account, which holds no `:`";
const TOKEN: &str = "the API token of the Librato account";
const URL: &str = "the base URL of a Librato-compatible API, such as `https://librato.example.com`, \
                   without credentials, query or fragment";
const OTLP_URL: &str = "the whole URL of an OTLP endpoint for metrics, such as \
                        `https://otlp.example.com/v1/metrics`, without credentials or fragment";
const OTLP_HEADERS: &str = "headers as `Name=value`, separated by commas, the values \
                            percent-encoded";
const EVENTS: &str = "names of metrics, separated by commas, in which `*` matches any characters";
const WRITE_KEYS: &str = "one Segment write key or more, separated by commas";
/// Librato aggregates over at least 10 and at most 600 seconds (Librato knowledge base, service-side aggregation).
const PERIOD: &str = "a whole number of seconds from 10 to 600, or `off`";
const PUBLIC_URL: &str = "the URL at which clients reach the Worker, such as \
                          `https://www.example.com/collect`, without credentials, query or fragment";
const METRIC_PREFIX: &str = "at most 100 of the characters `A-Z a-z 0-9 . : _ -`";
const COUNT_SUFFIX: &str = "at most 100 of the characters `A-Z a-z 0-9 . : _ -`, or `off`";
const SECRET: &str = "a text";
const LIBRARY_FILE: &str = "the name of a file such as `shop.js`, of letters, digits and `-._~`";
const PREFIX: &str = "a path such as `/collect`, of letters, digits and `-._~/`";

struct Reader<F> {
    lookup: F,
    problems: Vec<Problem>,
}

impl<F: Fn(&str) -> Setting> Reader<F> {
    /// Where measurements go (`DESTINATION`): the one place that knows which destinations there are.
    fn destination(&mut self, rollup_seconds: u32) -> Option<Box<dyn Destination>> {
        let choices = [("librato", Kind::Librato), ("otlp", Kind::Otlp)];
        match self.choice("DESTINATION", "`librato` or `otlp`", &choices) {
            Kind::Librato => Some(Box::new(self.librato()?)),
            Kind::Otlp => Some(Box::new(self.otlp(rollup_seconds)?)),
        }
    }

    /// The OTLP endpoint.
    fn otlp(&mut self, rollup_seconds: u32) -> Option<Otlp> {
        let url = self.required("OTLP_URL", OTLP_URL, is_whole_url);
        let headers = match self.text("OTLP_HEADERS", OTLP_HEADERS) {
            Some(text) => header_list(&text),
            None => Some(Vec::new()),
        };
        if headers.is_none() {
            self.miss("OTLP_HEADERS", OTLP_HEADERS);
        }
        let count_suffix = match self.text("OTLP_COUNT_SUFFIX", COUNT_SUFFIX).as_deref() {
            Some("off") => None,
            Some(suffix) if is_part_of_name(suffix) => Some(suffix.to_owned()),
            Some(_) => {
                self.miss("OTLP_COUNT_SUFFIX", COUNT_SUFFIX);
                None
            }
            None => Some(otlp::COUNT_SUFFIX.to_owned()),
        };
        let profile = self.choice(
            "OTLP_PROFILE",
            "`delta`, `monotonic` or `gauge`",
            &[("delta", Profile::Delta), ("monotonic", Profile::Monotonic), ("gauge", Profile::Gauge)],
        );
        Some(Otlp::new(url?, headers?, otlp::Options { profile, count_suffix, interval: rollup_seconds }))
    }

    /// The account at Librato, or at what speaks its API.
    fn librato(&mut self) -> Option<Librato> {
        let api = self.choice(
            "LIBRATO_API",
            "`metrics` or `measurements`",
            &[("metrics", Api::Metrics), ("measurements", Api::Measurements)],
        );
        let email = self.required("LIBRATO_EMAIL", EMAIL, |text| !text.contains(':'));
        let token = self.required("LIBRATO_TOKEN", TOKEN, |_| true);
        let url = self.required("LIBRATO_URL", URL, is_base_url);
        let period = match self.text("METRIC_PERIOD", PERIOD).as_deref() {
            Some("off") => None,
            Some(_) => self.number("METRIC_PERIOD", PERIOD, 10..=600),
            None => Some(60),
        };
        let (email, token) = (Secret::new(email?), Secret::new(token?));
        Some(Librato::new(&base_url(&url?), email, token, api, period))
    }

    /// Notes that a setting is missing or malformed.
    fn miss(&mut self, setting: &'static str, expected: &'static str) {
        self.problems.push(Problem { setting, expected });
    }

    /// Returns a setting's text. What is empty counts as unset.
    fn text(&mut self, setting: &'static str, expected: &'static str) -> Option<String> {
        match (self.lookup)(setting) {
            Setting::Text(text) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
            Setting::Missing => None,
            Setting::Malformed => {
                self.miss(setting, expected);
                None
            }
        }
    }

    fn secret(&mut self, setting: &'static str) -> Option<Secret> {
        self.text(setting, SECRET).map(Secret::new)
    }

    /// Returns what `read` makes of a setting's text, where there is one; `None` from it means that it is malformed.
    fn read<T>(
        &mut self,
        setting: &'static str,
        expected: &'static str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let value = read(&self.text(setting, expected)?);
        if value.is_none() {
            self.miss(setting, expected);
        }
        value
    }

    fn required(&mut self, setting: &'static str, expected: &'static str, is_good: fn(&str) -> bool) -> Option<String> {
        let text = match (self.lookup)(setting) {
            Setting::Text(text) => Some(text.trim().to_owned()),
            Setting::Missing | Setting::Malformed => None,
        };
        let is_good = |text: &String| !text.is_empty() && is_good(text) && !text.chars().any(char::is_control);
        let text = text.filter(is_good);
        if text.is_none() {
            self.miss(setting, expected);
        }
        text
    }

    fn choice<T: Copy + Default>(&mut self, setting: &'static str, expected: &'static str, choices: &[(&str, T)]) -> T {
        let choice = |text: &str| choices.iter().find(|(name, _)| *name == text);
        self.read(setting, expected, choice).map(|(_, choice)| *choice).unwrap_or_default()
    }

    fn number(&mut self, setting: &'static str, expected: &'static str, range: RangeInclusive<u32>) -> Option<u32> {
        self.read(setting, expected, |text| text.parse().ok().filter(|number| range.contains(number)))
    }

    /// Returns a list of at least one item.
    fn list(&mut self, setting: &'static str, expected: &'static str) -> Option<Vec<String>> {
        self.read(setting, expected, |text| Some(list(text)).filter(|items| !items.is_empty()))
    }
}

/// Returns a path in one form: a slash, and segments.
fn path_prefix(text: &str) -> Option<String> {
    let path = text.trim_matches('/');
    path.split('/').all(is_path_segment).then(|| format!("/{path}"))
}

/// Returns whether a text may be a part of a path as it is.
pub(crate) fn is_path_segment(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~".contains(&b))
}

fn list(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect()
}

/// Returns whether a text may be a part of a metric's name, and leaves room for the rest.
fn is_part_of_name(text: &str) -> bool {
    text.len() <= 100 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b".:_-".contains(&b))
}

/// A URL with a path, and with a query if need be.
fn is_whole_url(text: &str) -> bool {
    let (url, query) = text.split_once('?').unwrap_or((text, ""));
    let path = url.split_once("://").and_then(|(_, rest)| rest.split_once('/'));
    is_base_url(url) && path.is_some() && is_in_url(query)
}

fn is_base_url(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    rest.is_some_and(|rest| {
        let has_host = !matches!(rest.as_bytes(), [] | [b'/' | b':', ..]);
        has_host && !rest.contains(['@', '?']) && is_in_url(rest)
    })
}

/// What may stand in a URL as it is, without a fragment.
fn is_in_url(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic() && !b"#\\\"<>^`{|}".contains(&byte))
}

/// Returns whether a text may be the name of a header (RFC 9110, "Tokens").
pub(crate) fn is_header_name(name: &str) -> bool {
    let is_part = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    !name.is_empty() && name.bytes().all(is_part)
}

/// Headers in the form of `OTEL_EXPORTER_OTLP_HEADERS` (OpenTelemetry, "Protocol Exporter"): W3C Baggage without
/// properties. `None` when it is none, or when a header could not be sent.
fn header_list(text: &str) -> Option<Vec<(String, Secret)>> {
    let is_value = |value: &str| value.bytes().all(|byte| matches!(byte, b'\t' | b' '..=b'~'));
    let mut headers = Vec::new();
    for pair in list(text) {
        let (name, value) = pair.split_once('=')?;
        let (name, value) = (name.trim(), percent_decoded(value.trim(), b'+')?);
        if !is_header_name(name) || !is_value(&value) {
            return None;
        }
        headers.push((name.to_owned(), Secret::new(value)));
    }
    Some(headers)
}

fn base_url(text: &str) -> String {
    let text = text.trim_end_matches('/');
    text.strip_suffix("/v1").unwrap_or(text).trim_end_matches('/').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Settings {
        let base = [
            ("LIBRATO_EMAIL", "a@example.com"),
            ("LIBRATO_TOKEN", "hunter2"),
            ("LIBRATO_URL", "https://librato.example.com/v1/"),
            ("WRITE_KEYS", "one, two,"),
        ];
        Settings::read(|name| {
            let mut all = pairs.iter().chain(&base);
            all.find(|(key, _)| *key == name).map(|(_, value)| *value).into()
        })
    }

    #[test]
    fn defaults() {
        let settings = read(&[]);
        assert_eq!(settings.problems, []);
        let endpoint = settings.destination.as_ref().unwrap().endpoint();
        assert_eq!(endpoint.url, "https://librato.example.com/v1/metrics");
        assert!(settings.knows("one") && settings.knows("two") && !settings.knows(""));
        assert!(settings.allowed_events.allow("anything"));
        assert_eq!(settings.rollup_seconds, 1);
    }

    #[test]
    fn each_malformed_setting_is_named_and_its_value_is_not() {
        for (setting, value) in [
            ("LIBRATO_EMAIL", ""),
            ("LIBRATO_EMAIL", "a:b"),
            ("LIBRATO_TOKEN", " "),
            ("LIBRATO_TOKEN", "hunter\n2"),
            ("LIBRATO_URL", "librato.example.com"),
            ("LIBRATO_URL", "https://user:hunter2@librato.example.com"),
            ("LIBRATO_URL", "https:///v1"),
            ("LIBRATO_URL", "https://librato.example.com/?a=b"),
            ("LIBRATO_API", "metric"),
            ("WRITE_KEYS", ","),
            ("LATE_EVENTS", "never"),
            ("ROLLUP_SECONDS", "0"),
            ("ROLLUP_SECONDS", "601"),
            ("ROLLUP_SECONDS", "1.5"),
            ("METRIC_PERIOD", "9"),
            ("METRIC_PERIOD", "on"),
            ("PATH_PREFIX", "/a b"),
            ("PATH_PREFIX", "/a//b"),
            ("ALLOWED_ORIGINS", ","),
            ("ALLOWED_ORIGINS", "shop.example"),
            ("ALLOWED_ORIGINS", "https://a.example, https://host/path"),
            ("ALLOWED_EVENTS", ","),
            ("CONSENT_CATEGORIES", ","),
            ("LIVE_EVENTS", "no"),
        ] {
            let settings = read(&[(setting, value)]);
            let names: Vec<_> = settings.problems.iter().map(|problem| problem.setting).collect();
            assert_eq!(names, [setting], "{value:?}");
            assert!(!format!("{settings:?}").contains("hunter2"));
        }
    }

    fn read_otlp(pairs: &[(&str, &str)]) -> Settings {
        let base =
            [("DESTINATION", "otlp"), ("OTLP_URL", "https://otlp.example.com/v1/metrics"), ("WRITE_KEYS", "one")];
        Settings::read(|name| {
            let mut all = pairs.iter().chain(&base);
            all.find(|(key, _)| *key == name).map(|(_, value)| *value).into()
        })
    }

    #[test]
    fn otlp_needs_its_own_settings_and_none_of_libratos() {
        assert_eq!(read_otlp(&[]).problems, []);
        assert_eq!(read_otlp(&[("LIBRATO_API", "none"), ("METRIC_PERIOD", "1")]).problems, []);
        for (setting, value) in [
            ("OTLP_URL", ""),
            ("OTLP_URL", "https://otlp.example.com"),
            ("OTLP_URL", "otlp.example.com/v1/metrics"),
            ("OTLP_URL", "https://user:hunter2@otlp.example.com/v1/metrics"),
            ("OTLP_URL", "https://otlp.example.com/v1/metrics#hunter2"),
            ("OTLP_URL", "https://otlp.example.com/v1/metrics?a b"),
            ("OTLP_HEADERS", "hunter2"),
            ("OTLP_HEADERS", "=hunter2"),
            ("OTLP_HEADERS", "a=b,hunter2"),
            ("OTLP_HEADERS", "a b=hunter2"),
            ("OTLP_HEADERS", "a=hunter2%"),
            ("OTLP_HEADERS", "a=hunter2%+1"),
            ("OTLP_HEADERS", "a=hunter2%0a"),
            ("OTLP_HEADERS", "a=hunter2%ff"),
            ("OTLP_HEADERS", "a=hünter2"),
            ("OTLP_PROFILE", "cumulative"),
        ] {
            let settings = read_otlp(&[(setting, value)]);
            let names: Vec<_> = settings.problems.iter().map(|problem| problem.setting).collect();
            assert_eq!(names, [setting], "{value:?}");
            assert!(!format!("{settings:?}").contains("hunter2"), "{settings:?}");
        }
        let names = |settings: Settings| settings.problems.iter().map(|p| p.setting).collect();
        let neither: Vec<_> = names(read(&[("DESTINATION", "hunter2")]));
        assert_eq!(neither, ["DESTINATION"]);
    }

    #[test]
    fn headers_are_written_as_for_opentelemetrys_own_exporters() {
        for (text, expected) in [
            ("api-key=abc", vec![("api-key", "abc")]),
            (
                "Authorization=Basic%20dXNlcjp0b2tlbg==, X-Scope-OrgID = 7 ,",
                vec![("Authorization", "Basic dXNlcjp0b2tlbg=="), ("X-Scope-OrgID", "7")],
            ),
            ("a=1%2C2%3D3,b=c=d,e=", vec![("a", "1,2=3"), ("b", "c=d"), ("e", "")]),
            ("Authorization=Bearer x+y", vec![("Authorization", "Bearer x+y")]),
            ("", vec![]),
        ] {
            let settings = read_otlp(&[("OTLP_HEADERS", text)]);
            let endpoint = settings.destination.as_ref().unwrap().endpoint();
            let found: Vec<_> = endpoint
                .headers
                .iter()
                .map(|(name, value)| (name.as_str(), value.expose()))
                .filter(|(name, _)| *name != "User-Agent")
                .collect();
            assert_eq!(found, expected, "{text:?}");
            assert_eq!(endpoint.url, "https://otlp.example.com/v1/metrics");
        }
    }

    #[test]
    fn patterns_match_whole_names_in_any_case() {
        for (patterns, name, allowed) in [
            ("*", "x", true),
            ("Order*", "order-completed", true),
            ("Order Completed", "Order-Completed", true),
            ("Order", "Order-Completed", false),
            ("*-Page, Signed*Up", "Viewed-Home-Page", true),
            ("*-Page, Signed*Up", "Signed-Up", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("", "x", true),
        ] {
            assert_eq!(read(&[("ALLOWED_EVENTS", patterns)]).allowed_events.allow(name), allowed, "{patterns} {name}");
        }
    }

    #[test]
    fn a_prefix_is_brought_into_one_form() {
        assert_eq!(read(&[("PATH_PREFIX", "a/b/")]).path_prefix, "/a/b");
        assert_eq!(read(&[("PATH_PREFIX", "/")]).problems.len(), 1);
    }
}
