//! Sends a file: in one request, or if it is larger than a part, in parts, of which one is held at a time.

use super::far::Far;
use super::place::Place;
use crate::client::{self, Ask};
use crate::model::Done;
use crate::object::hex;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use common::host::file;
use common::{Failure, Failures, Kind, signal};
use s3s::crypto::{Checksum as _, Md5};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;
use ureq::Body;
use ureq::http::Response;

/// The size of the first thousand parts. Each further thousand is larger by it: so 10,000 parts, the most there can be, are 880 GB.
const PART: usize = 16 * 1024 * 1024;
const PARTS: u32 = 10_000;
/// From this size on the server is asked before the bytes are sent, so that a refusal is read.
const LARGE: usize = 64 * 1024;
/// How often it is seen whether a signal has come.
const OFTEN: Duration = Duration::from_millis(50);

/// A part that was sent: its number, MD5 and ETag.
type Sent = (u32, [u8; 16], String);

pub(super) fn put(far: &Arc<Far>, place: &Place, path: &Path) -> Result<Done, Failures> {
    let mut from = source(path)?;
    let mut piece = Vec::new();
    fill(&mut from, &mut piece, PART).map_err(|e| file::failure(path, "read", &e))?;
    let done = Done {
        key: Some(place.key.clone()),
        file: (path.as_os_str() != "-").then(|| path.display().to_string()),
        ..far.said("put", &place.bucket)
    };
    if piece.len() < PART {
        let answer = far.sent(&summed(place.ask("PUT"), &piece))?;
        let (etag, encrypted) = (etag(&answer), encrypted(&answer));
        let verified = same(far, place, &etag, &hex(&md5(&piece)), encrypted)?;
        let bytes = u64::try_from(piece.len()).ok();
        return Ok(Done {
            bytes,
            etag: Some(etag).filter(|etag| !etag.is_empty()),
            verified: Some(verified),
            ..done
        });
    }
    // From here on a signal ends the upload first.
    signal::hold();
    let body = far.done(&place.ask("POST").with("uploads", ""))?;
    let id = client::upload_id(&body).ok_or_else(|| far.odd("the name of an upload"))?;
    let upload = Upload { far: Arc::clone(far), place: place.clone(), id, path: path.to_owned() };
    let given_up = upload.clone();
    let last = Arc::new(AtomicBool::new(false));
    let begun = Arc::clone(&last);
    let sent = heeded(&last, move || {
        let (parts, bytes) = upload.parts(&mut *from, piece)?;
        let (etag, verified) = upload.complete(&parts, &begun)?;
        let parts = u32::try_from(parts.len()).ok();
        Ok(Done { bytes: Some(bytes), parts, etag: Some(etag), verified: Some(verified), ..done })
    });
    Ok(sent.inspect_err(|_| given_up.end())?)
}

/// The file, or standard input.
fn source(path: &Path) -> Result<Box<dyn Read + Send>, Failure> {
    if path.as_os_str() == "-" {
        return Ok(Box::new(io::stdin()));
    }
    let failed = |e: &io::Error| file::failure(path, "read", e);
    let opened = File::open(path).map_err(|e| failed(&e))?;
    if opened.metadata().map_err(|e| failed(&e))?.is_dir() {
        return Err(Failure::new(Kind::Usage, "usage.file", format!("{} is a folder", path.display())));
    }
    Ok(Box::new(opened))
}

/// Does in a thread of its own what may wait for long, for the server or for a program before a pipe: a signal ends the waiting, unless the
/// `last` request has begun, which may have its effect.
fn heeded<T: Send + 'static>(
    last: &AtomicBool,
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    let (tell, told) = mpsc::channel();
    thread::spawn(move || tell.send(work()));
    loop {
        match told.recv_timeout(OFTEN) {
            Ok(Err(_)) | Err(_) if signal::stopping() && !last.load(Ordering::SeqCst) => {
                return Err(interrupted());
            }
            Ok(done) => return done,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                return Err(Failure::new(Kind::Bug, "store.request", "the sender has ended".to_owned()));
            }
        }
    }
}

/// An upload in parts.
#[derive(Clone)]
struct Upload {
    far: Arc<Far>,
    place: Place,
    id: String,
    path: PathBuf,
}

impl Upload {
    /// Sends all parts; the first one has been read.
    fn parts(&self, from: &mut dyn Read, mut piece: Vec<u8>) -> Result<(Vec<Sent>, u64), Failure> {
        let Upload { far, place, id, path } = self;
        let (mut all, mut bytes) = (Vec::new(), 0_u64);
        for number in 1..=PARTS {
            let ask = place.ask("PUT").with("partNumber", number.to_string()).with("uploadId", id);
            let answer = far.sent(&summed(ask, &piece))?;
            let (sum, etag, encrypted) = (md5(&piece), etag(&answer), encrypted(&answer));
            same(far, place, &etag, &hex(&sum), encrypted)?;
            bytes += u64::try_from(piece.len()).unwrap_or_default();
            all.push((number, sum, etag));
            let size = PART * (1 + usize::try_from(number / 1000).unwrap_or_default());
            fill(from, &mut piece, size).map_err(|e| file::failure(path, "read", &e))?;
            if piece.is_empty() {
                return Ok((all, bytes));
            }
        }
        let message = format!("{} is larger than {PARTS} parts", path.display());
        Err(Failure::new(Kind::Failed, "store.request", message))
    }

    /// Makes one object of them; its ETag, and whether it was compared. What ended before because of a signal may look like its end, so
    /// that is looked for once more.
    fn complete(&self, parts: &[Sent], begun: &AtomicBool) -> Result<(String, bool), Failure> {
        let Upload { far, place, id, .. } = self;
        let mut all = Md5::new();
        let mut text =
            "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">".to_owned();
        for (number, sum, etag) in parts {
            all.update(sum);
            let etag: String = etag.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').collect();
            text.push_str(&format!("<Part><PartNumber>{number}</PartNumber><ETag>\"{etag}\"</ETag></Part>"));
        }
        text.push_str("</CompleteMultipartUpload>");
        // In this order: either this sees the signal, or who waits sees that it has begun.
        begun.store(true, Ordering::SeqCst);
        if signal::stopping() {
            return Err(interrupted());
        }
        let ask = Ask { body: text.as_bytes(), ..place.ask("POST") };
        let body = far.done(&ask.with("uploadId", id))?;
        if let Some(said) = client::late(500, &body) {
            return Err(far.refused(&said, None));
        }
        let etag = client::completed(&body).ok_or_else(|| far.odd("the ETag of an object"))?;
        let verified = etag == format!("{}-{}", hex(&all.finalize()), parts.len());
        Ok((client::shown(&etag), verified))
    }

    /// Gives it up. What cannot be removed now the server removes some day.
    fn end(&self) {
        let _ = self.far.sent(&self.place.ask("DELETE").with("uploadId", &self.id));
    }
}

fn interrupted() -> Failure {
    Failure::new(Kind::Failed, "store.interrupted", "interrupted; the upload is given up".to_owned())
}

/// A request with a body, of which the server compares the sum.
fn summed<'a>(ask: Ask<'a>, body: &'a [u8]) -> Ask<'a> {
    let ask = Ask { body, ..ask }.header("content-md5", STANDARD.encode(md5(body)));
    if body.len() >= LARGE { ask.header("expect", "100-continue") } else { ask }
}

fn md5(bytes: &[u8]) -> [u8; 16] {
    let mut sum = Md5::new();
    sum.update(bytes);
    sum.finalize()
}

pub(super) fn etag(answer: &Response<Body>) -> String {
    let etag = answer.headers().get("etag").and_then(|value| value.to_str().ok()).unwrap_or_default();
    client::shown(etag.trim_matches('"'))
}

/// Whether the server says that it keeps something else than the bytes: then an ETag is no MD5 of them.
pub(super) fn encrypted(answer: &Response<Body>) -> bool {
    let header = |name: &str| answer.headers().get(name).is_some_and(|value| value.as_bytes() != b"AES256");
    header("x-amz-server-side-encryption")
        || answer.headers().contains_key("x-amz-server-side-encryption-customer-algorithm")
}

/// Whether an ETag that is an MD5 is the one of the bytes.
///
/// # Errors
/// If it is another one.
pub(super) fn same(
    far: &Far,
    place: &Place,
    etag: &str,
    sum: &str,
    encrypted: bool,
) -> Result<bool, Failure> {
    let is_sum = etag.len() == 32 && etag.bytes().all(|byte| byte.is_ascii_hexdigit()) && !encrypted;
    match is_sum {
        true if !etag.eq_ignore_ascii_case(sum) => {
            let message = format!(
                "{}: the server has other bytes than were sent or came: MD5 {etag}, not {sum}",
                far.name(place)
            );
            Err(Failure::new(Kind::Failed, "store.sum", message)
                .hint("try again; if it stays so, its disk or the way to it is broken"))
        }
        other => Ok(other),
    }
}

/// Reads so many bytes, or all that are left.
fn fill(from: &mut dyn Read, piece: &mut Vec<u8>, size: usize) -> io::Result<()> {
    piece.clear();
    from.take(u64::try_from(size).unwrap_or(u64::MAX)).read_to_end(piece).map(drop)
}
