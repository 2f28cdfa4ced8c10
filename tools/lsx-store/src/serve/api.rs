//! The operations that are served. All others are answered with `NotImplemented`.

use super::Server;
use super::body::blocking;
use crate::object::{Bucket, Versions};
use s3s::dto::*;
use s3s::{S3, S3Request, S3Response, S3Result, s3_error};
use std::sync::Arc;

/// The operations.
pub(super) struct Api(pub(super) Arc<Server>);

impl Server {
    /// A bucket.
    pub(super) fn bucket(&self, name: &str) -> S3Result<Arc<Bucket>> {
        let found = self.buckets.get(name).ok_or_else(|| s3_error!(NoSuchBucket))?;
        Ok(Arc::clone(&found.1))
    }
}

impl Api {
    fn server(&self) -> Arc<Server> {
        Arc::clone(&self.0)
    }
}

fn user<T>(request: &S3Request<T>) -> String {
    request.credentials.as_ref().map(|known| known.access_key.clone()).unwrap_or_default()
}

fn reply<T>(output: T) -> S3Result<S3Response<T>> {
    Ok(S3Response::new(output))
}

#[async_trait::async_trait]
impl S3 for Api {
    async fn list_buckets(
        &self,
        request: S3Request<ListBucketsInput>,
    ) -> S3Result<S3Response<ListBucketsOutput>> {
        reply(self.0.buckets_of(&user(&request)))
    }

    async fn create_bucket(
        &self,
        request: S3Request<CreateBucketInput>,
    ) -> S3Result<S3Response<CreateBucketOutput>> {
        match self.0.buckets.contains_key(&request.input.bucket) {
            true => Err(s3_error!(BucketAlreadyOwnedByYou)),
            false => Err(s3_error!(AccessDenied, "buckets are made by the stack's file")),
        }
    }

    async fn head_bucket(&self, _: S3Request<HeadBucketInput>) -> S3Result<S3Response<HeadBucketOutput>> {
        let bucket_region = Some(self.0.region.clone());
        reply(HeadBucketOutput { bucket_region, ..HeadBucketOutput::default() })
    }

    async fn get_bucket_location(
        &self,
        _: S3Request<GetBucketLocationInput>,
    ) -> S3Result<S3Response<GetBucketLocationOutput>> {
        reply(GetBucketLocationOutput { location_constraint: self.0.location() })
    }

    async fn list_objects(
        &self,
        request: S3Request<ListObjectsInput>,
    ) -> S3Result<S3Response<ListObjectsOutput>> {
        reply(self.server().list(request.input).await?)
    }

    async fn list_objects_v2(
        &self,
        request: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        reply(self.server().list_2(request.input).await?)
    }

    async fn get_bucket_versioning(
        &self,
        request: S3Request<GetBucketVersioningInput>,
    ) -> S3Result<S3Response<GetBucketVersioningOutput>> {
        let bucket = self.0.bucket(&request.input.bucket)?;
        let status = match blocking(move || Ok(bucket.versions()?)).await? {
            Versions::Off => None,
            Versions::Enabled => Some(BucketVersioningStatus::ENABLED),
            Versions::Suspended => Some(BucketVersioningStatus::SUSPENDED),
        };
        let status = status.map(BucketVersioningStatus::from_static);
        reply(GetBucketVersioningOutput { status, ..GetBucketVersioningOutput::default() })
    }

    async fn put_bucket_versioning(
        &self,
        request: S3Request<PutBucketVersioningInput>,
    ) -> S3Result<S3Response<PutBucketVersioningOutput>> {
        let wanted = request.input.versioning_configuration;
        let enabled = match wanted.status.as_ref().map(BucketVersioningStatus::as_str) {
            _ if wanted.mfa_delete.is_some_and(|word| word.as_str() != MFADelete::DISABLED) => {
                Err(s3_error!(NotImplemented, "MfaDelete is not supported"))
            }
            Some(BucketVersioningStatus::ENABLED) => Ok(true),
            Some(BucketVersioningStatus::SUSPENDED) => Ok(false),
            _ => Err(s3_error!(MalformedXML, "Status must be Enabled or Suspended")),
        }?;
        if !enabled && self.0.buckets.get(&request.input.bucket).is_some_and(|(served, _)| served.versioning)
        {
            return Err(s3_error!(AccessDenied, "the stack's file says versioning: true"));
        }
        let bucket = self.0.bucket(&request.input.bucket)?;
        blocking(move || Ok(bucket.set_versions(enabled)?)).await?;
        reply(PutBucketVersioningOutput::default())
    }

    async fn list_object_versions(
        &self,
        request: S3Request<ListObjectVersionsInput>,
    ) -> S3Result<S3Response<ListObjectVersionsOutput>> {
        reply(self.server().list_versions(request.input).await?)
    }

    async fn get_object_tagging(
        &self,
        request: S3Request<GetObjectTaggingInput>,
    ) -> S3Result<S3Response<GetObjectTaggingOutput>> {
        reply(self.0.tags(request.input).await?)
    }

    async fn put_object_tagging(
        &self,
        request: S3Request<PutObjectTaggingInput>,
    ) -> S3Result<S3Response<PutObjectTaggingOutput>> {
        let input = request.input;
        let tags = super::tags::of_body(input.tagging.tag_set)?;
        self.0.tag(&input.bucket, input.key, input.version_id.clone(), tags).await?;
        reply(PutObjectTaggingOutput { version_id: input.version_id })
    }

    async fn delete_object_tagging(
        &self,
        request: S3Request<DeleteObjectTaggingInput>,
    ) -> S3Result<S3Response<DeleteObjectTaggingOutput>> {
        let input = request.input;
        self.0.tag(&input.bucket, input.key, input.version_id.clone(), Default::default()).await?;
        // 204, as S3 answers.
        let output = DeleteObjectTaggingOutput { version_id: input.version_id };
        Ok(S3Response::with_status(output, hyper::StatusCode::NO_CONTENT))
    }

    async fn get_object(&self, request: S3Request<GetObjectInput>) -> S3Result<S3Response<GetObjectOutput>> {
        reply(self.server().get(request.input).await?)
    }

    async fn head_object(
        &self,
        request: S3Request<HeadObjectInput>,
    ) -> S3Result<S3Response<HeadObjectOutput>> {
        reply(self.server().head(request.input).await?)
    }

    async fn put_object(&self, request: S3Request<PutObjectInput>) -> S3Result<S3Response<PutObjectOutput>> {
        reply(self.server().put(request).await?)
    }

    async fn copy_object(
        &self,
        request: S3Request<CopyObjectInput>,
    ) -> S3Result<S3Response<CopyObjectOutput>> {
        reply(self.server().copy(request).await?)
    }

    async fn delete_object(
        &self,
        request: S3Request<DeleteObjectInput>,
    ) -> S3Result<S3Response<DeleteObjectOutput>> {
        let user = user(&request);
        let input = request.input;
        let condition = super::put::condition(input.if_match, None)?;
        let done = self.0.delete(&user, &input.bucket, (input.key, input.version_id), condition).await?;
        let delete_marker = done.marker.then_some(true);
        reply(DeleteObjectOutput { delete_marker, version_id: done.version, ..DeleteObjectOutput::default() })
    }

    async fn delete_objects(
        &self,
        request: S3Request<DeleteObjectsInput>,
    ) -> S3Result<S3Response<DeleteObjectsOutput>> {
        let user = user(&request);
        reply(self.server().delete_all(&user, request.input).await?)
    }

    async fn create_multipart_upload(
        &self,
        request: S3Request<CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
        reply(self.server().begin(request).await?)
    }

    async fn upload_part(
        &self,
        request: S3Request<UploadPartInput>,
    ) -> S3Result<S3Response<UploadPartOutput>> {
        reply(self.server().part(request).await?)
    }

    async fn upload_part_copy(
        &self,
        request: S3Request<UploadPartCopyInput>,
    ) -> S3Result<S3Response<UploadPartCopyOutput>> {
        reply(self.server().part_copied(request).await?)
    }

    async fn complete_multipart_upload(
        &self,
        request: S3Request<CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        reply(self.server().complete(request.input).await?)
    }

    async fn abort_multipart_upload(
        &self,
        request: S3Request<AbortMultipartUploadInput>,
    ) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
        self.server().abort(request.input).await?;
        reply(AbortMultipartUploadOutput::default())
    }

    async fn list_parts(&self, request: S3Request<ListPartsInput>) -> S3Result<S3Response<ListPartsOutput>> {
        reply(self.server().parts(request.input).await?)
    }

    async fn list_multipart_uploads(
        &self,
        request: S3Request<ListMultipartUploadsInput>,
    ) -> S3Result<S3Response<ListMultipartUploadsOutput>> {
        reply(self.server().uploads(request.input).await?)
    }
}
