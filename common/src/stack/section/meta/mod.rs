//! What instances may ask about themselves, as in public clouds.

pub(crate) mod decode;
pub(crate) mod rules;

use crate::stack::schema::{Many, Source, Word, table};
use crate::stack::value::is_default;
use schemars::JsonSchema;
use serde::Serialize;

/// What instances may ask about themselves.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields, transform = table)]
pub struct Meta {
    /// Networks whose instances may; all that have a gateway when absent.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Option<Many<Word>>")]
    pub networks: Vec<String>,
    /// Whether a request needs a token that was fetched before.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "Option<Tokens>")]
    pub tokens: Tokens,
    /// File with what cloud-init takes as vendor data.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Source>")]
    pub vendor_data: Option<String>,
}

/// Whether a request needs a token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Tokens {
    /// It may have one.
    #[default]
    Optional,
    /// It must have one.
    Required,
}
