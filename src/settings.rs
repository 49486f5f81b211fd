//! The Worker's settings: variables and secrets of its environment, read once.
use std::fmt;

use sha1::{Digest, Sha1};

use crate::destination::{Destination, Window};
use crate::librato::{self, Librato};
use crate::mapping::name;
use crate::otlp::{Otlp, Profile};
use crate::text::{
    concat, is_one_of, join, percent_decoded, read_whole, split, split_once, without_slashes,
};

/// A value that must never be printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Keeps a value.
    #[must_use]
    pub fn new(value: String) -> Self {
        Self(value)
    }

    /// The value itself, for the one place that sends or compares it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether a text is this secret. How long that takes tells nothing about where they differ: digests
    /// are compared.
    #[must_use]
    pub fn is(&self, text: &str) -> bool {
        Sha1::digest(&self.0) == Sha1::digest(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Which destination there is (`DESTINATION`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Kind {
    #[default]
    Librato,
    Otlp,
}

/// Which of Librato's two APIs is spoken (`LIBRATO_API`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Api {
    /// Source-based gauges, `POST /v1/metrics`.
    #[default]
    Metrics,
    /// Tagged measurements, `POST /v1/measurements`.
    Measurements,
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

/// A list of names in which `*` matches any run of characters, whatever the case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Patterns(Vec<String>);

impl Patterns {
    /// Whether one of the patterns matches the whole name.
    #[must_use]
    pub fn allow(&self, name: &str) -> bool {
        self.0.iter().any(|pattern| pattern == "*" || matches(pattern.as_bytes(), name.as_bytes()))
    }
}

/// Matches in linear space and at worst quadratic time: on a mismatch the last star takes one more.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while n < name.len() {
        match (pattern.get(p), name.get(n)) {
            (Some(b'*'), _) => {
                retry = Some((p + 1, n));
                p += 1;
            }
            (Some(wanted), Some(found)) if wanted.eq_ignore_ascii_case(found) => {
                p += 1;
                n += 1;
            }
            _ => match retry {
                Some((after_star, taken)) => {
                    retry = Some((after_star, taken + 1));
                    (p, n) = (after_star, taken + 1);
                }
                None => return false,
            },
        }
    }
    pattern.get(p..).is_some_and(|rest| rest.iter().all(|byte| *byte == b'*'))
}

/// Everything that is set.
#[derive(Debug)]
pub struct Settings {
    /// Where measurements go; absent while one of its settings is.
    pub destination: Option<Box<dyn Destination>>,
    /// Accepted write keys.
    pub write_keys: Vec<Secret>,
    /// Browser origins that may send; empty means any.
    pub allowed_origins: Vec<String>,
    /// Metrics that may be created.
    pub allowed_events: Patterns,
    /// What happens outside the destination's time window.
    pub late_events: LateEvents,
    /// Length of the intervals within which measurements become one, in seconds.
    pub rollup_seconds: u32,
    /// The prefix under which the routes exist as well: empty, or `/` and segments.
    pub path_prefix: String,
    /// Categories that a visitor must have agreed to.
    pub consent_categories: Vec<String>,
    /// The shared secret of a Segment Webhooks destination; without it there is no such route.
    pub webhook_secret: Option<Secret>,
    /// Over how many objects the memory of seen events is spread.
    pub once_shards: u32,
    /// What an operator names to look at what was set aside; without it nobody can.
    pub operator_token: Option<Secret>,
    /// What is missing or malformed, by name.
    pub problems: Vec<Problem>,
}

/// A setting that is missing or malformed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The setting.
    pub setting: &'static str,
    /// What was expected; never what was found.
    pub expected: &'static str,
}

impl Problem {
    /// Both in words.
    #[must_use]
    pub fn text(&self) -> String {
        concat(&[self.setting, ": expected ", self.expected])
    }
}

impl Settings {
    /// Reads all settings. Never fails: what is wrong is listed in [`Self::problems`].
    #[must_use]
    pub fn read(lookup: impl Fn(&str) -> Option<String>) -> Self {
        let mut reader = Reader { lookup, problems: Vec::new() };
        let rollup_seconds = reader
            .number("ROLLUP_SECONDS", "a whole number of seconds from 1 to 600", 1..=600)
            .unwrap_or(1);
        let destination = reader.destination(rollup_seconds);
        let write_keys = reader.required("WRITE_KEYS", WRITE_KEYS, |text| !list(text).is_empty());
        let any_origin = |origins: &[String]| origins.iter().any(|origin| origin == "*");
        let mut settings = Self {
            destination,
            write_keys: list(&write_keys.unwrap_or_default()).into_iter().map(Secret).collect(),
            allowed_origins: reader
                .list("ALLOWED_ORIGINS", ORIGINS, is_origin)
                .filter(|origins| !any_origin(origins))
                .unwrap_or_default(),
            allowed_events: Patterns(
                reader
                    .list("ALLOWED_EVENTS", EVENTS, |_| true)
                    .map_or_else(|| vec!["*".into()], |names| patterns(&names)),
            ),
            late_events: reader.choice(
                "LATE_EVENTS",
                "`reject` or `now`",
                &[("reject", LateEvents::Reject), ("now", LateEvents::Now)],
            ),
            rollup_seconds,
            path_prefix: reader.prefix(),
            consent_categories: reader
                .list("CONSENT_CATEGORIES", "categories, separated by commas", |_| true)
                .unwrap_or_default(),
            webhook_secret: reader.text("WEBHOOK_SECRET").map(Secret),
            once_shards: reader
                .number("ONCE_SHARDS", "a whole number from 1 to 1000", 1..=1_000)
                .unwrap_or(1),
            operator_token: reader.text("OPERATOR_TOKEN").map(Secret),
            problems: Vec::new(),
        };
        settings.problems = reader.problems;
        settings
    }

    /// The age of what is taken. While no destination is set, that of the most patient one.
    #[must_use]
    pub fn window(&self) -> Window {
        self.destination.as_ref().map_or(librato::WINDOW, |destination| destination.window())
    }

    /// Whether a write key is accepted.
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
const ORIGINS: &str = "`*`, or origins such as `https://www.example.com`, separated by commas";
const EVENTS: &str = "names of metrics, separated by commas, in which `*` matches any characters";
const WRITE_KEYS: &str = "one Segment write key or more, separated by commas";
/// Librato aggregates over at least 10 and at most 600 seconds (Librato knowledge base,
/// service-side aggregation).
const PERIOD: &str = "a whole number of seconds from 10 to 600, or `off`";
const PREFIX: &str = "a path such as `/collect`, of letters, digits and `-._~/`";

struct Reader<F> {
    lookup: F,
    problems: Vec<Problem>,
}

impl<F: Fn(&str) -> Option<String>> Reader<F> {
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
        let headers = match self.text("OTLP_HEADERS") {
            Some(text) => header_list(&text),
            None => Some(Vec::new()),
        };
        if headers.is_none() {
            self.miss("OTLP_HEADERS", OTLP_HEADERS);
        }
        let profile = self.choice(
            "OTLP_PROFILE",
            "`delta`, `monotonic` or `gauge`",
            &[
                ("delta", Profile::Delta),
                ("monotonic", Profile::Monotonic),
                ("gauge", Profile::Gauge),
            ],
        );
        Some(Otlp::new(url?, headers?, profile, rollup_seconds))
    }

    /// The account at Librato, or at what speaks its API.
    fn librato(&mut self) -> Option<Librato> {
        let api = self.choice(
            "LIBRATO_API",
            "`metrics` or `measurements`",
            &[("metrics", Api::Metrics), ("measurements", Api::Measurements)],
        );
        let email = self.required("LIBRATO_EMAIL", EMAIL, |text| !has_any(text, ":"));
        let token = self.required("LIBRATO_TOKEN", TOKEN, |_| true);
        let url = self.required("LIBRATO_URL", URL, is_base_url);
        let period = match self.text("METRIC_PERIOD").as_deref() {
            Some("off") => None,
            Some(_) => self.number("METRIC_PERIOD", PERIOD, 10..=600),
            None => Some(60),
        };
        let (email, token) = (Secret(email?), Secret(token?));
        Some(Librato::new(&base_url(&url?), email, token, api, period))
    }

    /// A setting is missing or malformed.
    fn miss(&mut self, setting: &'static str, expected: &'static str) {
        self.problems.push(Problem { setting, expected });
    }

    /// A setting's text. What is empty counts as unset.
    fn text(&self, setting: &str) -> Option<String> {
        let text = (self.lookup)(setting)?;
        let text = text.trim();
        (!text.is_empty()).then(|| text.to_owned())
    }

    fn required(
        &mut self,
        setting: &'static str,
        expected: &'static str,
        is_good: fn(&str) -> bool,
    ) -> Option<String> {
        let text =
            self.text(setting).filter(|text| is_good(text) && !text.chars().any(char::is_control));
        if text.is_none() {
            self.miss(setting, expected);
        }
        text
    }

    fn choice<T: Copy + Default>(
        &mut self,
        setting: &'static str,
        expected: &'static str,
        choices: &[(&str, T)],
    ) -> T {
        let Some(text) = self.text(setting) else { return T::default() };
        let choice = choices.iter().find(|(name, _)| *name == text);
        if choice.is_none() {
            self.miss(setting, expected);
        }
        choice.map(|(_, choice)| *choice).unwrap_or_default()
    }

    fn number(
        &mut self,
        setting: &'static str,
        expected: &'static str,
        range: std::ops::RangeInclusive<u32>,
    ) -> Option<u32> {
        let number = read_whole(&self.text(setting)?).filter(|number| range.contains(number));
        if number.is_none() {
            self.miss(setting, expected);
        }
        number
    }

    /// A list of at least one good item.
    fn list(
        &mut self,
        setting: &'static str,
        expected: &'static str,
        is_good: fn(&str) -> bool,
    ) -> Option<Vec<String>> {
        let items = list(&self.text(setting)?);
        if !items.is_empty() && items.iter().all(|item| is_good(item)) {
            return Some(items);
        }
        self.miss(setting, expected);
        None
    }

    fn prefix(&mut self) -> String {
        let Some(text) = self.text("PATH_PREFIX") else { return String::new() };
        let mut path = without_slashes(&text);
        while let Some(shorter) = path.strip_prefix("/") {
            path = shorter;
        }
        let is_good = split(path, "/").all(|part| {
            !part.is_empty()
                && part.bytes().all(|b| b.is_ascii_alphanumeric() || is_one_of(b, "-._~"))
        });
        if is_good {
            return concat(&["/", path]);
        }
        self.miss("PATH_PREFIX", PREFIX);
        String::new()
    }
}

fn list(text: &str) -> Vec<String> {
    split(text, ",").map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect()
}

/// `ALLOWED_EVENTS` names metrics; an event's name is meant for its metric's.
fn patterns(names: &[String]) -> Vec<String> {
    names.iter().map(|pattern| join(split(pattern, "*").map(name::clean), "*")).collect()
}

fn has_any(text: &str, marks: &str) -> bool {
    text.bytes().any(|byte| is_one_of(byte, marks))
}

/// A star, `null` as pages without an origin send it, or scheme and host as browsers write them.
fn is_origin(text: &str) -> bool {
    let host = split_once(text, "://").map(|(_, rest)| without_slashes(rest));
    matches!(text, "*" | "null")
        || host.is_some_and(|host| !host.is_empty() && !has_any(host, "/?#@ *"))
}

/// A URL with a path, and with a query if need be.
fn is_whole_url(text: &str) -> bool {
    let (url, query) = split_once(text, "?").unwrap_or((text, ""));
    let path = split_once(url, "://").and_then(|(_, rest)| split_once(rest, "/"));
    is_base_url(url) && path.is_some() && is_in_url(query)
}

fn is_base_url(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    rest.is_some_and(|rest| {
        let has_host = !matches!(rest.as_bytes(), [] | [b'/' | b':', ..]);
        has_host && !has_any(rest, "@?") && is_in_url(rest)
    })
}

/// What may stand in a URL as it is, without a fragment.
fn is_in_url(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic() && !is_one_of(byte, "#\\\"<>^`{|}"))
}

/// Headers in the form of `OTEL_EXPORTER_OTLP_HEADERS` (OpenTelemetry, "Protocol Exporter"): W3C Baggage
/// without properties. `None` when it is none, or when a header could not be sent.
fn header_list(text: &str) -> Option<Vec<(String, Secret)>> {
    let is_name = |name: &str| {
        let is_part = |b: u8| b.is_ascii_alphanumeric() || is_one_of(b, "!#$%&'*+-.^_`|~");
        !name.is_empty() && name.bytes().all(is_part)
    };
    let is_value = |value: &str| value.bytes().all(|byte| matches!(byte, b'\t' | b' '..=b'~'));
    let mut headers = Vec::new();
    for pair in list(text) {
        let (name, value) = split_once(&pair, "=")?;
        let (name, value) = (name.trim(), percent_decoded(value.trim(), b'+')?);
        if !is_name(name) || !is_value(&value) {
            return None;
        }
        headers.push((name.to_owned(), Secret(value)));
    }
    Some(headers)
}

fn base_url(text: &str) -> String {
    let text = without_slashes(text);
    without_slashes(text.strip_suffix("/v1").unwrap_or(text)).to_owned()
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
            pairs
                .iter()
                .chain(&base)
                .find(|(key, _)| *key == name)
                .map(|(_, value)| (*value).into())
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
        ] {
            let settings = read(&[(setting, value)]);
            let names: Vec<_> = settings.problems.iter().map(|problem| problem.setting).collect();
            assert_eq!(names, [setting], "{value:?}");
            assert!(!format!("{settings:?}").contains("hunter2"));
        }
    }

    fn read_otlp(pairs: &[(&str, &str)]) -> Settings {
        let base = [
            ("DESTINATION", "otlp"),
            ("OTLP_URL", "https://otlp.example.com/v1/metrics"),
            ("WRITE_KEYS", "one"),
        ];
        Settings::read(|name| {
            let mut all = pairs.iter().chain(&base);
            all.find(|(key, _)| *key == name).map(|(_, value)| (*value).into())
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
            assert_eq!(
                read(&[("ALLOWED_EVENTS", patterns)]).allowed_events.allow(name),
                allowed,
                "{patterns} {name}"
            );
        }
    }

    #[test]
    fn a_prefix_is_brought_into_one_form() {
        assert_eq!(read(&[("PATH_PREFIX", "a/b/")]).path_prefix, "/a/b");
        assert_eq!(read(&[("PATH_PREFIX", "/")]).problems.len(), 1);
    }
}
