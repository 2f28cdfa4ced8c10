//! Images, in the form for each driver.

use crate::schema::{Word, table};
use schemars::JsonSchema;
use serde::Serialize;

/// The same image for each driver.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields, transform = table)]
pub struct Image {
    /// For the driver oci, such as `tar:FILE`, `oci:FOLDER` or `docker://REFERENCE`; see IMAGES in lsx-stack(5).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Word>")]
    pub oci: Option<String>,
    /// For LXD, in the same forms; default: that of `oci`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Word>")]
    pub lxd: Option<String>,
    /// For Incus, in the same forms; default: that of `lxd`, else of `oci`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Word>")]
    pub incus: Option<String>,
    /// For Docker, which is not supported yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Word>")]
    pub docker: Option<String>,
}
