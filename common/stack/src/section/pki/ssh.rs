//! OpenSSH certificates.

use crate::decode::at::{At, truth};
use crate::decode::words::{label, source};
use crate::schema::{DurationText, Labelled, Many, Source, Word, table};
use crate::value::{Duration, login};
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::BTreeMap;

/// OpenSSH certificates.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields, transform = table)]
pub struct SshAuthority {
    /// Issue host certificates, so that clients need not confirm host keys.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schemars(with = "Option<bool>")]
    pub hosts: bool,
    /// Hosts accept only certificates for logins.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schemars(with = "Option<bool>")]
    pub harden: bool,
    /// A map from a name to a user who may log in.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "Option<Labelled<SshUser>>")]
    pub users: BTreeMap<String, SshUser>,
}

/// A user who may log in by ssh.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields, transform = table)]
pub struct SshUser {
    /// File with the public key.
    #[schemars(with = "Source")]
    pub key: String,
    /// Login names on hosts.
    #[schemars(with = "Many<Word>")]
    pub principals: Vec<String>,
    /// Lifetime; default: 16h.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<DurationText>")]
    pub life: Option<Duration>,
}

pub(super) fn ssh(at: At<'_, '_>) -> Option<SshAuthority> {
    let table = at.table()?;
    let ssh = SshAuthority {
        hosts: table.get("hosts", truth).unwrap_or_default(),
        harden: table.get("harden", truth).unwrap_or_default(),
        users: table.get("users", users).unwrap_or_default(),
    };
    table.finish();
    Some(ssh)
}

pub(super) fn user(at: At<'_, '_>) -> Option<SshUser> {
    let table = at.table()?;
    let user = SshUser {
        key: table.need("key", |at| at.parse(source)).unwrap_or_default(),
        principals: table.need("principals", |at| at.many(|at| at.parse(login))).unwrap_or_default(),
        life: table.get("life", |at| at.span(60, 31536000)),
    };
    table.finish();
    Some(user)
}

fn users(at: At<'_, '_>) -> Option<BTreeMap<String, SshUser>> {
    at.entries(label, user)
}
