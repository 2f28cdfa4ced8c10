//! Versions are listed.

use super::Server;
use super::body::blocking;
use super::get::{etag, time};
use super::lists::{Texts, most, owner};
use crate::object::{About, Line, Range, named, valid};
use s3s::dto::{
    CommonPrefix, DeleteMarkerEntry, ListObjectVersionsInput, ListObjectVersionsOutput, ObjectVersion,
    ObjectVersionStorageClass,
};
use s3s::{S3Result, s3_error};
use std::sync::Arc;

fn version(key: String, about: &About, latest: bool) -> ObjectVersion {
    ObjectVersion {
        key: Some(key),
        e_tag: etag(about),
        last_modified: Some(time(about.seconds())),
        owner: Some(owner()),
        size: i64::try_from(about.size).ok(),
        is_latest: Some(latest),
        version_id: Some(named(about).to_owned()),
        storage_class: Some(ObjectVersionStorageClass::from_static(ObjectVersionStorageClass::STANDARD)),
        ..ObjectVersion::default()
    }
}

fn marker(key: String, about: &About, latest: bool) -> DeleteMarkerEntry {
    DeleteMarkerEntry {
        key: Some(key),
        last_modified: Some(time(about.seconds())),
        owner: Some(owner()),
        is_latest: Some(latest),
        version_id: Some(named(about).to_owned()),
    }
}

impl Server {
    /// Versions of objects, and what says that they were deleted.
    pub(super) async fn list_versions(
        self: Arc<Self>,
        input: ListObjectVersionsInput,
    ) -> S3Result<ListObjectVersionsOutput> {
        let texts = Texts::of(input.encoding_type.as_ref())?;
        let (shown, most) = most(input.max_keys)?;
        let after = input.version_id_marker.clone().filter(|marker| !marker.is_empty());
        if after.as_deref().is_some_and(|after| !valid(after) || input.key_marker.is_none()) {
            return Err(s3_error!(InvalidArgument, "version-id-marker is not one of this list"));
        }
        let range = Range {
            prefix: input.prefix.clone().unwrap_or_default(),
            delimiter: input.delimiter.clone(),
            after: input.key_marker.clone().unwrap_or_default(),
            most,
        };
        let bucket = self.bucket(&input.bucket)?;
        let page = blocking(move || Ok(bucket.list_versions(&range, after.as_deref())?)).await?;
        let (next_key_marker, next_version_id_marker) = match page.lines.last().filter(|_| page.more) {
            Some(Line::Version { key, about, .. }) => (Some(texts.text(key)), Some(named(about).to_owned())),
            Some(Line::Prefix(prefix)) => (Some(texts.text(prefix)), None),
            None => (None, None),
        };
        let (mut versions, mut markers, mut prefixes) = (Vec::new(), Vec::new(), Vec::new());
        for line in page.lines {
            match line {
                Line::Prefix(prefix) => prefixes.push(CommonPrefix { prefix: Some(texts.text(&prefix)) }),
                Line::Version { key, about, latest } if about.marker => {
                    markers.push(marker(texts.text(&key), &about, latest));
                }
                Line::Version { key, about, latest } => {
                    versions.push(version(texts.text(&key), &about, latest))
                }
            }
        }
        Ok(ListObjectVersionsOutput {
            name: Some(input.bucket),
            prefix: Some(texts.text(&input.prefix.unwrap_or_default())),
            key_marker: Some(texts.text(&input.key_marker.unwrap_or_default())),
            version_id_marker: input.version_id_marker,
            max_keys: Some(shown),
            is_truncated: Some(page.more),
            versions: Some(versions),
            delete_markers: Some(markers),
            common_prefixes: Some(prefixes),
            delimiter: input.delimiter.map(|text| texts.text(&text)),
            next_key_marker,
            next_version_id_marker,
            encoding_type: input.encoding_type,
            ..ListObjectVersionsOutput::default()
        })
    }
}
