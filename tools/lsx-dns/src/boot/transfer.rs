//! One transfer by TFTP: blocks in windows, each window acknowledged, and sent again a few times.

use super::packet::{self, Later, Terms, code};
use super::volume::Refused;
use crate::http::Sent;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::time::{Instant, timeout_at};

/// How often a window is sent without an answer.
const TRIES: u32 = 5;
/// The pause before it is sent for the second time, if the client does not say; each is twice the one before.
const FIRST: Duration = Duration::from_secs(1);
/// The longest packet of a client that matters.
const PACKET: usize = 516;

/// A transfer that is under way.
struct Transfer<'t> {
    socket: &'t UdpSocket,
    terms: &'t Terms,
    file: &'t File,
    size: u64,
}

/// Gives a file of a size.
///
/// # Errors
/// Errors of the network and of the file, and a client that does not answer or ends the transfer.
pub(super) async fn give(
    socket: &UdpSocket,
    terms: &Terms,
    (file, size): (&File, u64),
    sent: &mut impl Sent,
) -> io::Result<()> {
    let transfer = Transfer { socket, terms, file, size };
    let block = u64::from(terms.block);
    // The last block is shorter than the others, so that the client knows it.
    let last = size / block + 1;
    if terms.told.is_some() {
        transfer.exchange(0, 0).await?;
    }
    let mut has = 0;
    while has < last {
        let end = last.min(has + u64::from(terms.window));
        if end == last && !sent.last() {
            socket.send(&packet::error(code::DENIED, Refused::Booted.why())).await?;
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        let more = transfer.exchange(has, end).await?;
        sent.passed((block * (has + more)).min(size) - (block * has).min(size));
        has += more;
    }
    Ok(())
}

/// The number of a block in a packet: it begins again at 0.
fn wrapped(number: u64) -> u16 {
    u16::try_from(number & u64::from(u16::MAX)).unwrap_or_default()
}

impl Transfer<'_> {
    /// Sends the blocks after one up to another, or what the client is told of its options if there are none, until the client
    /// acknowledges some. Returns how many.
    async fn exchange(&self, has: u64, end: u64) -> io::Result<u64> {
        let mut pause = self.terms.timeout.unwrap_or(FIRST);
        let mut bytes = [0; PACKET];
        for _ in 0..TRIES {
            self.send(has, end).await?;
            let until = Instant::now() + pause;
            // An acknowledgement that comes twice is no reason to send twice.
            while let Ok(got) = timeout_at(until, self.socket.recv(&mut bytes)).await {
                match packet::later(&bytes[..got?]) {
                    Later::Has(number) => {
                        let more = u64::from(number.wrapping_sub(wrapped(has)));
                        if more <= end - has && (more > 0) == (end > has) {
                            return Ok(more);
                        }
                    }
                    Later::Ends => return Err(io::ErrorKind::ConnectionAborted.into()),
                    Later::Garbage => {}
                }
            }
            if self.terms.timeout.is_none() {
                pause *= 2;
            }
        }
        Err(io::ErrorKind::TimedOut.into())
    }

    async fn send(&self, has: u64, end: u64) -> io::Result<()> {
        if let Some(told) = self.terms.told.as_ref().filter(|_| end == 0) {
            self.socket.send(told).await?;
        }
        let block = u64::from(self.terms.block);
        for number in has + 1..=end {
            let from = (number - 1) * block;
            let mut bytes = packet::data(wrapped(number)).to_vec();
            let start = bytes.len();
            bytes.resize(start + usize::try_from(block.min(self.size - from)).unwrap_or_default(), 0);
            self.file.read_exact_at(&mut bytes[start..], from)?;
            self.socket.send(&bytes).await?;
        }
        Ok(())
    }
}
