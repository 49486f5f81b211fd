//! A value that must never be printed.

use std::fmt;

use sha1::digest::Output;
use sha1::{Digest, Sha1};

/// A value that must never be printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    value: String,
    digest: Output<Sha1>,
}

impl Secret {
    /// Keeps a value.
    #[must_use]
    pub fn new(value: String) -> Self {
        Self { digest: Sha1::digest(&value), value }
    }

    /// Returns the value itself, for the one place that sends or compares it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.value
    }

    /// Returns whether a text is this secret. How long that takes tells nothing about where they differ: digests are
    /// compared.
    #[must_use]
    pub fn is(&self, text: &str) -> bool {
        self.digest == Sha1::digest(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}
