//! The JSON Schema of a stack, for editors. `read` also refuses everything that it refuses, with better messages.

mod document;
#[cfg(test)]
mod tests;
mod text;
mod transform;

pub use document::schema;
pub(crate) use text::*;
pub(crate) use transform::*;
