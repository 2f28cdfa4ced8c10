//! Pushes missing blobs in parts, and then the manifest.

use super::client::{Client, Want};
use super::reference::Reference;
use crate::image::store::{Blob, Store};
use crate::image::{digest, manifest, refused};
use common::Failure;

/// Number of bytes of a blob in memory at a time.
const PART: usize = if cfg!(test) { 1 << 20 } else { 16 << 20 };

impl Store {
    /// Pushes an image under a reference with a tag, or by its digest.
    ///
    /// # Errors
    /// If the image is missing, or the registry cannot be reached or refuses it.
    pub(crate) fn push(&self, digest: &str, reference: &str) -> Result<(), Failure> {
        let reference = Reference::parse(reference)?;
        if reference.digest.as_ref().is_some_and(|wanted| wanted != digest) {
            return Err(
                refused("reference", format!("{reference} is not {digest}")).hint("push it under a tag")
            );
        }
        let client = Client::new(&reference, &self.access)?;
        for blob in self.blobs(digest)?.iter().skip(1) {
            let there = client.send(
                "HEAD",
                &client.url(&format!("blobs/{}", blob.digest)),
                &[],
                b"",
                &Want::Either,
            )?;
            if there.status() == 404 {
                tracing::info!("pushes {}", blob.digest);
                self.push_blob(&client, blob)?;
            }
        }
        let bytes = self.get(digest)?;
        let url = client.url(&format!("manifests/{}", reference.version()));
        let kind = [("content-type", manifest::MANIFEST)];
        let answer = client.send("PUT", &url, &kind, &bytes, &Want::Found("such repository"))?;
        let there = answer.headers().get("docker-content-digest").and_then(|v| v.to_str().ok());
        match there.filter(|there| *there != digest) {
            Some(there) => {
                Err(digest::differs(&format!("the image stored as docker://{reference}"), digest, there))
            }
            None => Ok(()),
        }
    }

    fn push_blob(&self, client: &Client<'_>, blob: &Blob) -> Result<(), Failure> {
        let want = Want::Found("such repository");
        let begun = client.send("POST", &client.url("blobs/uploads/"), &[], b"", &want)?;
        let mut location = client.location(&begun)?;
        let mut offset = 0;
        loop {
            let part = self.chunk(&blob.digest, offset, PART)?;
            let end = offset + part.len() as u64;
            if end >= blob.size_bytes {
                let joint = if location.contains('?') { '&' } else { '?' };
                let url = format!("{location}{joint}digest={}", blob.digest.replace(':', "%3A"));
                let kind = [("content-type", "application/octet-stream")];
                return client.send("PUT", &url, &kind, &part, &want).map(drop);
            }
            if part.is_empty() {
                return Err(refused(
                    "digest",
                    format!("{} is shorter than stated in its manifest", blob.digest),
                ));
            }
            let range = format!("{offset}-{}", end - 1);
            let headers = [("content-type", "application/octet-stream"), ("content-range", range.as_str())];
            location = client.location(&client.send("PATCH", &location, &headers, &part, &want)?)?;
            offset = end;
        }
    }
}
