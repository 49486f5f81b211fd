//! The browser origins that may send (`ALLOWED_ORIGINS`).

/// What was expected of the setting.
pub(super) const EXPECTED: &str = "`*`, or origins such as `https://www.example.com` or `https://*.example.com`, as \
                                   browsers send them (`xn--…` for other letters), `null` and `file://`, separated by \
                                   commas";

/// A list of origins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origins(Vec<Pattern>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Pattern {
    Any,
    /// As browsers write it, in lower case and without slashes at its end.
    Exact(String),
    /// One label or more before the host, under the same scheme and port.
    Subdomains {
        /// With its `://`.
        scheme: String,
        /// With the dot before it, and with a port that is not the scheme's own.
        host: String,
    },
}

impl Default for Origins {
    fn default() -> Self {
        Self(vec![Pattern::Any])
    }
}

impl Origins {
    /// Reads the items of a list; `None` where one is no origin, or where there are none.
    pub(super) fn read(items: &[String]) -> Option<Self> {
        let patterns: Option<Vec<_>> = items.iter().map(|item| Pattern::read(item)).collect();
        patterns.filter(|patterns| !patterns.is_empty()).map(Self)
    }

    /// Those of a list that cannot be read: which pages may send is not known, so none may.
    pub(super) fn none() -> Self {
        Self(Vec::new())
    }

    /// Returns whether pages of an origin may send. `origin` is what a browser sends as `Origin`.
    #[must_use]
    pub fn allow(&self, origin: &str) -> bool {
        let origin = normal(origin);
        self.0.iter().any(|pattern| pattern.matches(&origin))
    }
}

impl Pattern {
    fn read(text: &str) -> Option<Self> {
        match text {
            "*" => return Some(Self::Any),
            "null" | "file://" => return Some(Self::Exact(normal(text))),
            _ => {}
        }
        let text = normal(text);
        let (scheme, host) = text.split_once("://")?;
        let is_host = |host: &str| {
            // Browsers send the names of hosts in ASCII; what is not is never met.
            !host.is_empty()
                && host.is_ascii()
                && !host.starts_with(['.', ':'])
                && !host.contains(['/', '?', '#', '@', ' ', '*'])
        };
        if scheme.is_empty() {
            return None;
        }
        match host.strip_prefix("*.") {
            Some(host) => {
                is_host(host).then(|| Self::Subdomains { scheme: format!("{scheme}://"), host: format!(".{host}") })
            }
            None => is_host(host).then_some(Self::Exact(text)),
        }
    }

    /// Returns whether an origin in normal form is one of these.
    fn matches(&self, origin: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(exact) => exact == origin,
            Self::Subdomains { scheme, host } => origin
                .strip_prefix(scheme.as_str())
                .and_then(|rest| rest.strip_suffix(host.as_str()))
                .is_some_and(|labels| labels.split('.').all(is_label)),
        }
    }
}

/// Returns whether a text can be a part of a host's name.
fn is_label(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

/// Returns an origin in lower case and without slashes at its end, as people write them, and without its scheme's own
/// port, which browsers leave out.
fn normal(origin: &str) -> String {
    let mut origin = origin.trim_end_matches('/').to_ascii_lowercase();
    for (scheme, port) in [("https://", ":443"), ("http://", ":80")] {
        if origin.starts_with(scheme) && origin.ends_with(port) {
            origin.truncate(origin.len() - port.len());
        }
    }
    origin
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origins(text: &str) -> Option<Origins> {
        let items: Vec<_> = text.split(',').map(|item| item.trim().to_owned()).collect();
        Origins::read(&items)
    }

    #[test]
    fn a_star_stands_for_labels_and_for_nothing_else() {
        let list = "https://shop.example, https://*.shop.pages.dev, http://*.local:8080, file://, null";
        let origins = origins(list).unwrap();
        for (origin, is_allowed) in [
            ("https://shop.example", true),
            ("https://SHOP.example/", true),
            ("https://a.shop.pages.dev", true),
            ("https://a.b.shop.pages.dev", true),
            ("https://shop.pages.dev", false),
            ("https://evil-shop.pages.dev", false),
            ("https://.shop.pages.dev", false),
            ("https://a..shop.pages.dev", false),
            ("https://evil.example/.shop.pages.dev", false),
            ("https://evil@a.shop.pages.dev", false),
            ("http://a.shop.pages.dev", false),
            ("https://a.shop.pages.dev:8443", false),
            ("https://a.shop.pages.dev.evil.example", false),
            ("http://a.local:8080", true),
            ("http://a.local", false),
            ("file://", true),
            ("null", true),
            ("", false),
        ] {
            assert_eq!(origins.allow(origin), is_allowed, "{origin}");
        }
        assert!(Origins::default().allow("https://any.example"));
    }

    #[test]
    fn a_schemes_own_port_says_nothing() {
        let list = "https://a.example:443, http://b.example:80/, https://*.c.example:443, http://d.example:443";
        let origins = origins(list).unwrap();
        for (origin, is_allowed) in [
            ("https://a.example", true),
            ("https://a.example:443", true),
            ("http://b.example", true),
            ("https://x.c.example", true),
            ("http://d.example:443", true),
            ("http://d.example", false),
            ("https://a.example:4443", false),
            ("https://a.example:80", false),
            ("http://a.example", false),
        ] {
            assert_eq!(origins.allow(origin), is_allowed, "{origin}");
        }
        for origin in
            ["capacitor://localhost", "chrome-extension://abcdefghijklmnop", "tauri://localhost", "http://[::1]:8787"]
        {
            assert!(self::origins(origin).unwrap().allow(origin), "{origin}");
        }
    }

    #[test]
    fn what_is_no_origin_is_malformed() {
        for text in [
            "",
            "shop.example",
            "https://",
            "https://*",
            "https://*.",
            "https://a.*.example",
            "https://host/path",
            "https://*.*.example",
            "://a.example",
            "https://a b",
            "https://user@a.example",
            "https://müller.example",
            "https://*.müller.example",
            "https://a.example, *.b",
        ] {
            assert_eq!(origins(text), None, "{text}");
        }
    }
}
