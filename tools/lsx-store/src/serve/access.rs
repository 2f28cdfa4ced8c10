//! Who may do what: users by their keys, and their rights to each bucket.

use super::Server;
use crate::model::Right;
use s3s::access::{S3Access, S3AccessContext};
use s3s::auth::{S3Auth, SecretKey};
use s3s::{S3Result, s3_error};
use std::sync::Arc;

/// The keys of users.
pub(super) struct Keys(pub(super) Arc<Server>);

#[async_trait::async_trait]
impl S3Auth for Keys {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        let key = self.0.keys.get(access_key).ok_or_else(|| s3_error!(InvalidAccessKeyId))?;
        Ok(key.as_str().into())
    }
}

/// Their rights.
pub(super) struct Rights(pub(super) Arc<Server>);

#[async_trait::async_trait]
impl S3Access for Rights {
    async fn check(&self, cx: &mut S3AccessContext<'_>) -> S3Result<()> {
        let Some(credentials) = cx.credentials() else {
            return Err(s3_error!(AccessDenied, "requests have to be signed"));
        };
        let Some(bucket) = cx.s3_path().get_bucket_name() else { return Ok(()) };
        match cx.s3_op().name() {
            "PutBucketVersioning" => self.0.owns(&credentials.access_key, bucket),
            name => self.0.may(&credentials.access_key, bucket, needed(name)),
        }
    }
}

/// The right that an operation needs; none if any right to the bucket will do.
fn needed(operation: &str) -> Option<Right> {
    match operation {
        "GetObject" | "HeadObject" | "GetObjectTagging" => Some(Right::Get),
        "ListObjects" | "ListObjectsV2" | "ListObjectVersions" | "ListMultipartUploads" => Some(Right::List),
        "PutObject"
        | "CopyObject"
        | "CreateMultipartUpload"
        | "UploadPart"
        | "UploadPartCopy"
        | "CompleteMultipartUpload"
        | "AbortMultipartUpload"
        | "PutObjectTagging"
        | "DeleteObjectTagging"
        | "ListParts" => Some(Right::Put),
        "DeleteObject" | "DeleteObjects" => Some(Right::Delete),
        _ => None,
    }
}

impl Server {
    /// Whether a user has all rights to a bucket.
    pub(super) fn owns(&self, user: &str, bucket: &str) -> S3Result<()> {
        let all = [Right::Get, Right::List, Right::Put, Right::Delete];
        all.into_iter().try_for_each(|right| self.may(user, bucket, Some(right)))
    }

    /// Whether a user has a right to a bucket.
    pub(super) fn may(&self, user: &str, bucket: &str, right: Option<Right>) -> S3Result<()> {
        let rights = self.buckets.get(bucket).and_then(|(served, _)| served.allow.get(user));
        let rights = rights.ok_or_else(|| s3_error!(AccessDenied, "{user} has no rights to {bucket}"))?;
        match right.is_none_or(|right| rights.contains(&right)) {
            true => Ok(()),
            false => Err(s3_error!(AccessDenied, "{user} may not do this in {bucket}")),
        }
    }
}
