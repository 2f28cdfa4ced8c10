//! Buckets and objects are listed.

use super::Server;
use super::body::blocking;
use super::get::{etag, time};
use crate::object::{Item, Page, Range};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use s3s::dto::{
    Bucket, BucketLocationConstraint, CommonPrefix, EncodingType, ListBucketsOutput, ListObjectsInput,
    ListObjectsOutput, ListObjectsV2Input, ListObjectsV2Output, Object, ObjectStorageClass, Owner,
};
use s3s::{S3Result, s3_error};
use std::sync::Arc;

/// The most items of a page.
pub(super) const MOST: i32 = 1000;

/// How many items are asked for.
pub(super) fn most(asked: Option<i32>) -> S3Result<(i32, usize)> {
    let most = asked.unwrap_or(MOST);
    let used =
        usize::try_from(most).map_err(|_| s3_error!(InvalidArgument, "a number of keys is negative"))?;
    Ok((most.min(MOST), used.min(1000)))
}

/// The one owner of everything.
pub(super) fn owner() -> Owner {
    Owner { display_name: Some("lsx".to_owned()), id: Some("lsx".to_owned()) }
}

/// A text in a listing: as it is, or escaped as in URLs if the client asks for it, since XML has no control characters.
pub(super) struct Texts(bool);

impl Texts {
    pub(super) fn of(kind: Option<&EncodingType>) -> S3Result<Texts> {
        match kind.map(EncodingType::as_str) {
            None => Ok(Texts(false)),
            Some(EncodingType::URL) => Ok(Texts(true)),
            Some(_) => Err(s3_error!(InvalidArgument, "encoding-type must be url")),
        }
    }

    pub(super) fn text(&self, text: &str) -> String {
        let plain =
            |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~' | b'/');
        match self.0 {
            false => text.to_owned(),
            true => text
                .bytes()
                .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
                .collect(),
        }
    }
}

/// Objects and common prefixes of a page.
fn parts(page: Page, texts: &Texts, owned: bool) -> (Vec<Object>, Vec<CommonPrefix>) {
    let (mut objects, mut prefixes) = (Vec::new(), Vec::new());
    for item in page.items {
        match item {
            Item::Prefix(prefix) => prefixes.push(CommonPrefix { prefix: Some(texts.text(&prefix)) }),
            Item::Object(key, about) => objects.push(Object {
                key: Some(texts.text(&key)),
                e_tag: etag(&about),
                last_modified: Some(time(about.seconds())),
                owner: owned.then(owner),
                size: i64::try_from(about.size).ok(),
                storage_class: Some(ObjectStorageClass::from_static(ObjectStorageClass::STANDARD)),
                ..Object::default()
            }),
        }
    }
    (objects, prefixes)
}

impl Server {
    async fn page(&self, bucket: &str, range: Range) -> S3Result<Page> {
        let bucket = self.bucket(bucket)?;
        blocking(move || Ok(bucket.list(&range)?)).await
    }

    /// Version 1.
    pub(super) async fn list(self: Arc<Self>, input: ListObjectsInput) -> S3Result<ListObjectsOutput> {
        let texts = Texts::of(input.encoding_type.as_ref())?;
        let (shown, most) = most(input.max_keys)?;
        let range = Range {
            prefix: input.prefix.clone().unwrap_or_default(),
            delimiter: input.delimiter.clone(),
            after: input.marker.clone().unwrap_or_default(),
            most,
        };
        let page = self.page(&input.bucket, range).await?;
        let last = page.items.last().filter(|_| page.more).map(|item| texts.text(item.name()));
        let more = page.more;
        let (objects, prefixes) = parts(page, &texts, true);
        Ok(ListObjectsOutput {
            name: Some(input.bucket),
            prefix: Some(texts.text(&input.prefix.unwrap_or_default())),
            marker: Some(texts.text(&input.marker.unwrap_or_default())),
            max_keys: Some(shown),
            is_truncated: Some(more),
            contents: Some(objects),
            common_prefixes: Some(prefixes),
            delimiter: input.delimiter.map(|text| texts.text(&text)),
            next_marker: last,
            encoding_type: input.encoding_type,
            ..ListObjectsOutput::default()
        })
    }

    /// Version 2.
    pub(super) async fn list_2(self: Arc<Self>, input: ListObjectsV2Input) -> S3Result<ListObjectsV2Output> {
        let texts = Texts::of(input.encoding_type.as_ref())?;
        let (shown, most) = most(input.max_keys)?;
        let after = match &input.continuation_token {
            Some(token) => {
                let read = URL_SAFE_NO_PAD.decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok());
                read.ok_or_else(|| {
                    s3_error!(InvalidArgument, "the continuation token is not one of this server")
                })?
            }
            None => input.start_after.clone().unwrap_or_default(),
        };
        let range = Range {
            prefix: input.prefix.clone().unwrap_or_default(),
            delimiter: input.delimiter.clone(),
            after,
            most,
        };
        let page = self.page(&input.bucket, range).await?;
        let last = page.items.last().filter(|_| page.more).map(|item| URL_SAFE_NO_PAD.encode(item.name()));
        let (more, count) = (page.more, i32::try_from(page.items.len()).unwrap_or(MOST));
        let (objects, prefixes) = parts(page, &texts, input.fetch_owner.unwrap_or_default());
        Ok(ListObjectsV2Output {
            name: Some(input.bucket),
            prefix: Some(texts.text(&input.prefix.unwrap_or_default())),
            max_keys: Some(shown),
            key_count: Some(count),
            continuation_token: input.continuation_token,
            is_truncated: Some(more),
            next_continuation_token: last,
            contents: Some(objects),
            common_prefixes: Some(prefixes),
            delimiter: input.delimiter.map(|text| texts.text(&text)),
            encoding_type: input.encoding_type,
            start_after: input.start_after.map(|text| texts.text(&text)),
            ..ListObjectsV2Output::default()
        })
    }

    /// The buckets to which a user has rights.
    pub(super) fn buckets_of(&self, user: &str) -> ListBucketsOutput {
        let own = self.buckets.iter().filter(|(_, (served, _))| served.allow.contains_key(user));
        let shown = own.map(|(name, (_, bucket))| Bucket {
            name: Some(name.clone()),
            creation_date: Some(time(bucket.made())),
            ..Bucket::default()
        });
        ListBucketsOutput {
            buckets: Some(shown.collect()),
            owner: Some(owner()),
            ..ListBucketsOutput::default()
        }
    }

    /// The region, as a reply has it.
    pub(super) fn location(&self) -> Option<BucketLocationConstraint> {
        (self.region != "us-east-1").then(|| self.region.clone().into())
    }
}
