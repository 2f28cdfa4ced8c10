//! Images, and the words about what runs them.

use crate::stack::schema::{Word, table};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The same image in every driver's form.
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
    /// For Incus, the same words.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Word>")]
    pub incus: Option<String>,
    /// For Docker: a reference, or `tar:FILE`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Word>")]
    pub docker: Option<String>,
}

/// What runs an instance.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Driver {
    /// An OCI runtime, without a daemon.
    #[default]
    Oci,
    /// LXD.
    Lxd,
    /// Incus.
    Incus,
    /// Docker.
    Docker,
}

/// When an instance is started again after it stopped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Restart {
    /// Always, also after a reboot.
    #[default]
    Always,
    /// When it ended with a failure.
    OnFailure,
    /// Never.
    No,
}
