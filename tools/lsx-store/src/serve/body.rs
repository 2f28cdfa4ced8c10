//! Bytes between connections and files. Files are read and written in threads of their own, since a disk may be slow.

use super::SLOW;
use crate::object::{Draft, Found, Refused, Written};
use bytes::Bytes;
use common::log;
use futures_core::Stream;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use s3s::crypto::{Checksum as _, Crc64Nvme};
use s3s::dto::StreamingBlob;
use s3s::stream::{ByteStream, RemainingLength};
use s3s::{S3Error, S3ErrorCode, S3Result, StdError, s3_error};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::task::{JoinHandle, spawn_blocking};

/// What is read or written at a time.
const PIECE: usize = 256 * 1024;

/// Runs what waits for the disk.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Refused> + Send + 'static,
) -> S3Result<T> {
    match spawn_blocking(work).await {
        Ok(done) => done.map_err(told),
        Err(_) => Err(s3_error!(InternalError)),
    }
}

/// A refusal as S3 names it.
pub(super) fn told(refused: Refused) -> S3Error {
    match refused {
        Refused::Missing => s3_error!(NoSuchKey),
        Refused::Deleted(version) => marked(s3_error!(NoSuchKey), &version),
        Refused::Marker(version) => marked(s3_error!(MethodNotAllowed), &version),
        Refused::NoVersion => s3_error!(NoSuchVersion),
        Refused::Condition => s3_error!(PreconditionFailed),
        Refused::NoUpload => s3_error!(NoSuchUpload),
        Refused::Part => s3_error!(InvalidPart),
        Refused::Order => s3_error!(InvalidPartOrder),
        Refused::Small => s3_error!(EntityTooSmall),
        Refused::Metadata => s3_error!(MetadataTooLarge),
        Refused::Sum(which) => s3_error!(BadDigest, "{which} of the request is not that of its body"),
        Refused::Rotten => {
            log::warning("what is on the disk is not what was written");
            s3_error!(InternalError, "what is on the disk is not what was written")
        }
        Refused::Disk(error) => disk(&error),
    }
}

/// The error of a version that only says that the object was deleted.
fn marked(mut error: S3Error, version: &str) -> S3Error {
    let mut headers = HeaderMap::new();
    headers.insert("x-amz-delete-marker", HeaderValue::from_static("true"));
    headers
        .extend(HeaderValue::from_str(version).map(|id| (HeaderName::from_static("x-amz-version-id"), id)));
    error.set_headers(headers);
    error
}

/// An error that s3s has no name for.
fn named(code: &'static str, status: hyper::StatusCode, message: &'static str) -> S3Error {
    let mut told = S3Error::with_message(S3ErrorCode::Custom(code.into()), message);
    told.set_status_code(status);
    told
}

fn disk(error: &io::Error) -> S3Error {
    use io::ErrorKind::{PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    if !matches!(error.kind(), PermissionDenied | StorageFull | QuotaExceeded) {
        log::warning(&format!("disk: {error}"));
    }
    match error.kind() {
        PermissionDenied => {
            s3_error!(AccessDenied, "a file or folder of the bucket belongs to somebody else")
        }
        StorageFull | QuotaExceeded => {
            named("InsufficientStorage", hyper::StatusCode::INSUFFICIENT_STORAGE, "the disk is full")
        }
        ReadOnlyFilesystem => {
            named("ServiceUnavailable", hyper::StatusCode::SERVICE_UNAVAILABLE, "the disk is read-only")
        }
        _ => s3_error!(InternalError),
    }
}

/// Writes a body to a draft; `each` sees all pieces.
pub(super) async fn taken(
    mut draft: Draft,
    body: Option<StreamingBlob>,
    mut each: impl FnMut(&[u8]),
) -> S3Result<Written> {
    let Some(mut body) = body else { return Ok(draft.done()) };
    let mut pieces: Vec<Bytes> = Vec::new();
    let mut held = 0;
    loop {
        let next = std::future::poll_fn(|cx| Pin::new(&mut body).poll_next(cx));
        let next = tokio::time::timeout(SLOW, next).await.map_err(|_| s3_error!(RequestTimeout))?;
        let end = next.is_none();
        if let Some(piece) = next.transpose().map_err(|e| broken(&e))? {
            each(&piece);
            held += piece.len();
            pieces.push(piece);
        }
        if held >= PIECE || (end && held > 0) {
            let now = std::mem::take(&mut pieces);
            held = 0;
            draft = blocking(move || {
                for piece in &now {
                    draft.write(piece)?;
                }
                Ok(draft)
            })
            .await?;
        }
        if end {
            return Ok(draft.done());
        }
    }
}

/// Why a body could not be read: its signature or checksum is wrong, or it ends too early.
fn broken(error: &StdError) -> S3Error {
    let why = error.to_string();
    let told = why.to_ascii_lowercase();
    if told.contains("signature") {
        s3_error!(SignatureDoesNotMatch, "a chunk of the body has another signature")
    } else if told.contains("sha256") || told.contains("checksum") || told.contains("mismatch") {
        named(
            "XAmzContentSHA256Mismatch",
            hyper::StatusCode::BAD_REQUEST,
            "the body is not what x-amz-content-sha256 says",
        )
    } else {
        s3_error!(IncompleteBody, "the body ends too early, or its form is wrong")
    }
}

/// The bytes of an object on their way to a client. All of an object are verified: if they are not what was written, the connection ends
/// before the last ones.
pub(super) struct Sent {
    state: State,
    left: u64,
    key: String,
}

enum State {
    Ready(Box<Reader>),
    Reads(JoinHandle<io::Result<(Box<Reader>, Bytes)>>),
    Over,
}

struct Reader {
    file: std::fs::File,
    left: u64,
    /// The sum so far, and the one that it must have in the end.
    sum: Option<(Crc64Nvme, u64)>,
}

impl Sent {
    /// A part of an object, or all of it.
    pub(super) fn new(found: Found, key: &str, range: Option<Range<u64>>) -> io::Result<Sent> {
        let Found { mut file, about } = found;
        let whole = range.is_none();
        let range = range.unwrap_or(0..about.size);
        file.seek(SeekFrom::Start(range.start))?;
        let left = range.end - range.start;
        let sum = about.crc.filter(|_| whole).map(|crc| (Crc64Nvme::new(), crc));
        let state = State::Ready(Box::new(Reader { file, left, sum }));
        Ok(Sent { state, left, key: key.to_owned() })
    }
}

impl Reader {
    fn next(mut self: Box<Self>) -> io::Result<(Box<Self>, Bytes)> {
        let most = usize::try_from(self.left).unwrap_or(PIECE).min(PIECE);
        let mut piece = vec![0; most];
        self.file.read_exact(&mut piece)?;
        self.left -= u64::try_from(most).unwrap_or_default();
        if let Some((sum, _)) = &mut self.sum {
            sum.update(&piece);
        }
        if self.left == 0
            && let Some((sum, wanted)) = self.sum.take()
            && u64::from_be_bytes(sum.finalize()) != wanted
        {
            return Err(io::Error::other("the object is not what was written"));
        }
        Ok((self, piece.into()))
    }
}

impl Stream for Sent {
    type Item = Result<Bytes, StdError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            match std::mem::replace(&mut self.state, State::Over) {
                State::Over => return Poll::Ready(None),
                State::Ready(reader) if reader.left == 0 => return Poll::Ready(None),
                State::Ready(reader) => self.state = State::Reads(spawn_blocking(move || reader.next())),
                State::Reads(mut reads) => {
                    let Poll::Ready(read) = Pin::new(&mut reads).poll(cx) else {
                        self.state = State::Reads(reads);
                        return Poll::Pending;
                    };
                    return Poll::Ready(Some(match read.map_err(io::Error::other).and_then(|read| read) {
                        Ok((reader, piece)) => {
                            self.left = reader.left;
                            self.state = State::Ready(reader);
                            Ok(piece)
                        }
                        Err(e) => {
                            log::warning(&format!("{}: {e}", self.key));
                            Err(e.into())
                        }
                    }));
                }
            }
        }
    }
}

impl ByteStream for Sent {
    fn remaining_length(&self) -> RemainingLength {
        RemainingLength::new_exact(usize::try_from(self.left).unwrap_or(usize::MAX))
    }
}
