//! The metrics that may be created (`ALLOWED_EVENTS`).

use crate::measurement::clean_name;

/// A list of names in which `*` matches any run of characters, whatever the case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Patterns(Vec<String>);

impl Default for Patterns {
    fn default() -> Self {
        Self(vec!["*".to_owned()])
    }
}

impl Patterns {
    /// Takes names of metrics; an event's name is meant for its metric's.
    pub(super) fn of(names: &[String]) -> Self {
        let pattern = |name: &String| name.split('*').map(clean_name).collect::<Vec<_>>().join("*");
        Self(names.iter().map(pattern).collect())
    }

    /// Returns whether one of the patterns matches the whole name.
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
