//! The Worker's settings: variables and secrets of its environment, read once.

use std::fmt;

use sha1::{Digest, Sha1};

use crate::mapping::name;

/// A value that must never be printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
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

/// Which of Librato's two APIs is spoken (`LIBRATO_API`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Api {
    /// Source-based gauges, `POST /v1/metrics`.
    #[default]
    Metrics,
    /// Tagged measurements, `POST /v1/measurements`.
    Measurements,
}

/// What happens to an event outside Librato's time window (`LATE_EVENTS`).
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

/// The account at Librato, or at what speaks its API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Librato {
    /// Base URL, without a trailing slash and without `/v1`.
    pub url: String,
    /// The account's e-mail address: the user of HTTP Basic.
    pub email: Secret,
    /// The API token: the password.
    pub token: Secret,
    /// Which API.
    pub api: Api,
}

/// Everything that is set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Where measurements go; absent when one of the three settings is.
    pub librato: Option<Librato>,
    /// Accepted write keys.
    pub write_keys: Vec<Secret>,
    /// Browser origins that may send; empty means any.
    pub allowed_origins: Vec<String>,
    /// Metrics that may be created.
    pub allowed_events: Patterns,
    /// What happens outside Librato's time window.
    pub late_events: LateEvents,
    /// Length of the intervals within which measurements become one, in seconds.
    pub rollup_seconds: u32,
    /// The `period` of a gauge in seconds; `None` sends neither it nor the attributes.
    pub metric_period: Option<u32>,
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

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}: expected {}", self.setting, self.expected)
    }
}

impl Settings {
    /// Reads all settings. Never fails: what is wrong is listed in [`Self::problems`].
    #[must_use]
    pub fn read(lookup: impl Fn(&str) -> Option<String>) -> Self {
        let mut reader = Reader { lookup, problems: Vec::new() };
        let api = reader.choice(
            "LIBRATO_API",
            "`metrics` or `measurements`",
            &[("metrics", Api::Metrics), ("measurements", Api::Measurements)],
        );
        let email = reader.required("LIBRATO_EMAIL", EMAIL, |text| !text.contains(':'));
        let token = reader.required("LIBRATO_TOKEN", TOKEN, |_| true);
        let url = reader.required("LIBRATO_URL", URL, is_base_url);
        let write_keys = reader.required("WRITE_KEYS", WRITE_KEYS, |text| !list(text).is_empty());
        let any_origin = |origins: &[String]| origins.iter().any(|origin| origin == "*");
        let mut settings = Self {
            librato: email.zip(token).zip(url).map(|((email, token), url)| Librato {
                url: base_url(&url),
                email: Secret(email),
                token: Secret(token),
                api,
            }),
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
            rollup_seconds: reader
                .number("ROLLUP_SECONDS", "a whole number of seconds from 1 to 600", 1..=600)
                .unwrap_or(1),
            metric_period: match reader.text("METRIC_PERIOD").as_deref() {
                Some("off") => None,
                Some(_) => reader.number("METRIC_PERIOD", PERIOD, 10..=600),
                None => Some(60),
            },
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
        is_good: impl Fn(&str) -> bool,
    ) -> Option<String> {
        let text =
            self.text(setting).filter(|text| is_good(text) && !text.contains(char::is_control));
        if text.is_none() {
            self.problems.push(Problem { setting, expected });
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
        match choices.iter().find(|(name, _)| *name == text) {
            Some((_, choice)) => *choice,
            None => {
                self.problems.push(Problem { setting, expected });
                T::default()
            }
        }
    }

    fn number(
        &mut self,
        setting: &'static str,
        expected: &'static str,
        range: std::ops::RangeInclusive<u32>,
    ) -> Option<u32> {
        let number = self.text(setting)?.parse().ok().filter(|number| range.contains(number));
        if number.is_none() {
            self.problems.push(Problem { setting, expected });
        }
        number
    }

    /// A list of at least one good item.
    fn list(
        &mut self,
        setting: &'static str,
        expected: &'static str,
        is_good: impl Fn(&str) -> bool,
    ) -> Option<Vec<String>> {
        let items = list(&self.text(setting)?);
        if !items.is_empty() && items.iter().all(|item| is_good(item)) {
            return Some(items);
        }
        self.problems.push(Problem { setting, expected });
        None
    }

    fn prefix(&mut self) -> String {
        let Some(text) = self.text("PATH_PREFIX") else { return String::new() };
        let path = text.trim_matches('/');
        let is_good = path.split('/').all(|part| {
            !part.is_empty()
                && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~".contains(&b))
        });
        if is_good {
            return format!("/{path}");
        }
        self.problems.push(Problem { setting: "PATH_PREFIX", expected: PREFIX });
        String::new()
    }
}

fn list(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect()
}

/// `ALLOWED_EVENTS` names metrics; an event's name is meant for its metric's.
fn patterns(names: &[String]) -> Vec<String> {
    names
        .iter()
        .map(|pattern| pattern.split('*').map(name::clean).collect::<Vec<_>>().join("*"))
        .collect()
}

/// A star, `null` as pages without an origin send it, or scheme and host as browsers write them.
fn is_origin(text: &str) -> bool {
    let host = text.split_once("://").map(|(_, rest)| rest.trim_end_matches('/'));
    matches!(text, "*" | "null")
        || host
            .is_some_and(|host| !host.is_empty() && !host.contains(['/', '?', '#', '@', ' ', '*']))
}

fn is_base_url(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    rest.is_some_and(|rest| {
        let host = rest.split('/').next().unwrap_or_default();
        !host.is_empty()
            && !host.starts_with(':')
            && rest
                .bytes()
                .all(|byte| byte.is_ascii_graphic() && !b"@?#\\\"<>^`{|}".contains(&byte))
    })
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
        assert_eq!(settings.librato.as_ref().unwrap().url, "https://librato.example.com");
        assert!(settings.knows("one") && settings.knows("two") && !settings.knows(""));
        assert!(settings.allowed_events.allow("anything"));
        assert_eq!((settings.rollup_seconds, settings.metric_period), (1, Some(60)));
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
