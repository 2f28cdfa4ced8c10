//! Objects are written, copied and deleted.

use super::Server;
use super::body::{blocking, taken};
use super::get::{Conditions, etag, time, version};
use super::sums::{Claimed, shown};
use super::tags;
use crate::model::Right;
use crate::object::{About, Condition, Deleted, Draft, Found, Refused, Written, hex};
use hyper::HeaderMap;
use s3s::dto::{
    CopyObjectInput, CopyObjectOutput, CopyObjectResult, CopySource, DeleteObjectsInput, DeleteObjectsOutput,
    DeletedObject, ETagCondition, Error, MetadataDirective, PutObjectInput, PutObjectOutput,
    TaggingDirective,
};
use s3s::{S3Request, S3Result, s3_error};
use std::collections::BTreeMap;
use std::io::Read as _;
use std::sync::Arc;

/// Headers that are kept with an object and given back.
const KEPT: [&str; 6] = [
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-type",
    "expires",
];
/// How names of metadata begin in headers.
const GIVEN: &str = "x-amz-meta-";

/// What a request says of the object that it makes.
pub(super) fn about(headers: &HeaderMap, metadata: Option<s3s::dto::Metadata>) -> About {
    let mut kept = BTreeMap::new();
    for name in KEPT {
        let Some(value) = headers.get(name).and_then(|value| value.to_str().ok()) else { continue };
        // The form of the request's body is not one of the object.
        let plain = value.split(',').map(str::trim).filter(|one| *one != "aws-chunked");
        let value =
            if name == "content-encoding" { plain.collect::<Vec<_>>().join(",") } else { value.to_owned() };
        if !value.is_empty() {
            kept.insert(name.to_owned(), value);
        }
    }
    let given = metadata.unwrap_or_default().into_iter();
    let given = given.map(|(name, value)| (name.trim_start_matches(GIVEN).to_owned(), value)).collect();
    About { headers: kept, given, ..About::default() }
}

/// What must be so for an object to be written.
pub(super) fn condition(is: Option<ETagCondition>, is_not: Option<ETagCondition>) -> S3Result<Condition> {
    match (is, is_not) {
        (None, None) => Ok(Condition::None),
        (None, Some(ETagCondition::Any)) => Ok(Condition::New),
        (Some(ETagCondition::ETag(etag)), None) => Ok(Condition::Is(etag.into_value())),
        (Some(ETagCondition::Any), None) => Ok(Condition::There),
        _ => Err(s3_error!(NotImplemented, "of If-None-Match only * is supported for writing")),
    }
}

impl Server {
    /// Writes an object.
    pub(super) async fn put(
        self: Arc<Self>,
        request: S3Request<PutObjectInput>,
    ) -> S3Result<PutObjectOutput> {
        let S3Request { input, headers, trailing_headers, .. } = request;
        let condition = condition(input.if_match, input.if_none_match)?;
        let bucket = self.bucket(&input.bucket)?;
        let mut claimed = Claimed::of(&headers, input.checksum_algorithm.as_ref().map(|name| name.as_str()));
        let tags = tags::of_header(input.tagging.as_deref())?;
        let mut about = About { tags, ..about(&headers, input.metadata) };
        let draft = {
            let bucket = Arc::clone(&bucket);
            blocking(move || Ok(bucket.draft()?)).await?
        };
        let written = taken(draft, input.body, |piece| claimed.update(piece)).await?;
        let key = input.key;
        let about = blocking(move || {
            if input.content_length.is_some_and(|said| u64::try_from(said).ok() != Some(written.size))
                && !headers.contains_key("x-amz-decoded-content-length")
            {
                return Err(Refused::Sum("Content-Length"));
            }
            about.sums = claimed.verified(&written, trailing_headers.as_ref())?;
            (about.etag, about.crc) = (hex(&written.md5), Some(written.crc));
            bucket.put(&written, &key, &mut about, &condition)?;
            Ok(about)
        })
        .await?;
        let sums = shown(&about.sums);
        Ok(PutObjectOutput {
            e_tag: etag(&about),
            version_id: about.version,
            checksum_crc32: sums.checksum_crc32,
            checksum_crc32c: sums.checksum_crc32c,
            checksum_crc64nvme: sums.checksum_crc64nvme,
            checksum_sha1: sums.checksum_sha1,
            checksum_sha256: sums.checksum_sha256,
            ..PutObjectOutput::default()
        })
    }

    /// The object that a request copies from, if its user may read it and the conditions hold.
    pub(super) async fn source(
        &self,
        source: &CopySource,
        user: &str,
        conditions: &Conditions<'_>,
    ) -> S3Result<Found> {
        let CopySource::Bucket { bucket, key, version_id } = source else {
            return Err(s3_error!(NotImplemented, "access points are not supported"));
        };
        self.may(user, bucket, Some(Right::Get))?;
        let found = self.found(bucket, key, version_id.as_deref().map(str::to_owned)).await?;
        conditions.hold(&found.about, false)?;
        Ok(found)
    }

    /// Copies an object.
    pub(super) async fn copy(
        self: Arc<Self>,
        request: S3Request<CopyObjectInput>,
    ) -> S3Result<CopyObjectOutput> {
        let user = request.credentials.as_ref().map(|known| known.access_key.clone()).unwrap_or_default();
        let input = request.input;
        let conditions = Conditions::of(
            &input.copy_source_if_match,
            &input.copy_source_if_none_match,
            &input.copy_source_if_modified_since,
            &input.copy_source_if_unmodified_since,
        );
        let found = self.source(&input.copy_source, &user, &conditions).await?;
        let replaced =
            input.metadata_directive.is_some_and(|word| word.as_str() == MetadataDirective::REPLACE);
        if let CopySource::Bucket { bucket, key, version_id: None } = &input.copy_source
            && !replaced
            && (**bucket == *input.bucket && **key == *input.key)
        {
            return Err(s3_error!(InvalidRequest, "an object is copied to itself only with other metadata"));
        }
        let mut new = match replaced {
            true => about(&request.headers, input.metadata),
            false => About { crc: None, parts: None, ..found.about.clone() },
        };
        new.tags =
            match input.tagging_directive.is_some_and(|word| word.as_str() == TaggingDirective::REPLACE) {
                true => tags::of_header(input.tagging.as_deref())?,
                false => found.about.tags.clone(),
            };
        let copy_source_version_id = version(&found.about);
        let (bucket, key) = (self.bucket(&input.bucket)?, input.key);
        let new = blocking(move || {
            let written = copied(&found, 0..found.about.size, bucket.draft()?)?;
            new.sums.clone_from(&found.about.sums);
            (new.etag, new.crc) = (hex(&written.md5), Some(written.crc));
            bucket.put(&written, &key, &mut new, &Condition::None)?;
            Ok(new)
        })
        .await?;
        let result = CopyObjectResult {
            e_tag: etag(&new),
            last_modified: Some(time(new.seconds())),
            ..CopyObjectResult::default()
        };
        Ok(CopyObjectOutput {
            copy_object_result: Some(result),
            copy_source_version_id,
            version_id: new.version,
            ..CopyObjectOutput::default()
        })
    }

    /// Deletes an object, or one version of it for good, which only those may who have all rights.
    pub(super) async fn delete(
        &self,
        user: &str,
        bucket: &str,
        (key, version): (String, Option<String>),
        condition: Condition,
    ) -> S3Result<Deleted> {
        if version.is_some() {
            self.owns(user, bucket)?;
        }
        let bucket = self.bucket(bucket)?;
        let deleted = move || match version {
            None => bucket.delete(&key, &condition),
            Some(version) => bucket.delete_version(&key, &version, &condition),
        };
        blocking(deleted).await
    }

    /// Deletes several objects; those that are not there count as deleted.
    pub(super) async fn delete_all(
        self: Arc<Self>,
        user: &str,
        input: DeleteObjectsInput,
    ) -> S3Result<DeleteObjectsOutput> {
        if input.delete.objects.is_empty() || input.delete.objects.len() > 1000 {
            return Err(s3_error!(MalformedXML, "1 to 1000 keys can be deleted at once"));
        }
        let (mut deleted, mut errors) = (Vec::new(), Vec::new());
        for object in input.delete.objects {
            let condition = object.e_tag.map_or(Condition::None, |etag| Condition::Is(etag.into_value()));
            let (key, version_id) = (object.key, object.version_id);
            let done = match key.is_empty() || key.len() > crate::object::LONGEST {
                true => Err(s3_error!(KeyTooLongError)),
                false => self.delete(user, &input.bucket, (key.clone(), version_id.clone()), condition).await,
            };
            match done {
                Ok(done) => deleted.push(DeletedObject {
                    key: Some(key),
                    delete_marker: done.marker.then_some(true),
                    delete_marker_version_id: done.version.filter(|_| done.marker),
                    version_id,
                }),
                Err(e) => errors.push(Error {
                    code: Some(e.code().as_str().to_owned()),
                    key: Some(key),
                    message: e.message().map(str::to_owned),
                    version_id,
                }),
            }
        }
        let quiet = input.delete.quiet.unwrap_or_default();
        Ok(DeleteObjectsOutput {
            deleted: (!quiet).then_some(deleted),
            errors: (!errors.is_empty()).then_some(errors),
            ..DeleteObjectsOutput::default()
        })
    }
}

/// Copies bytes of an object to a draft; what was written. If they are all of it, they must be what was once written.
pub(super) fn copied(
    found: &Found,
    range: std::ops::Range<u64>,
    mut draft: Draft,
) -> Result<Written, Refused> {
    use std::io::{Seek as _, SeekFrom};
    let whole = range == (0..found.about.size);
    let mut file = &found.file;
    file.seek(SeekFrom::Start(range.start))?;
    let mut rest = file.take(range.end - range.start);
    let mut piece = vec![0; 256 * 1024];
    loop {
        match rest.read(&mut piece)? {
            0 => break,
            n => draft.write(&piece[..n])?,
        }
    }
    let written = draft.done();
    match found.about.crc {
        Some(crc) if whole && crc != written.crc => Err(Refused::Rotten),
        _ => Ok(written),
    }
}
