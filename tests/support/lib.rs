//! What the tests share.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test that cannot go on says why and ends")]

pub mod lab;
