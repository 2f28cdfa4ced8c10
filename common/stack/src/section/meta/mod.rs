//! The section `meta`: a metadata service for instances, as in public clouds.

pub(crate) mod decode;
pub(crate) mod rules;

use crate::schema::{Many, Source, Word, table};
use crate::value::is_default;
use schemars::JsonSchema;
use serde::Serialize;

/// Settings of the metadata service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields, transform = table)]
pub struct Meta {
    /// Networks that may use it; default: all with a gateway.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Option<Many<Word>>")]
    pub networks: Vec<String>,
    /// Whether a request needs a session token.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "Option<Tokens>")]
    pub tokens: Tokens,
    /// File with vendor data for cloud-init.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Source>")]
    pub vendor_data: Option<String>,
}

/// Whether a request needs a session token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Tokens {
    /// A token is optional.
    #[default]
    Optional,
    /// A token is required.
    Required,
}
