//! Checksums of requests: those that are named before the body, and those that come after it.

use crate::object::{Refused, Sums, Written};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::HeaderMap;
use s3s::TrailingHeaders;
use s3s::checksum::ChecksumHasher;
use s3s::crypto::{Checksum as _, Crc32, Crc32c, Crc64Nvme, Sha1, Sha256};
use s3s::dto::Checksum;

/// The algorithms, as headers name them after this.
const HEADER: &str = "x-amz-checksum-";
const NAMES: [&str; 5] = ["crc32", "crc32c", "crc64nvme", "sha1", "sha256"];

/// What a client says of a body.
pub(super) struct Claimed {
    md5: Option<String>,
    sums: Sums,
    /// Those that come after the body.
    later: Vec<&'static str>,
    /// The length of a body in chunks.
    length: Option<String>,
    hasher: ChecksumHasher,
}

impl Claimed {
    /// By the headers of a request. `also` is an algorithm whose sum is wanted in any case.
    pub(super) fn of(headers: &HeaderMap, also: Option<&str>) -> Claimed {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let mut hasher = ChecksumHasher::default();
        let trailing = text("x-amz-trailer").unwrap_or_default().to_ascii_lowercase();
        let (mut sums, mut announced) = (Sums::new(), Vec::new());
        for name in NAMES {
            let header = format!("{HEADER}{name}");
            let sent = text(&header);
            let later = trailing.split(',').any(|one| one.trim() == header);
            let wanted = also.is_some_and(|also| also.eq_ignore_ascii_case(name));
            if sent.is_some() || later || wanted {
                begin(&mut hasher, name);
            }
            announced.extend(later.then_some(name));
            sums.extend(sent.map(|sum| (name.to_owned(), sum)));
        }
        let length = text("x-amz-decoded-content-length");
        Claimed { md5: text("content-md5"), sums, later: announced, length, hasher }
    }

    /// A piece of the body.
    pub(super) fn update(&mut self, piece: &[u8]) {
        self.hasher.update(piece);
    }

    /// The sums of the body.
    ///
    /// # Errors
    /// If one is not what the client says.
    pub(super) fn verified(
        self,
        body: &Written,
        trailing: Option<&TrailingHeaders>,
    ) -> Result<Sums, Refused> {
        if self.length.is_some_and(|length| length.parse() != Ok(body.size)) {
            return Err(Refused::Sum("x-amz-decoded-content-length"));
        }
        if self
            .md5
            .as_deref()
            .is_some_and(|sent| STANDARD.decode(sent).ok().as_deref() != Some(&body.md5[..]))
        {
            return Err(Refused::Sum("Content-MD5"));
        }
        let mut claimed = self.sums;
        let later = trailing.and_then(TrailingHeaders::take).unwrap_or_default();
        for name in self.later {
            let sent = later.get(format!("{HEADER}{name}")).and_then(|value| value.to_str().ok());
            let sent = sent.ok_or(Refused::Sum("x-amz-trailer"))?;
            claimed.insert(name.to_owned(), sent.trim().to_owned());
        }
        let sums = named(self.hasher.finalize());
        match claimed.iter().all(|(name, sum)| sums.get(name) == Some(sum)) {
            true => Ok(sums),
            false => Err(Refused::Sum("a checksum")),
        }
    }
}

fn begin(hasher: &mut ChecksumHasher, name: &str) {
    match name {
        "crc32" => hasher.crc32 = Some(Crc32::new()),
        "crc32c" => hasher.crc32c = Some(Crc32c::new()),
        "crc64nvme" => hasher.crc64nvme = Some(Crc64Nvme::new()),
        "sha1" => hasher.sha1 = Some(Sha1::new()),
        _ => hasher.sha256 = Some(Sha256::new()),
    }
}

fn named(sums: Checksum) -> Sums {
    let all = [
        ("crc32", sums.checksum_crc32),
        ("crc32c", sums.checksum_crc32c),
        ("crc64nvme", sums.checksum_crc64nvme),
        ("sha1", sums.checksum_sha1),
        ("sha256", sums.checksum_sha256),
    ];
    all.into_iter().filter_map(|(name, sum)| Some((name.to_owned(), sum?))).collect()
}

/// Sums as replies have them.
pub(super) fn shown(sums: &Sums) -> Checksum {
    let sum = |name: &str| sums.get(name).cloned();
    Checksum {
        checksum_crc32: sum("crc32"),
        checksum_crc32c: sum("crc32c"),
        checksum_crc64nvme: sum("crc64nvme"),
        checksum_sha1: sum("sha1"),
        checksum_sha256: sum("sha256"),
        ..Checksum::default()
    }
}
