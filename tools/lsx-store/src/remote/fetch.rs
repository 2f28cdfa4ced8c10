//! Fetches an object to a file, which gets its name when all bytes are there and are the right ones; or to standard output.

use super::far::Far;
use super::place::Place;
use super::send::{encrypted, etag, same};
use crate::client;
use crate::model::Done;
use crate::object::{Draft, hex};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use common::host::file;
use common::{Failure, Failures, Kind, stdio};
use rustix::fs::{Mode, OFlags, open};
use s3s::crypto::{Checksum as _, Md5};
use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use ureq::Body;
use ureq::http::Response;

/// What is read at a time.
const PIECE: usize = 256 * 1024;

/// The file for an object; none is standard output.
///
/// # Errors
/// The end of a key that is no name for a file: `..` and control characters do not come from a server.
pub(super) fn target(place: &Place, file: Option<&Path>) -> Result<Option<PathBuf>, Failure> {
    let folder = match file {
        Some(file) if file.as_os_str() == "-" => return Ok(None),
        Some(file) if file.is_dir() => file,
        Some(file) => return Ok(Some(file.to_owned())),
        None => Path::new("."),
    };
    let name = place.file_name().ok_or_else(|| {
        let message = format!("the key {:?} does not end with the name of a file", place.key);
        Failure::new(Kind::Usage, "usage.file", message).hint("name a FILE")
    })?;
    Ok(Some(folder.join(name)))
}

pub(super) fn get(far: &Far, place: &Place, to: Option<&Path>) -> Result<Option<Done>, Failures> {
    let answer = far.sent(&place.ask("GET").header("x-amz-checksum-mode", "ENABLED"))?;
    // Whoever does not say how much comes could send for ever.
    let size = answer.body().content_length().ok_or_else(|| far.odd("an object and its length"))?;
    let sums = Sums { etag: etag(&answer), encrypted: encrypted(&answer), crc: crc(&answer) };
    let Some(path) = to else {
        shown(far, place, answer, size, &sums)?;
        return Ok(None);
    };
    let failed = |e: std::io::Error| file::failure(path, "write", &e);
    if path.symlink_metadata().is_ok_and(|there| !there.is_file()) {
        let message = format!("{} is there, and is no plain file", path.display());
        return Err(Failure::new(Kind::Failed, "store.file", message).into());
    }
    let (folder, name) = opened(path).map_err(failed)?;
    let mut draft = Draft::new(&folder).map_err(failed)?;
    draft.mode(Mode::from_raw_mode(0o600)).map_err(failed)?;
    each(far, place, answer, size, |piece| draft.write(piece).map_err(failed))?;
    let written = draft.done();
    let kept = sums.verified(far, place, &hex(&written.md5), Some(written.crc)).and_then(|verified| {
        written.sync().and_then(|()| written.name(&folder, &folder, &name)).map_err(failed)?;
        rustix::fs::fsync(&folder).map_err(|e| failed(e.into()))?;
        Ok(verified)
    });
    let verified = kept.inspect_err(|_| written.drop(&folder))?;
    Ok(Some(Done {
        key: Some(place.key.clone()),
        file: Some(path.display().to_string()),
        bytes: Some(size),
        etag: Some(sums.etag).filter(|etag| !etag.is_empty()),
        verified: Some(verified),
        ..far.said("get", &place.bucket)
    }))
}

/// To standard output: what is wrong is known only after it was written.
fn shown(far: &Far, place: &Place, answer: Response<Body>, size: u64, sums: &Sums) -> Result<(), Failure> {
    let mut sum = Md5::new();
    each(far, place, answer, size, |piece| {
        sum.update(piece);
        stdio::write(piece)
    })?;
    sums.verified(far, place, &hex(&sum.finalize()), None).map(drop)
}

/// What the server says of the bytes.
struct Sums {
    etag: String,
    encrypted: bool,
    /// CRC-64/NVME of the whole object.
    crc: Option<u64>,
}

impl Sums {
    /// Whether anything could be compared.
    fn verified(&self, far: &Far, place: &Place, md5: &str, crc: Option<u64>) -> Result<bool, Failure> {
        let known = same(far, place, &self.etag, md5, self.encrypted)?;
        match (self.crc, crc) {
            (Some(wanted), Some(crc)) if wanted != crc => {
                let message =
                    format!("{}: other bytes came than the server's checksum says", far.name(place));
                Err(Failure::new(Kind::Failed, "store.sum", message).hint("try again"))
            }
            (Some(_), Some(_)) => Ok(true),
            _ => Ok(known),
        }
    }
}

fn crc(answer: &Response<Body>) -> Option<u64> {
    let text = answer.headers().get("x-amz-checksum-crc64nvme")?.to_str().ok()?;
    let bytes: [u8; 8] = STANDARD.decode(text).ok()?.try_into().ok()?;
    Some(u64::from_be_bytes(bytes))
}

/// Gives each piece of an answer to `take`. Fewer bytes than the server has announced are an error.
fn each(
    far: &Far,
    place: &Place,
    answer: Response<Body>,
    size: u64,
    mut take: impl FnMut(&[u8]) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut body = answer.into_body().into_reader();
    let (mut piece, mut came) = (vec![0; PIECE], 0_u64);
    loop {
        let lost = |e: std::io::Error| {
            far.lost(&format!("after {came} of {size} bytes of {}: {e}", client::shown(&place.key)))
        };
        match body.read(&mut piece).map_err(lost)? {
            0 if came == size => return Ok(()),
            0 => return Err(far.lost(&format!("it sent only {came} of {size} bytes"))),
            n => {
                came += u64::try_from(n).unwrap_or_default();
                take(piece.get(..n).unwrap_or_default())?;
            }
        }
    }
}

/// The folder of a file, and its name there.
fn opened(path: &Path) -> std::io::Result<(OwnedFd, String)> {
    let name = path.file_name().and_then(|name| name.to_str()).ok_or(std::io::ErrorKind::InvalidInput)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok((open(folder, flags, Mode::empty())?, name.to_owned()))
}
