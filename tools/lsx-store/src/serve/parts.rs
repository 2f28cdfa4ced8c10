//! Objects are sent in parts.

use super::Server;
use super::body::{blocking, taken};
use super::get::{Conditions, etag, time, version};
use super::lists::{Texts, most, owner};
use super::put::{about, condition, copied};
use super::sums::{Claimed, shown};
use crate::object::{About, Upload, hex};
use s3s::dto::{
    AbortMultipartUploadInput, CompleteMultipartUploadInput, CompleteMultipartUploadOutput, CopyPartResult,
    CreateMultipartUploadInput, CreateMultipartUploadOutput, ETag, Initiator, ListMultipartUploadsInput,
    ListMultipartUploadsOutput, ListPartsInput, ListPartsOutput, MultipartUpload, Part, Range,
    UploadPartCopyInput, UploadPartCopyOutput, UploadPartInput, UploadPartOutput,
};
use s3s::{S3Request, S3Result, s3_error};
use std::sync::Arc;

/// The highest number of a part.
const HIGHEST: u16 = 10_000;

fn number(part: i32) -> S3Result<u16> {
    let number = u16::try_from(part).ok().filter(|number| (1..=HIGHEST).contains(number));
    number.ok_or_else(|| s3_error!(InvalidArgument, "numbers of parts are from 1 to {HIGHEST}"))
}

impl Server {
    /// Begins an upload.
    pub(super) async fn begin(
        self: Arc<Self>,
        request: S3Request<CreateMultipartUploadInput>,
    ) -> S3Result<CreateMultipartUploadOutput> {
        let user = request.credentials.map(|known| known.access_key).unwrap_or_default();
        let input = request.input;
        let bucket = self.bucket(&input.bucket)?;
        let tags = super::tags::of_header(input.tagging.as_deref())?;
        let about = About { tags, ..about(&request.headers, input.metadata) };
        let upload = Upload { id: String::new(), key: input.key.clone(), user, about, began: 0 };
        let id = blocking(move || bucket.begin(&upload)).await?;
        Ok(CreateMultipartUploadOutput {
            bucket: Some(input.bucket),
            key: Some(input.key),
            upload_id: Some(id),
            ..CreateMultipartUploadOutput::default()
        })
    }

    /// Takes a part.
    pub(super) async fn part(
        self: Arc<Self>,
        request: S3Request<UploadPartInput>,
    ) -> S3Result<UploadPartOutput> {
        let S3Request { input, headers, trailing_headers, .. } = request;
        let number = number(input.part_number)?;
        let bucket = self.bucket(&input.bucket)?;
        let mut claimed = Claimed::of(&headers, input.checksum_algorithm.as_ref().map(|name| name.as_str()));
        let (id, key) = (input.upload_id, input.key);
        let draft = {
            let (bucket, id) = (Arc::clone(&bucket), id.clone());
            blocking(move || {
                bucket.upload(&id, &key)?;
                Ok(bucket.draft()?)
            })
            .await?
        };
        let written = taken(draft, input.body, |piece| claimed.update(piece)).await?;
        let about = blocking(move || {
            let sums = claimed.verified(&written, trailing_headers.as_ref())?;
            let (etag, crc) = (hex(&written.md5), Some(written.crc));
            let mut about = About { etag, crc, sums, ..About::default() };
            bucket.put_part(&id, number, &written, &mut about)?;
            Ok(about)
        })
        .await?;
        let sums = shown(&about.sums);
        Ok(UploadPartOutput {
            e_tag: etag(&about),
            checksum_crc32: sums.checksum_crc32,
            checksum_crc32c: sums.checksum_crc32c,
            checksum_crc64nvme: sums.checksum_crc64nvme,
            checksum_sha1: sums.checksum_sha1,
            checksum_sha256: sums.checksum_sha256,
            ..UploadPartOutput::default()
        })
    }

    /// Takes a part from an object.
    pub(super) async fn part_copied(
        self: Arc<Self>,
        request: S3Request<UploadPartCopyInput>,
    ) -> S3Result<UploadPartCopyOutput> {
        let user = request.credentials.as_ref().map(|known| known.access_key.clone()).unwrap_or_default();
        let input = request.input;
        let number = number(input.part_number)?;
        let conditions = Conditions::of(
            &input.copy_source_if_match,
            &input.copy_source_if_none_match,
            &input.copy_source_if_modified_since,
            &input.copy_source_if_unmodified_since,
        );
        let found = self.source(&input.copy_source, &user, &conditions).await?;
        let range = match input.copy_source_range.as_deref().map(Range::parse) {
            None => 0..found.about.size,
            Some(Ok(range @ Range::Int { last: Some(last), .. })) if last < found.about.size => {
                range.check(found.about.size)?
            }
            Some(_) => {
                return Err(s3_error!(InvalidArgument, "x-amz-copy-source-range must be bytes=FIRST-LAST"));
            }
        };
        let bucket = self.bucket(&input.bucket)?;
        let copy_source_version_id = version(&found.about);
        let about = blocking(move || {
            bucket.upload(&input.upload_id, &input.key)?;
            let written = copied(&found, range, bucket.draft()?)?;
            let (etag, crc) = (hex(&written.md5), Some(written.crc));
            let mut about = About { etag, crc, ..About::default() };
            bucket.put_part(&input.upload_id, number, &written, &mut about)?;
            Ok(about)
        })
        .await?;
        let result = CopyPartResult {
            e_tag: etag(&about),
            last_modified: Some(time(about.seconds())),
            ..CopyPartResult::default()
        };
        Ok(UploadPartCopyOutput {
            copy_part_result: Some(result),
            copy_source_version_id,
            ..UploadPartCopyOutput::default()
        })
    }

    /// Makes an object of the parts.
    pub(super) async fn complete(
        self: Arc<Self>,
        input: CompleteMultipartUploadInput,
    ) -> S3Result<CompleteMultipartUploadOutput> {
        let condition = condition(input.if_match, input.if_none_match)?;
        let bucket = self.bucket(&input.bucket)?;
        let parts = input.multipart_upload.and_then(|upload| upload.parts).unwrap_or_default();
        let named = parts.into_iter().map(|part| {
            Ok((number(part.part_number.unwrap_or_default())?, part.e_tag.map(ETag::into_value)))
        });
        let named = named.collect::<S3Result<Vec<_>>>()?;
        if named.is_empty() {
            return Err(s3_error!(MalformedXML, "no parts are named"));
        }
        let (id, key) = (input.upload_id, input.key.clone());
        let about = blocking(move || bucket.complete(&bucket.upload(&id, &key)?, &named, &condition)).await?;
        Ok(CompleteMultipartUploadOutput {
            location: Some(format!("/{}/{}", input.bucket, input.key)),
            bucket: Some(input.bucket),
            key: Some(input.key),
            e_tag: etag(&about),
            version_id: about.version,
            ..CompleteMultipartUploadOutput::default()
        })
    }

    /// Gives an upload up.
    pub(super) async fn abort(self: Arc<Self>, input: AbortMultipartUploadInput) -> S3Result<()> {
        let bucket = self.bucket(&input.bucket)?;
        blocking(move || {
            bucket.upload(&input.upload_id, &input.key)?;
            bucket.abort(&input.upload_id)
        })
        .await
    }

    /// The parts of an upload.
    pub(super) async fn parts(self: Arc<Self>, input: ListPartsInput) -> S3Result<ListPartsOutput> {
        let bucket = self.bucket(&input.bucket)?;
        let (shown, most) = most(input.max_parts)?;
        let after = input.part_number_marker.unwrap_or_default();
        let (id, key) = (input.upload_id.clone(), input.key.clone());
        let mut rest = blocking(move || {
            bucket.upload(&id, &key)?;
            bucket.parts(&id, after, most + 1)
        })
        .await?;
        let more = rest.len() > most;
        rest.truncate(most);
        let last = rest.last().filter(|_| more).map(|part| i32::from(part.number));
        let parts = rest.into_iter().map(|part| Part {
            part_number: Some(i32::from(part.number)),
            e_tag: etag(&part.about),
            last_modified: Some(time(part.about.seconds())),
            size: i64::try_from(part.about.size).ok(),
            ..Part::default()
        });
        Ok(ListPartsOutput {
            bucket: Some(input.bucket),
            key: Some(input.key),
            upload_id: Some(input.upload_id),
            max_parts: Some(shown),
            part_number_marker: Some(after),
            next_part_number_marker: last,
            is_truncated: Some(more),
            parts: Some(parts.collect()),
            owner: Some(owner()),
            ..ListPartsOutput::default()
        })
    }

    /// All uploads that have begun.
    pub(super) async fn uploads(
        self: Arc<Self>,
        input: ListMultipartUploadsInput,
    ) -> S3Result<ListMultipartUploadsOutput> {
        if input.delimiter.is_some() {
            return Err(s3_error!(NotImplemented, "uploads are listed without a delimiter"));
        }
        let texts = Texts::of(input.encoding_type.as_ref())?;
        let (shown, most) = most(input.max_uploads)?;
        let bucket = self.bucket(&input.bucket)?;
        let prefix = input.prefix.clone().unwrap_or_default();
        let (key, id) = (input.key_marker.clone(), input.upload_id_marker.clone());
        // Without a marker the first one may have any key.
        let next = move |upload: &Upload| match (&key, &id) {
            (None, _) => true,
            (Some(key), Some(id)) if upload.key == *key => upload.id > *id,
            (Some(key), _) => upload.key > *key,
        };
        let asked = move |upload: &Upload| upload.key.starts_with(&prefix) && next(upload);
        let mut rest = blocking(move || bucket.uploads(most + 1, asked)).await?;
        let more = rest.len() > most;
        rest.truncate(most);
        let last = rest.last().filter(|_| more).cloned();
        let uploads = rest.into_iter().map(|upload| MultipartUpload {
            key: Some(texts.text(&upload.key)),
            upload_id: Some(upload.id),
            initiated: Some(time(upload.began)),
            initiator: Some(Initiator { display_name: Some(upload.user.clone()), id: Some(upload.user) }),
            owner: Some(owner()),
            ..MultipartUpload::default()
        });
        Ok(ListMultipartUploadsOutput {
            uploads: Some(uploads.collect()),
            bucket: Some(input.bucket),
            prefix: input.prefix.map(|text| texts.text(&text)),
            key_marker: input.key_marker.map(|text| texts.text(&text)),
            upload_id_marker: input.upload_id_marker,
            max_uploads: Some(shown),
            is_truncated: Some(more),
            next_key_marker: last.as_ref().map(|upload| texts.text(&upload.key)),
            next_upload_id_marker: last.map(|upload| upload.id),
            encoding_type: input.encoding_type,
            ..ListMultipartUploadsOutput::default()
        })
    }
}
