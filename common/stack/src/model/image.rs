//! Images, in the form for each driver.

use crate::schema::{Word, table};
use schemars::JsonSchema;
use serde::Serialize;

/// The same image for each driver.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields, transform = table)]
pub struct Image {
    /// For the OCI runtime: `oci:FOLDER` or `docker://NAME`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Word>")]
    pub oci: Option<String>,
    /// For LXD: `tar:FILE` or `REMOTE:ALIAS`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Word>")]
    pub lxd: Option<String>,
    /// For Incus, in the same form.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Word>")]
    pub incus: Option<String>,
    /// For Docker: a reference, or `tar:FILE`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Word>")]
    pub docker: Option<String>,
}
