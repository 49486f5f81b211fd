//! A value that must never be printed.

use std::fmt;

use sha1::{Digest, Sha1};

/// A value that must never be printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Keeps a value.
    #[must_use]
    pub fn new(value: String) -> Self {
        Self(value)
    }

    /// Returns the value itself, for the one place that sends or compares it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Returns whether a text is this secret. How long that takes tells nothing about where they differ: digests are
    /// compared.
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
