//! Compressed streams, recognised by their first bytes: gzip, zstd, xz, or none.

use super::limits;
use ruzstd::decoding::StreamingDecoder;
use std::io::{self, BufRead, BufReader, ErrorKind, Read};

/// Large enough that the cost of system calls does not matter.
pub(super) const BUFFER: usize = 1 << 17;

/// The compression of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Packing {
    None,
    Gzip,
    Zstd,
    Xz,
}

/// The compression according to the first bytes.
pub(super) fn packing(head: &[u8]) -> Packing {
    match head {
        [0x1f, 0x8b, ..] => Packing::Gzip,
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Packing::Zstd,
        [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Packing::Zstd,
        [0xfd, b'7', b'z', b'X', b'Z', ..] => Packing::Xz,
        _ => Packing::None,
    }
}

/// The uncompressed stream, and its compression.
pub(super) fn open<'a>(source: impl Read + 'a) -> io::Result<(Packing, Box<dyn Read + 'a>)> {
    let mut source = BufReader::with_capacity(BUFFER, source);
    let packing = packing(source.fill_buf()?);
    let plain: Box<dyn Read + 'a> = match packing {
        Packing::None => Box::new(source),
        Packing::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(source)),
        Packing::Zstd => Box::new(Frames(Frame::Between(source))),
        Packing::Xz => Box::new(lzma_rust2::XzReader::new_mem_limit(source, true, limits::XZ_KIB)),
    };
    Ok((packing, plain))
}

/// Consecutive Zstandard frames, as written by `zstd:chunked` and `pzstd`.
struct Frames<R: Read>(Frame<R>);

enum Frame<R: Read> {
    Between(R),
    Within(Box<StreamingDecoder<Ahead<R>, ruzstd::decoding::FrameDecoder>>),
    Ended,
}

/// A stream whose first bytes have been read: the part before the first block of a frame.
struct Ahead<R> {
    head: [u8; 18],
    length: usize,
    given: usize,
    inner: R,
}

impl<R: Read> Read for Ahead<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.given == self.length {
            return self.inner.read(buffer);
        }
        let count = (&self.head[self.given..self.length]).read(buffer)?;
        self.given += count;
        Ok(count)
    }
}

impl<R: Read> Read for Frames<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match std::mem::replace(&mut self.0, Frame::Ended) {
                Frame::Ended => return Ok(0),
                Frame::Between(source) => self.0 = begin(source)?,
                Frame::Within(mut frame) => match frame.read(buffer)? {
                    0 => self.0 = Frame::Between(frame.into_inner().inner),
                    count => {
                        self.0 = Frame::Within(frame);
                        return Ok(count);
                    }
                },
            }
        }
    }
}

/// The next frame; skippable frames are skipped.
fn begin<R: Read>(mut source: R) -> io::Result<Frame<R>> {
    let mut head = [0; 4];
    if source.read(&mut head[..1])? == 0 {
        return Ok(Frame::Ended);
    }
    source.read_exact(&mut head[1..])?;
    if matches!(head, [0x50..=0x5f, 0x2a, 0x4d, 0x18]) {
        let mut length = [0; 4];
        source.read_exact(&mut length)?;
        let length = u64::from(u32::from_le_bytes(length));
        let skipped = io::copy(&mut source.by_ref().take(length), &mut io::sink())?;
        return if skipped == length {
            Ok(Frame::Between(source))
        } else {
            Err(ErrorKind::UnexpectedEof.into())
        };
    }
    StreamingDecoder::new(begun(head, source)?)
        .map(|frame| Frame::Within(Box::new(frame)))
        .map_err(|e| io::Error::new(ErrorKind::InvalidData, e.to_string()))
}

/// The header of a frame (RFC 8878 3.1.1.1). The decoder allocates the frame's window, whatever its size, so the size is
/// checked first.
fn begun<R: Read>(magic: [u8; 4], mut inner: R) -> io::Result<Ahead<R>> {
    let mut head = [0; 18];
    head[..4].copy_from_slice(&magic);
    inner.read_exact(&mut head[4..5])?;
    let single = head[4] & 0x20 != 0;
    let name = [0, 1, 2, 4][usize::from(head[4] & 3)];
    let size = [usize::from(single), 2, 4, 8][usize::from(head[4] >> 6)];
    let at = 5 + usize::from(!single) + name;
    let length = at + size;
    inner.read_exact(&mut head[5..length])?;
    let window = if single {
        let mut all = [0; 8];
        all[..size].copy_from_slice(&head[at..length]);
        u64::from_le_bytes(all)
    } else {
        let base = 1_u64 << (10 + (head[5] >> 3));
        base + base / 8 * u64::from(head[5] & 7)
    };
    if window > limits::ZSTD {
        let most = limits::ZSTD >> 20;
        return Err(limits::broken(format!(
            "it needs a window of {} MiB for unpacking; at most {most} are allowed",
            window >> 20
        )));
    }
    Ok(Ahead { head, length, given: 0, inner })
}

/// The first bytes of a file, which is then at its start again.
pub(super) fn head(file: &mut (impl Read + io::Seek)) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    file.by_ref().take(8).read_to_end(&mut head)?;
    file.rewind()?;
    Ok(head)
}
