//! The entries of a tar archive. It has its own reader because archives are not trusted: names and attributes are limited,
//! sizes are summed, and values of attributes may contain any byte (such as a newline in a capability).

use super::limits::{Bounds, META, broken};
use std::io::{self, Read};
use tar::{EntryType, Header};

const BLOCK: usize = 512;

/// One entry, from its headers.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) name: Vec<u8>,
    pub(super) link: Vec<u8>,
    pub(super) kind: EntryType,
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) mtime: (i64, u32),
    pub(super) size: u64,
    pub(super) device: (u32, u32),
    pub(super) xattrs: Vec<(String, Vec<u8>)>,
}

/// Reads entries. The data of an entry is read from the reader itself, until the next entry is requested.
pub(super) struct Entries<R> {
    inner: R,
    /// Unread bytes of this entry, and the padding of its last block.
    left: u64,
    filler: u64,
    bounds: Bounds,
    seen: Bounds,
    /// Whether the end mark has been seen: an archive truncated between two entries has none.
    pub(super) ended: bool,
}

/// Headers before an entry that belong to it.
#[derive(Default)]
struct Ahead {
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    pax: Vec<(Vec<u8>, Vec<u8>)>,
}

impl<R: Read> Entries<R> {
    pub(super) fn new(inner: R, bounds: Bounds) -> Self {
        Entries { inner, left: 0, filler: 0, bounds, seen: Bounds { entries: 0, bytes: 0 }, ended: false }
    }

    /// The next entry; `None` at the end.
    pub(super) fn next(&mut self) -> io::Result<Option<Entry>> {
        let mut ahead = Ahead::default();
        loop {
            let rest = self.left + self.filler;
            if io::copy(&mut self.inner.by_ref().take(rest), &mut io::sink())? < rest {
                return Err(broken("it is truncated in the middle of an entry"));
            }
            (self.left, self.filler) = (0, 0);
            let Some(header) = self.header()? else { return Ok(None) };
            let size = header.entry_size()?;
            match header.entry_type() {
                EntryType::GNULongName => ahead.name = Some(text(self.meta(size)?)),
                EntryType::GNULongLink => ahead.link = Some(text(self.meta(size)?)),
                EntryType::XHeader => ahead.pax = pax(&self.meta(size)?)?,
                EntryType::XGlobalHeader => drop(self.meta(size)?),
                _ => return self.entry(&header, ahead).map(Some),
            }
        }
    }

    fn header(&mut self) -> io::Result<Option<Header>> {
        let mut header = Header::new_old();
        let block = header.as_mut_bytes();
        let mut filled = 0;
        while filled < BLOCK {
            match self.inner.read(&mut block[filled..])? {
                0 if filled == 0 => return Ok(None),
                0 => return Err(broken("it is truncated in the middle of a header")),
                count => filled += count,
            }
        }
        if block.iter().all(|byte| *byte == 0) {
            self.ended = true;
            return Ok(None);
        }
        let sum = |range: std::ops::Range<usize>| block[range].iter().map(|b| u32::from(*b)).sum::<u32>();
        let sum = sum(0..148) + sum(156..BLOCK) + 8 * 32;
        if header.cksum()? != sum {
            return Err(broken("not a tar archive, or damaged: a header has a wrong checksum"));
        }
        Ok(Some(header))
    }

    fn meta(&mut self, size: u64) -> io::Result<Vec<u8>> {
        self.count(0)?;
        if size > META {
            return Err(broken(format!("{size} bytes of names and attributes for one entry")));
        }
        self.begin(size);
        let mut bytes = Vec::new();
        self.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn begin(&mut self, size: u64) {
        (self.left, self.filler) = (size, size.next_multiple_of(BLOCK as u64) - size);
    }

    fn count(&mut self, bytes: u64) -> io::Result<()> {
        self.seen.entries += 1;
        self.seen.bytes = self.seen.bytes.saturating_add(bytes);
        if self.seen.entries > self.bounds.entries {
            return Err(broken(format!("more than {} entries", self.bounds.entries)));
        }
        if self.seen.bytes > self.bounds.bytes {
            return Err(broken(format!("more than {} bytes when unpacked", self.bounds.bytes)));
        }
        Ok(())
    }

    fn entry(&mut self, header: &Header, ahead: Ahead) -> io::Result<Entry> {
        let blank = |field: &[u8]| field.iter().all(|byte| matches!(byte, 0 | b' '));
        let number = |field: &[u8], value: io::Result<u64>| if blank(field) { Ok(0) } else { value };
        let old = header.as_old();
        let mut entry = Entry {
            name: ahead.name.unwrap_or_else(|| header.path_bytes().into_owned()),
            link: ahead.link.or_else(|| header.link_name_bytes().map(|l| l.into_owned())).unwrap_or_default(),
            kind: header.entry_type(),
            mode: header.mode()? & 0o7777,
            uid: narrow(number(&old.uid, header.uid())?)?,
            gid: narrow(number(&old.gid, header.gid())?)?,
            mtime: (i64::try_from(number(&old.mtime, header.mtime())?).unwrap_or(0), 0),
            size: header.entry_size()?,
            device: (
                header.device_major().ok().flatten().unwrap_or(0),
                header.device_minor().ok().flatten().unwrap_or(0),
            ),
            xattrs: Vec::new(),
        };
        ahead.pax.into_iter().try_for_each(|(key, value)| adjust(&mut entry, &key, value))?;
        if entry.kind == EntryType::GNUSparse {
            return Err(broken("it contains sparse files; pack it without --sparse"));
        }
        // A folder or link in an old archive may have a size; only files have data.
        let data = if has_data(entry.kind) { entry.size } else { 0 };
        if !has_data(entry.kind) && entry.size > 0 && !entry.kind.is_dir() && !entry.kind.is_hard_link() {
            return Err(broken("an entry that is not a file has data"));
        }
        self.count(data)?;
        entry.size = data;
        self.begin(data);
        Ok(entry)
    }
}

fn has_data(kind: EntryType) -> bool {
    kind.is_file() || kind.is_contiguous()
}

fn narrow(number: u64) -> io::Result<u32> {
    u32::try_from(number).map_err(|_| broken(format!("{number} is not a valid user or group number")))
}

/// Up to the first zero byte.
fn text(mut bytes: Vec<u8>) -> Vec<u8> {
    if let Some(end) = bytes.iter().position(|b| *b == 0) {
        bytes.truncate(end);
    }
    bytes
}

/// Records of a pax header: `LENGTH KEY=VALUE
/// `, separated by their length only.
fn pax(mut bytes: &[u8]) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let mut records = Vec::new();
    while !bytes.is_empty() {
        let malformed = || broken("a malformed extended header");
        let blank = bytes.iter().position(|b| *b == b' ').ok_or_else(malformed)?;
        let length: usize =
            std::str::from_utf8(&bytes[..blank]).ok().and_then(|n| n.parse().ok()).ok_or_else(malformed)?;
        let record =
            bytes.get(blank + 1..length).and_then(|r| r.strip_suffix(b"\n")).ok_or_else(malformed)?;
        let equals = record.iter().position(|b| *b == b'=').ok_or_else(malformed)?;
        records.push((record[..equals].to_vec(), record[equals + 1..].to_vec()));
        bytes = &bytes[length..];
    }
    Ok(records)
}

fn adjust(entry: &mut Entry, key: &[u8], value: Vec<u8>) -> io::Result<()> {
    let malformed = || broken("a malformed extended header");
    let number = |value: &[u8]| {
        std::str::from_utf8(value).ok().and_then(|n| n.parse::<u64>().ok()).ok_or_else(malformed)
    };
    match key {
        b"path" => entry.name = text(value),
        b"linkpath" => entry.link = text(value),
        b"size" => entry.size = number(&value)?,
        b"uid" => entry.uid = narrow(number(&value)?)?,
        b"gid" => entry.gid = narrow(number(&value)?)?,
        b"mtime" => entry.mtime = time(&value).ok_or_else(malformed)?,
        key if key.starts_with(b"GNU.sparse.") => entry.kind = EntryType::GNUSparse,
        key => {
            if let Some(name) = key.strip_prefix(b"SCHILY.xattr.").and_then(|n| std::str::from_utf8(n).ok()) {
                entry.xattrs.push((name.to_owned(), value));
            }
        }
    }
    Ok(())
}

/// Seconds with a fraction, also before 1970.
fn time(value: &[u8]) -> Option<(i64, u32)> {
    let text = std::str::from_utf8(value).ok()?;
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let seconds: i64 = whole.parse().ok()?;
    let digits: String = part.chars().chain("000000000".chars()).take(9).collect();
    let nanos: u32 = digits.parse().ok()?;
    Some(if text.starts_with('-') && nanos > 0 {
        (seconds - 1, 1_000_000_000 - nanos)
    } else {
        (seconds, nanos)
    })
}

impl<R: Read> Read for Entries<R> {
    /// Data of the current entry; a truncated one is an error, not an end.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        if most == 0 {
            return Ok(0);
        }
        let count = self.inner.read(&mut buffer[..most])?;
        if count == 0 {
            return Err(broken("it is truncated in the middle of an entry"));
        }
        self.left -= count as u64;
        Ok(count)
    }
}
