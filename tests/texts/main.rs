//! Tests README's commands and the manual's documents.

#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test stops at the first surprise")]

mod json;
mod readme;
