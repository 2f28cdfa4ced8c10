//! Objects are read: whole or in part, if the conditions of a request hold.

use super::Server;
use super::body::{Sent, blocking};
use super::sums::shown;
use crate::object::{About, Found, named};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use s3s::dto::{
    Checksum, ChecksumMode, ETag, ETagCondition, GetObjectInput, GetObjectOutput, HeadObjectInput,
    HeadObjectOutput, StreamingBlob, Timestamp, TimestampFormat,
};
use s3s::{S3Result, s3_error};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// What two replies say of an object, with the same names in both.
macro_rules! described {
    ($output:ident, $about:expr, $sums:expr) => {{
        let (about, sums): (&About, Checksum) = (&$about, $sums);
        $output {
            accept_ranges: Some("bytes".to_owned()),
            e_tag: etag(about),
            version_id: version(about),
            last_modified: Some(time(about.seconds())),
            metadata: (!about.given.is_empty()).then(|| about.given.clone().into_iter().collect()),
            cache_control: header(about, "cache-control"),
            content_disposition: header(about, "content-disposition"),
            content_encoding: header(about, "content-encoding"),
            content_language: header(about, "content-language"),
            content_type: header(about, "content-type").or_else(|| Some("binary/octet-stream".to_owned())),
            expires: expires(about),
            checksum_crc32: sums.checksum_crc32,
            checksum_crc32c: sums.checksum_crc32c,
            checksum_crc64nvme: sums.checksum_crc64nvme,
            checksum_sha1: sums.checksum_sha1,
            checksum_sha256: sums.checksum_sha256,
            ..$output::default()
        }
    }};
}

/// The conditions of a request on an object.
pub(super) struct Conditions<'a> {
    is: Option<&'a ETagCondition>,
    is_not: Option<&'a ETagCondition>,
    since: Option<&'a Timestamp>,
    not_since: Option<&'a Timestamp>,
}

impl<'a> Conditions<'a> {
    /// In the order of their headers: that it is, that it is not, changed since, not changed since.
    pub(super) fn of(
        is: &'a Option<ETagCondition>,
        is_not: &'a Option<ETagCondition>,
        since: &'a Option<Timestamp>,
        not_since: &'a Option<Timestamp>,
    ) -> Self {
        let (is, is_not) = (is.as_ref(), is_not.as_ref());
        Conditions { is, is_not, since: since.as_ref(), not_since: not_since.as_ref() }
    }

    /// Whether they hold (RFC 9110 13.2.2).
    pub(super) fn hold(&self, about: &About, reads: bool) -> S3Result<()> {
        let same =
            |condition: &ETagCondition| condition.as_etag().is_none_or(|etag| etag.value() == about.etag);
        let changed = time(about.seconds());
        match (self.is, self.not_since) {
            (Some(is), _) if !same(is) => return Err(s3_error!(PreconditionFailed)),
            (None, Some(at)) if changed > *at => return Err(s3_error!(PreconditionFailed)),
            _ => {}
        }
        let unchanged = match (self.is_not, self.since) {
            (Some(is_not), _) => same(is_not),
            (None, Some(at)) => changed <= *at,
            (None, None) => false,
        };
        match (unchanged, reads) {
            (true, true) => Err(s3_error!(NotModified)),
            (true, false) => Err(s3_error!(PreconditionFailed)),
            (false, _) => Ok(()),
        }
    }
}

/// A time as replies have it.
pub(super) fn time(seconds: i64) -> Timestamp {
    let since = Duration::from_secs(seconds.unsigned_abs());
    let at = if seconds < 0 { SystemTime::UNIX_EPOCH - since } else { SystemTime::UNIX_EPOCH + since };
    at.into()
}

/// The version of an object, if its bucket had versions when it was written.
pub(super) fn version(about: &About) -> Option<String> {
    about.turn.map(|_| named(about).to_owned())
}

pub(super) fn etag(about: &About) -> Option<ETag> {
    Some(ETag::Strong(about.etag.clone()))
}

fn signed(size: u64) -> Option<i64> {
    i64::try_from(size).ok()
}

/// The number of the only part of an object that was not sent in parts is 1; where others begin is not kept.
fn part(number: Option<i32>, about: &About) -> S3Result<()> {
    match (number, about.parts) {
        (None, _) | (Some(1), None) => Ok(()),
        (Some(_), None) => Err(s3_error!(InvalidRange)),
        (Some(_), Some(_)) => Err(s3_error!(NotImplemented, "where parts began is not kept")),
    }
}

impl Server {
    /// An object, or a version of it.
    pub(super) async fn found(&self, bucket: &str, key: &str, version: Option<String>) -> S3Result<Found> {
        let (bucket, key) = (self.bucket(bucket)?, key.to_owned());
        blocking(move || bucket.wanted(&key, version.as_deref())).await
    }

    /// Its bytes.
    pub(super) async fn get(self: Arc<Self>, input: GetObjectInput) -> S3Result<GetObjectOutput> {
        let found = self.found(&input.bucket, &input.key, input.version_id).await?;
        let about = found.about.clone();
        Conditions::of(
            &input.if_match,
            &input.if_none_match,
            &input.if_modified_since,
            &input.if_unmodified_since,
        )
        .hold(&about, true)?;
        part(input.part_number, &about)?;
        let range = input.range.map(|range| range.check(about.size)).transpose()?;
        let length = range.as_ref().map_or(about.size, |range| range.end - range.start);
        let told =
            range.as_ref().map(|range| format!("bytes {}-{}/{}", range.start, range.end - 1, about.size));
        let sent = Sent::new(found, &input.key, range).map_err(|e| super::body::told(e.into()))?;
        let sums = wanted(&about, input.checksum_mode.filter(|_| told.is_none()));
        Ok(GetObjectOutput {
            body: Some(StreamingBlob::new(sent)),
            content_length: signed(length),
            content_range: told,
            tag_count: i32::try_from(about.tags.len()).ok().filter(|count| *count > 0),
            ..described!(GetObjectOutput, about, sums)
        })
    }

    /// What is known of it.
    pub(super) async fn head(self: Arc<Self>, input: HeadObjectInput) -> S3Result<HeadObjectOutput> {
        let about = self.found(&input.bucket, &input.key, input.version_id).await?.about;
        Conditions::of(
            &input.if_match,
            &input.if_none_match,
            &input.if_modified_since,
            &input.if_unmodified_since,
        )
        .hold(&about, true)?;
        part(input.part_number, &about)?;
        let range = input.range.map(|range| range.check(about.size)).transpose()?;
        let length = range.as_ref().map_or(about.size, |range| range.end - range.start);
        let told = range.map(|range| format!("bytes {}-{}/{}", range.start, range.end - 1, about.size));
        Ok(HeadObjectOutput {
            content_length: signed(length),
            content_range: told,
            ..described!(HeadObjectOutput, about, wanted(&about, input.checksum_mode))
        })
    }
}

/// The checksums of an object, if they are asked for: those that its client has sent, and our own.
fn wanted(about: &About, mode: Option<ChecksumMode>) -> Checksum {
    let wanted = mode.is_some_and(|mode| mode.as_str() == ChecksumMode::ENABLED);
    if !wanted {
        return Checksum::default();
    }
    let own = about.crc.map(|crc| STANDARD.encode(crc.to_be_bytes()));
    Checksum { checksum_crc64nvme: own, ..shown(&about.sums) }
}

fn header(about: &About, name: &str) -> Option<String> {
    about.headers.get(name).cloned()
}

fn expires(about: &About) -> Option<Timestamp> {
    let text = header(about, "expires")?;
    Timestamp::parse(TimestampFormat::HttpDate, &text).ok()
}
