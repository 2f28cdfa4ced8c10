//! Objects are read: whole or in part, if the conditions of a request hold.

use super::Server;
use super::body::{Sent, blocking};
use super::sums::shown;
use crate::object::{About, Found, Refused};
use s3s::dto::{
    Checksum, ChecksumMode, ETag, ETagCondition, GetObjectInput, GetObjectOutput, HeadObjectInput,
    HeadObjectOutput, StreamingBlob, Timestamp, TimestampFormat,
};
use s3s::{S3Result, s3_error};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// The conditions of a request on an object.
pub(super) struct Conditions<'a> {
    pub(super) is: Option<&'a ETagCondition>,
    pub(super) is_not: Option<&'a ETagCondition>,
    pub(super) since: Option<&'a Timestamp>,
    pub(super) not_since: Option<&'a Timestamp>,
}

impl Conditions<'_> {
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
    /// An object.
    pub(super) async fn found(&self, bucket: &str, key: &str) -> S3Result<Found> {
        let (bucket, key) = (self.bucket(bucket)?, key.to_owned());
        blocking(move || bucket.find(&key)?.ok_or(Refused::Missing)).await
    }

    /// Its bytes.
    pub(super) async fn get(self: Arc<Self>, input: GetObjectInput) -> S3Result<GetObjectOutput> {
        let found = self.found(&input.bucket, &input.key).await?;
        let about = found.about.clone();
        let conditions = Conditions {
            is: input.if_match.as_ref(),
            is_not: input.if_none_match.as_ref(),
            since: input.if_modified_since.as_ref(),
            not_since: input.if_unmodified_since.as_ref(),
        };
        conditions.hold(&about, true)?;
        part(input.part_number, &about)?;
        let range = input.range.map(|range| range.check(about.size)).transpose()?;
        let length = range.as_ref().map_or(about.size, |range| range.end - range.start);
        let told =
            range.as_ref().map(|range| format!("bytes {}-{}/{}", range.start, range.end - 1, about.size));
        let sent = Sent::new(found, &input.key, range).map_err(|e| super::body::told(e.into()))?;
        let HeadObjectOutput {
            e_tag,
            last_modified,
            metadata,
            cache_control,
            content_disposition,
            content_encoding,
            content_language,
            content_type,
            expires,
            accept_ranges,
            checksum_crc32,
            checksum_crc32c,
            checksum_crc64nvme,
            checksum_sha1,
            checksum_sha256,
            ..
        } = described(&about, input.checksum_mode.filter(|_| told.is_none()));
        Ok(GetObjectOutput {
            body: Some(StreamingBlob::new(sent)),
            content_length: signed(length),
            content_range: told,
            e_tag,
            last_modified,
            metadata,
            cache_control,
            content_disposition,
            content_encoding,
            content_language,
            content_type,
            expires,
            accept_ranges,
            checksum_crc32,
            checksum_crc32c,
            checksum_crc64nvme,
            checksum_sha1,
            checksum_sha256,
            ..GetObjectOutput::default()
        })
    }

    /// What is known of it.
    pub(super) async fn head(self: Arc<Self>, input: HeadObjectInput) -> S3Result<HeadObjectOutput> {
        let about = self.found(&input.bucket, &input.key).await?.about;
        let conditions = Conditions {
            is: input.if_match.as_ref(),
            is_not: input.if_none_match.as_ref(),
            since: input.if_modified_since.as_ref(),
            not_since: input.if_unmodified_since.as_ref(),
        };
        conditions.hold(&about, true)?;
        part(input.part_number, &about)?;
        let range = input.range.map(|range| range.check(about.size)).transpose()?;
        let length = range.as_ref().map_or(about.size, |range| range.end - range.start);
        let told = range.map(|range| format!("bytes {}-{}/{}", range.start, range.end - 1, about.size));
        Ok(HeadObjectOutput {
            content_length: signed(length),
            content_range: told,
            ..described(&about, input.checksum_mode)
        })
    }
}

/// Headers of an object.
fn described(about: &About, sums: Option<ChecksumMode>) -> HeadObjectOutput {
    let header = |name: &str| about.headers.get(name).cloned();
    let wanted = sums.is_some_and(|mode| mode.as_str() == ChecksumMode::ENABLED);
    let sums = if wanted { shown(&about.sums) } else { Checksum::default() };
    let expires = header("expires");
    HeadObjectOutput {
        accept_ranges: Some("bytes".to_owned()),
        e_tag: etag(about),
        last_modified: Some(time(about.seconds())),
        metadata: (!about.given.is_empty()).then(|| about.given.clone().into_iter().collect()),
        cache_control: header("cache-control"),
        content_disposition: header("content-disposition"),
        content_encoding: header("content-encoding"),
        content_language: header("content-language"),
        content_type: header("content-type").or_else(|| Some("binary/octet-stream".to_owned())),
        expires: expires.and_then(|text| Timestamp::parse(TimestampFormat::HttpDate, &text).ok()),
        checksum_crc32: sums.checksum_crc32,
        checksum_crc32c: sums.checksum_crc32c,
        checksum_crc64nvme: sums.checksum_crc64nvme,
        checksum_sha1: sums.checksum_sha1,
        checksum_sha256: sums.checksum_sha256,
        ..HeadObjectOutput::default()
    }
}
