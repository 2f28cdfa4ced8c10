//! Object storage (S3): the server, its users, and buckets.

use crate::decode::at::{At, string, truth};
use crate::decode::words::{label, source};
use crate::schema::{DurationText, Many, Port, SizeText, Source, UrlText, Word, table};
use crate::value::{Duration, Parsed, Size, Wrong, is_default, port, size, url};
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::BTreeMap;

/// The S3 server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields, transform = table)]
pub struct S3 {
    /// Its host; required unless it is `external`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Word>")]
    pub host: Option<String>,
    /// The server program.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "Option<S3Driver>")]
    pub driver: S3Driver,
    /// Networks that reach it; default: all with this host as gateway.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Option<Many<Word>>")]
    pub networks: Vec<String>,
    /// Port; default: 9000.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Port>")]
    pub port: Option<u16>,
    /// Certificate of `pki.certificates`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Word>")]
    pub tls: Option<String>,
    /// Name of its region; default: `office`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Word>")]
    pub region: Option<String>,
    /// URL of an external server.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<UrlText>")]
    pub endpoint: Option<String>,
}

/// The server program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum S3Driver {
    /// lsx-store itself.
    #[default]
    Embedded,
    /// An existing server.
    External,
}

/// An S3 user.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields, transform = table)]
pub struct S3User {
    /// Secret key for signatures; the name is the access key.
    #[schemars(with = "Word")]
    pub key: String,
}

/// A bucket.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields, transform = table)]
pub struct Bucket {
    /// Volume with its objects; default: the name of the bucket.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Word>")]
    pub volume: Option<String>,
    /// Size limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<SizeText>")]
    pub quota: Option<Size>,
    /// Keep earlier versions of objects; default: as users with all permissions set it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schemars(with = "Option<bool>")]
    pub versioning: bool,
    /// Age at which objects are deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<DurationText>")]
    pub expire: Option<Duration>,
    /// A map from a user to its permissions.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "Option<BTreeMap<String, Many<Action>>>")]
    pub allow: BTreeMap<String, Vec<Action>>,
    /// File with an AWS bucket policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Source>")]
    pub policy: Option<String>,
}

/// The permissions of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Read.
    Get,
    /// Write.
    Put,
    /// List objects.
    List,
    /// Delete objects.
    Delete,
}

const S3_DRIVERS: [(&str, S3Driver); 2] =
    [("embedded", S3Driver::Embedded), ("external", S3Driver::External)];
const ACTIONS: [(&str, Action); 4] =
    [("get", Action::Get), ("put", Action::Put), ("list", Action::List), ("delete", Action::Delete)];

pub(super) fn s3(at: At<'_, '_>) -> Option<S3> {
    let table = at.table()?;
    let s3 = S3 {
        host: table.get("host", string),
        driver: table.get("driver", |at| at.word(&S3_DRIVERS)).unwrap_or_default(),
        networks: table.get("networks", |at| at.many(string)).unwrap_or_default(),
        port: table.get("port", |at| at.parse(port)),
        tls: table.get("tls", string),
        region: table.get("region", |at| at.parse(word_of)),
        endpoint: table.get("endpoint", |at| at.parse(url)),
    };
    table.finish();
    Some(s3)
}

pub(super) fn user(at: At<'_, '_>) -> Option<S3User> {
    let table = at.table()?;
    let user = S3User { key: table.need("key", string).unwrap_or_default() };
    table.finish();
    Some(user)
}

pub(super) fn bucket(at: At<'_, '_>) -> Option<Bucket> {
    let table = at.table()?;
    let bucket = Bucket {
        volume: table.get("volume", string),
        quota: table.get("quota", |at| at.parse(size)),
        versioning: table.get("versioning", truth).unwrap_or_default(),
        expire: table.get("expire", |at| at.span(86400, 3153600000)),
        allow: table.get("allow", grants).unwrap_or_default(),
        policy: table.get("policy", |at| at.parse(source)),
    };
    table.finish();
    Some(bucket)
}

pub(super) fn users(at: At<'_, '_>) -> Option<BTreeMap<String, S3User>> {
    at.entries(label, user)
}

/// Names of buckets are host names, not addresses.
pub(super) fn buckets(at: At<'_, '_>) -> Option<BTreeMap<String, Bucket>> {
    let named = |at: At<'_, '_>, key: &str| {
        let edge = |b: Option<u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        let good = (3..=63).contains(&key.len())
            && key.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.'))
            && edge(key.bytes().next())
            && edge(key.bytes().last())
            && !key.contains("..")
            && key.parse::<std::net::Ipv4Addr>().is_err();
        if !good {
            let hint = "3 to 63 lower-case letters, digits, hyphens and dots";
            at.key_wrong(Wrong::new(format!("`{key}` is not a bucket name"), hint));
        }
    };
    at.entries(named, bucket)
}

fn grants(at: At<'_, '_>) -> Option<BTreeMap<String, Vec<Action>>> {
    at.entries(label, |at| at.many(|at| at.word(&ACTIONS)))
}

fn word_of(text: &str) -> Parsed<String> {
    let good = (1..=63).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    match good {
        true => Ok(text.to_owned()),
        false => Err(Wrong::new(format!("`{text}` is not a region"), "letters, digits and hyphens")),
    }
}
